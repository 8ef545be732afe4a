"""Files that are no one's yet: what is written there takes another name once it is whole."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from durproj.errors import OutputFailed, StoreDenied, StoreError
from durproj.events.disk import sync_name
from durproj.stores.lock import is_named

_BEGIN = ".durproj-"
_END = ".tmp"
_LOCK = ".lock"

_NO_FOLDERS = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOTSUP}
"""What it is called where folders cannot be opened or synced at all."""


@contextmanager
def replacing(
    path: str | Path,
    check: Callable[[], None],
    kind: type[StoreError | OutputFailed],
    mode: int | None = None,
) -> Iterator[str]:
    """The path of a new file beside `path`, for its owner until it is whole: when the context ends well it takes
    the place of `path` and is on the disk, unless `check`, called just before, raises something. Else it is removed.
    mode: its permissions then; None: those of the file whose place it takes, or that any new one gets.

    Raises StoreDenied, or an error of `kind`, for what the system refuses.
    """
    try:
        with file_for(path) as (file, name):
            permissions = _mode(path) if mode is None else mode
            yield name
            os.fchmod(file, permissions)
            os.fsync(file)
            check()
            # The journal of a database that was there, removed just now, must not come back beside this one.
            _sync_name(path)
            os.replace(name, path)
            _sync_name(path)
    except OSError as error:
        why = f"{path}: cannot be written: {error.strerror or error}"
        if isinstance(error, PermissionError):
            raise StoreDenied(why, "its folder must be writable") from None
        raise kind(why) from None


def _sync_name(path: str | Path) -> None:
    """As `sync_name`; where folders cannot be synced, a copy is as safe as the filesystem makes it."""
    try:
        sync_name(path)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise


def _mode(path: str | Path) -> int:
    with suppress(FileNotFoundError):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def file_for(path: str | Path) -> Iterator[tuple[int, str]]:
    """A file that was not there before, beside `path`, whose place it may take; only its owner may read it.
    Its descriptor and its path: what still bears that name at the end is removed, with what SQLite put beside it,
    and so is at the beginning what killed processes left of theirs for the same `path`. Raises OSError."""
    folder, name = os.path.split(path)
    begin = f"{_BEGIN}{blake3(os.fsencode(name)).hexdigest(4)}-"
    _remove_left(folder or ".", begin)
    lock, fresh = _claimed(folder or ".", begin)
    try:
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield file, fresh
        finally:
            os.close(file)
    finally:
        _remove(fresh)
        os.close(lock)


def _claimed(folder: str, begin: str, rounds: int = 10) -> tuple[int, str]:
    """A name that is this process's for as long as it lives: the descriptor of a locked file beside it, and the
    name. (The file itself is not locked: where flock and SQLite's locks are of one kind, SQLite would wait.)"""
    lock, name = tempfile.mkstemp(f"{_END}{_LOCK}", begin, folder)
    with suppress(OSError):  # without locks nobody can tell that a file was left
        fcntl.flock(lock, fcntl.LOCK_EX)
    if is_named(lock, name) or not rounds:
        return lock, name.removesuffix(_LOCK)
    # Somebody took it for one that was left. (Who never gets one does without: nobody removes a file for
    # which no lock is there.)
    os.close(lock)
    with suppress(OSError):
        os.unlink(name)
    return _claimed(folder, begin, rounds - 1)


def _remove_left(folder: str, begin: str) -> None:
    names: list[str] = []
    with suppress(OSError):  # a folder that cannot be read may be written to
        names = os.listdir(folder)
    for name in names:
        if name.startswith(begin) and name.endswith(f"{_END}{_LOCK}"):
            # It may be gone already, or another user's, or its process alive.
            with suppress(OSError):
                path = os.path.join(folder, name)
                lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(path.removesuffix(_LOCK))
                finally:
                    os.close(lock)


def _remove(path: str) -> None:
    # The lock goes last, and stays where another does: without it nobody would know what that is. Nor is
    # whoever has what they wanted told of a failure: the next one tries again.
    with suppress(OSError):
        for end in ("", "-journal", "-wal", "-shm", _LOCK):
            with suppress(FileNotFoundError):
                os.unlink(f"{path}{end}")
