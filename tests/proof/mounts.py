"""Another name of a file or folder, by a bind mount that only one process and its children see."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

NEW_NAMESPACE, NEW_USER = 0x20000, 0x10000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000


def bind(what: Path, name: Path) -> None:
    """Let `name`, which is there, be `what` to this process. Raises OSError when that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    new = NEW_NAMESPACE | (NEW_USER if os.geteuid() else 0)
    _checked(libc.unshare(new))
    _checked(libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None))
    _checked(libc.mount(os.fsencode(what), os.fsencode(name), None, BIND, None))


def _checked(code: int) -> None:
    if code:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
