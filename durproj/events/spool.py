"""Spool files: copies of what came through a pipe, so that a fold of it can be resumed after a crash.

A copy is `<path>.part` while the pipe has not ended, and `<path>` afterwards. It takes the place of an older
one only when it has become as long: input that is refused must not cost what a crash left.
"""

from __future__ import annotations

import os
from contextlib import suppress

from durproj.errors import StoreError
from durproj.events.disk import sync_name


class Spool:
    """The copy at `path`; `sync`: what is written survives a power cut."""

    def __init__(self, path: str, *, sync: bool) -> None:
        self._path, self._sync = path, sync
        former = kept(path)
        self._due = os.path.getsize(former[0]) if former else 0
        self._size = 0
        self._name = f"{path}.next"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(self._name, flags, 0o600)
        except OSError as error:
            raise StoreError(f"cannot spool the input: {path}: {error.strerror}") from None

    def write(self, block: bytes) -> None:
        """Add `block`. Raises StoreError when there is no room."""
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if self._sync:
                os.fsync(self._file)
        except OSError as error:
            raise StoreError(f"cannot spool the input: {error.strerror}") from None
        self._size += len(block)
        if self._size >= self._due:
            self._rename(f"{self._path}.part")
            with suppress(FileNotFoundError):
                os.unlink(self._path)

    def end(self) -> None:
        """The pipe is at its end."""
        os.close(self._file)
        if self._name.endswith(".part"):
            self._rename(self._path)

    def _rename(self, name: str) -> None:
        if self._name == name:
            return
        try:
            os.replace(self._name, name)
            self._name = name
            if self._sync:
                sync_name(name)
        except OSError as error:
            raise StoreError(f"cannot spool the input: {name}: {error.strerror}") from None


def kept(path: str) -> tuple[str, bool] | None:
    """The file in which the copy at `path` is, and whether it breaks off; None when there is none."""
    part = f"{path}.part"
    if not os.path.exists(part):
        return (path, False) if os.path.exists(path) else None
    # Where both are there, a power cut brought back the one whose place the other took, or cut their renaming
    # in two.
    whole = os.path.exists(path) and os.path.samefile(part, path)
    return (path, False) if whole else (part, True)


def drop(path: str) -> None:
    """Remove the copy at `path`, if there is one."""
    for name in (path, f"{path}.part", f"{path}.next"):
        with suppress(FileNotFoundError):
            os.unlink(name)
