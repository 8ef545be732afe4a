"""What outlives a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: str | Path) -> None:
    """Return once a power cut takes nothing of what is at `path`: the content of a file; of a folder, which
    names there are in it. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_name(path: str | Path) -> None:
    """The same for the name `path`: that the file bears it, and no other file. Raises OSError."""
    sync(os.path.dirname(path) or ".")
