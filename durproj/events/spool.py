"""Spool files: copies of what came through a pipe, so that a fold of it can be resumed after a crash.

A copy is `<path>.part` while the pipe has not ended, and `<path>` afterwards. It takes the place of an older
one only when it has become as long: input that is refused must not cost what a crash left.

With `sync` nothing is handed on before it is on the disk, and `<path>#synced` says how much of `<path>.part` that
is: what a power cut left behind it is not read as if it had come through the pipe.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from blake3 import blake3

from durproj.errors import StoreError
from durproj.events.disk import sync_name
from durproj.events.mark import ENDING, Mark, cut_unmarked


class Spool:
    """The copy at `path`; `sync`: what is written survives a power cut. Raises StoreError, as all of it."""

    def __init__(self, path: str, *, sync: bool) -> None:
        self._path, self._sync = path, sync
        former = recovered(path)
        self._due = os.path.getsize(former[0]) if former else 0
        self._size, self._hash = 0, blake3()
        self._mark: Mark | None = None
        self._name = f"{path}.next"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with spooling(f"{path}: "):
            self._file = os.open(self._name, flags, 0o600)

    def write(self, block: bytes) -> None:
        """Add `block`. Raises StoreError when there is no room."""
        rest = memoryview(block)
        with spooling():
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if self._sync:
                os.fsync(self._file)
                self._hash.update(block)
        self._size += len(block)
        if self._size >= self._due:
            with spooling(f"{self._path}: "):
                self._stand_in()

    def end(self) -> None:
        """The pipe is at its end."""
        os.close(self._file)
        if self._name.endswith(".part"):
            with spooling(f"{self._path}: "):
                self._rename(self._path)
                if self._mark:
                    self._mark.close()
                    _unlink(mark_of(self._path))

    def _stand_in(self) -> None:
        """Be the copy, with all that came so far."""
        part = f"{self._path}.part"
        if self._name != part:
            if self._sync:  # its name is on the disk with the next
                self._mark = Mark(mark_of(self._path))
            else:
                _unlink(mark_of(self._path))
            self._rename(part)
            _unlink(self._path)
        if self._mark:
            # Not before the renaming: until then the mark is that of the older copy.
            self._mark.set(self._size, self._hash.digest())

    def _rename(self, name: str) -> None:
        os.replace(self._name, name)
        self._name = name
        if self._sync:
            sync_name(name)


def kept(path: str) -> tuple[str, bool] | None:
    """The file in which the copy at `path` is, and whether it breaks off; None when there is none."""
    part = f"{path}.part"
    if not os.path.exists(part):
        return (path, False) if os.path.exists(path) else None
    # Where both are there, a power cut brought back the one whose place the other took, or cut their renaming
    # in two.
    whole = os.path.exists(path) and os.path.samefile(part, path)
    return (path, False) if whole else (part, True)


def recovered(path: str) -> tuple[str, bool] | None:
    """What `kept` says, once what was never synced before a power cut has been cut off; for who writes to the store.
    Raises StoreError."""
    found = kept(path)
    if found and found[1]:
        with spooling(f"{path}: "):
            cut_unmarked(found[0], mark_of(path))
    return found


def drop(path: str) -> None:
    """Remove the copy at `path`, if there is one."""
    for name in (path, f"{path}.part", f"{path}.next", mark_of(path)):
        _unlink(name)


def mark_of(path: str) -> str:
    """The mark of the copy at `path`."""
    return f"{path}{ENDING}"


@contextmanager
def spooling(where: str = "") -> Iterator[None]:
    """Raises StoreError in the place of OSError; `where` says of which file."""
    try:
        yield
    except OSError as error:
        hint = ""
        if error.errno in (errno.EINVAL, errno.ENOTSUP):  # of an fsync of a folder
            hint = "name a --store where folders can be synced, or take --durability step"
        raise StoreError(f"cannot spool the input: {where}{error.strerror}", hint) from None


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
