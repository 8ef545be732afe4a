"""Mounts that only one process and its children see: disks of their own, and other names of files."""

from __future__ import annotations

import ctypes
import os
import subprocess
from functools import cache
from pathlib import Path

from proof.needed import missing

NEW_NAMESPACE, NEW_USER = 0x20000, 0x10000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000


@cache
def mounting() -> tuple[str, ...]:
    """The command under which a command can mount. It is skipped where that is not allowed."""
    for unshare in (("unshare", "-m"), ("unshare", "-rm")):
        try:
            tried = [*unshare, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if not subprocess.run(tried, capture_output=True, check=False).returncode:
                return unshare
        except FileNotFoundError:
            break
    return missing(
        "no disk can be mounted here",
        "Debian's packages: util-linux, mount; and the right to mount: root, or namespaces of one's own",
    )


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
