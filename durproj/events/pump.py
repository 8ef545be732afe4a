"""Pipes that are followed: what comes through one goes to a spool file first."""

from __future__ import annotations

import os
import select
import stat
import sys
from contextlib import suppress

from durproj.codec import DecodeError, decode
from durproj.events.disk import sync_name
from durproj.events.inputs import Waiting, named
from durproj.events.mark import Synced, cut_lost
from durproj.events.reader import MAX_LINE
from durproj.events.spool import mark_of, spooling

_AT_ONCE = 64 << 10
_MOST_AT_ONCE = 8 << 20


class Pump:
    """Copies what comes through a pipe to the end of a spool file, which can then be followed.

    path: a named pipe, or `-`. sync: what was copied survives a power cut. A line that an earlier pipe
    left unfinished is kept if it is JSON, else dropped: `dropped` has how many bytes that were. ended: the
    pipe is at its end. Raises StoreError, as all of it.
    """

    def __init__(self, path: str, spool: str, waiting: Waiting, *, sync: bool = False) -> None:
        self.ended = False
        self._spool = spool
        self._synced: Synced | None = None
        with named(path), waiting():
            self._pipe = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._splices = sys.platform == "linux" and stat.S_ISFIFO(os.fstat(self._pipe).st_mode)
        with spooling(f"{spool}: "):
            self._file = _opened(spool)
            cut_lost(spool, mark_of(spool))
            self._size = os.fstat(self._file).st_size
            self.dropped = self._mend()
            if sync:
                self._synced = self._marked()
            else:
                self._unmarked()

    def wait(self, wait_s: float) -> bool:
        """Whether there is something to copy, within `wait_s` seconds."""
        return bool(select.select([self._pipe], [], [], wait_s)[0])

    def pull(self) -> None:
        """Copy what is there. Raises StoreError when there is no room."""
        taken = 0
        with spooling():
            while not self.ended and taken < _MOST_AT_ONCE and self.wait(0):
                moved = self._spliced() if self._splices else self._copied()
                self.ended = not moved
                taken += moved
            if taken and self._synced:
                self._synced.sync()

    def renew(self) -> None:
        """Put an empty file in the place of the spool: all of it has been checkpointed."""
        fresh = f"{self._spool}#new"  # no name of a run has a #
        with spooling(f"{self._spool}: "):
            file = _opened(fresh, os.O_TRUNC)
            os.replace(fresh, self._spool)
            if self._synced:
                sync_name(self._spool)
                self._synced.turn(file)
            os.close(self._file)
        self._file, self._size = file, 0

    def close(self) -> None:
        """Let go of the pipe and the spool."""
        os.close(self._file)
        if self._synced:
            self._synced.close()
        if self._pipe:
            os.close(self._pipe)

    def _marked(self) -> Synced:
        """The mark of all that is in the spool, and of what comes. No power cut puts another file in the place of
        either: one whose events are checkpointed would be folded again."""
        synced = Synced(self._file, mark_of(self._spool))
        sync_name(self._spool)
        synced.sync()
        return synced

    def _unmarked(self) -> None:
        """Nothing is marked that comes now: so no later power cut may bring the mark back, by which it would be
        cut off."""
        with suppress(FileNotFoundError):
            os.unlink(mark_of(self._spool))
            sync_name(self._spool)

    def _spliced(self) -> int:
        """Copy what comes next, by one system call: a kill finds it in the pipe or in the spool."""
        try:
            moved = os.splice(self._pipe, self._file, _AT_ONCE, offset_dst=self._size)
        except OSError as error:
            import errno

            if error.errno != errno.EINVAL:
                raise
            self._splices = False  # not on this file system
            return self._copied()
        self._size += moved
        return moved

    def _copied(self) -> int:
        block = os.read(self._pipe, _AT_ONCE)
        self._write(block)
        return len(block)

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            written = os.pwrite(self._file, rest, self._size)
            self._size += written
            rest = rest[written:]

    def _mend(self) -> int:
        begin = max(0, self._size - MAX_LINE)
        left = os.pread(self._file, self._size - begin, begin).rpartition(b"\n")[2]
        if not left:
            return 0
        with suppress(DecodeError):
            decode(left)
            self._write(b"\n")
            return 0
        self._size -= len(left)
        os.ftruncate(self._file, self._size)
        return len(left)


def _opened(path: str, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
