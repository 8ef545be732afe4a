"""Marks: how much of a file that grows is on the disk for certain. What was written since its last sync may be
there after a power cut, or zeros in its place, or some of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from blake3 import blake3

ENDING = "#synced"
"""Of the name of a mark; no name of a run has a #, so that it is that of no other file beside a store."""

_RECORD = struct.Struct("<Q32s")
"""An end, and the hash of all bytes before it: a record that was torn, or is that of another file, fits none."""

_PLACES = (0, 4096)
"""They are written in turn, so that one is whole while the other is written."""

_BOOT_PLACE = 8192
"""Where it says since when the machine was up as the mark was made."""

_BOOT_ID = "/proc/sys/kernel/random/boot_id"

_BLOCK = 1 << 20


class Mark:
    """The mark at `path`, for a file that is written from its beginning. Raises OSError, as all of it."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        ends = [end for end, _ in _records(self._file)]
        self._turn = ends.index(min(ends))
        os.pwrite(self._file, _boot(), _BOOT_PLACE)

    def set(self, end: int, digest: bytes) -> None:
        """Return once it is on the disk that the first `end` bytes are, with this BLAKE3 hash."""
        os.pwrite(self._file, _RECORD.pack(end, digest), _PLACES[self._turn])
        os.fsync(self._file)
        self._turn = 1 - self._turn

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class Synced:
    """Keeps the mark at `path` for `file`, an open one that only grows. Raises OSError, as all of it."""

    def __init__(self, file: int, path: str) -> None:
        self._mark = Mark(path)
        self._file, self._end, self._hash = file, 0, blake3()

    def sync(self) -> None:
        """Return once all that is in the file is on the disk, and that it is."""
        os.fsync(self._file)
        self._end = _hash_on(self._hash, self._file, self._end, os.fstat(self._file).st_size)
        self._mark.set(self._end, self._hash.digest())

    def turn(self, file: int) -> None:
        """Another file has taken the place of the one before, and that is on the disk."""
        self._file, self._end, self._hash = file, 0, blake3()
        self.sync()

    def close(self) -> None:
        """Let go of the mark."""
        self._mark.close()


def cut_lost(path: str, mark: str) -> None:
    """As `cut_unmarked`, if the machine was started anew since the mark was made: what a kill left is whole, be it
    synced or not. Where nothing tells (only Linux does) all is kept. Raises OSError."""
    with _read(mark) as marks:
        boot = None if marks is None else os.pread(marks, len(_boot()) + 1, _BOOT_PLACE)
    if boot != _boot():
        cut_unmarked(path, mark)


def cut_unmarked(path: str, mark: str) -> None:
    """Cut off the file at `path` what is behind the end that the mark at `mark` has for it; nothing where there is
    no mark, or none for this file. Raises OSError."""
    with _read(mark) as marks:
        if marks is None:
            return
        records = sorted(_records(marks))
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        end = _marked(file, records)
        if end is not None and end < os.fstat(file).st_size:
            os.ftruncate(file, end)
    finally:
        os.close(file)


@contextmanager
def _read(path: str) -> Iterator[int | None]:
    """The mark at `path`, open to be read; None when there is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        yield file
    finally:
        os.close(file)


def _records(file: int) -> list[tuple[int, bytes]]:
    """The end and the hash in each place."""
    read = (os.pread(file, _RECORD.size, place) for place in _PLACES)
    return [_RECORD.unpack(record.ljust(_RECORD.size, b"\0")) for record in read]


def _marked(file: int, records: list[tuple[int, bytes]]) -> int | None:
    """The last end, of those in ascending order, that is one of `file`; None when none is."""
    hasher, at, found = blake3(), 0, None
    for end, digest in records:
        at = _hash_on(hasher, file, at, end)
        if at == end and hasher.digest() == digest:
            found = end
    return found


def _hash_on(hasher: blake3, file: int, at: int, end: int) -> int:
    """Take in what `file` has from `at` to `end`; the place it came to."""
    while at < end and (block := os.pread(file, min(_BLOCK, end - at), at)):
        hasher.update(block)
        at += len(block)
    return at


def _boot() -> bytes:
    """What is another each time the machine is started; empty where nothing tells."""
    try:
        with open(_BOOT_ID, "rb") as file:
            return file.read().strip()
    except OSError:
        return b""
