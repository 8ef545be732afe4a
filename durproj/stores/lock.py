"""One writer per store: an advisory lock on `<store>.lock`, held for as long as a run lasts.

The kernel drops it when the holder dies, so there are no stale locks. The file, which says who holds
it, is separate from the store: opening and closing the store's own file by hand would drop SQLite's
locks on it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakSet

from durproj.errors import NotFound, StoreBusy, StoreDenied, StoreError

_HELD: WeakSet[Lock] = WeakSet()


def is_named(fd: int, path: str | Path) -> bool:
    """Whether the open file `fd` is the one that has the name `path`. Its count of links would not say: where
    a network filesystem keeps what is open under another name, it stays as it is."""
    with suppress(OSError):
        return os.stat(path, follow_symlinks=False).st_ino == os.fstat(fd).st_ino
    return False


class Lock:
    """The right to write to one store."""

    def __init__(self, store: Path) -> None:
        # Two names of one store must meet at one lock. (resolve() does not bear a link to itself.)
        self.path = Path(f"{os.path.realpath(store)}.lock")
        self._fd: int | None = None

    def acquire(self, wait_s: float = 0.0) -> None:
        """Take the lock, waiting up to `wait_s` seconds. Raises StoreBusy naming the holder."""
        # A moment's patience even without a wait: somebody may only be looking (`held`).
        deadline = time.monotonic() + max(wait_s, 0.2)
        while not self._try():
            if time.monotonic() >= deadline:
                raise StoreBusy(
                    f"the store is in use by {self.holder() or 'another process'}",
                    "wait for it, or give --wait SECONDS",
                )
            time.sleep(0.02)

    def holder(self) -> str:
        """Who holds the lock, for people: `process 12 on host since …`; empty when unknown."""
        try:
            who = json.loads(self.path.read_bytes())
            return f"process {who['pid']} on {who['host']} since {who['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def held(self) -> bool:
        """Whether some process holds the lock now."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def release(self) -> None:
        """Give the lock up and remove its file."""
        if self._fd is not None:
            # One that stays is in nobody's way: who comes next takes it over, with the name in it, which is
            # read only while somebody holds the lock.
            with suppress(OSError):
                self.path.unlink()
            self.forget()

    def forget(self) -> None:
        """Let go of it in a forked process: it is the parent's, and ends with that."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _try(self) -> bool:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            raise NotFound(
                f"{self.path.parent}: no such folder", "make it first, or give another --store"
            ) from None
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno == errno.EROFS:
                raise StoreDenied(
                    f"{self.path}: {error.strerror}", "the store's folder must be writable"
                ) from None
            raise StoreError(f"{self.path}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as error:
            os.close(fd)
            raise StoreError(f"{self.path}: cannot be locked: {error.strerror}") from None
        # The holder before us may have removed the file between our open and our lock.
        if not is_named(fd, self.path):
            os.close(fd)
            return False
        since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        who = {"pid": os.getpid(), "host": os.uname().nodename, "since": since}
        self._fd = fd
        _HELD.add(self)
        with suppress(OSError):  # on a full disk the lock has no name, but it is held
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(who).encode(), 0)
        return True


def _forget() -> None:
    for lock in _HELD:
        lock.forget()


# Else what a reducer forks, a pool of processes say, would hold the store of a run that was killed.
os.register_at_fork(after_in_child=_forget)
