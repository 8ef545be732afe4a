"""What outlives a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_FOLDERS = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTSUP}
"""What it is called where folders cannot be opened or synced at all."""


def sync(path: str | Path) -> None:
    """Return once a power cut takes nothing of what is at `path`: the content of a file; of a folder, which
    names there are in it. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_name(path: str | Path) -> None:
    """The same for the name `path`: that the file bears it, and no other file. Where folders cannot be synced,
    it is as the filesystem has it. Raises OSError."""
    try:
        sync(os.path.dirname(path) or ".")
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
