"""Marks: how much of a file that grows is on the disk for certain. What was written since its last sync may be
there after a power cut, or zeros in its place, or some of it."""

from __future__ import annotations

import os
import struct

from blake3 import blake3

_RECORD = struct.Struct("<Q32s")
"""An end, and the hash of all bytes before it: a record that was torn, or is that of another file, fits none."""

_PLACES = (0, 4096)
"""They are written in turn, so that one is whole while the other is written."""

_BLOCK = 1 << 20


class Mark:
    """The mark at `path`, for a file that is written from its beginning. Raises OSError, as all of it."""

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        ends = [end for end, _ in _records(self._file)]
        self._turn = ends.index(min(ends))

    def set(self, end: int, digest: bytes) -> None:
        """Return once it is on the disk that the first `end` bytes are, with this BLAKE3 hash."""
        os.pwrite(self._file, _RECORD.pack(end, digest), _PLACES[self._turn])
        os.fsync(self._file)
        self._turn = 1 - self._turn

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def cut_unmarked(path: str, mark: str) -> None:
    """Cut off the file at `path` what is behind the end that the mark at `mark` has for it; nothing where there is
    no mark, or none for this file. Raises OSError."""
    try:
        marks = os.open(mark, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        records = sorted(_records(marks))
    finally:
        os.close(marks)
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        end = _marked(file, records)
        if end and end < os.fstat(file).st_size:
            os.ftruncate(file, end)
    finally:
        os.close(file)


def _records(file: int) -> list[tuple[int, bytes]]:
    """The end and the hash in each place."""
    read = (os.pread(file, _RECORD.size, place) for place in _PLACES)
    return [_RECORD.unpack(record.ljust(_RECORD.size, b"\0")) for record in read]


def _marked(file: int, records: list[tuple[int, bytes]]) -> int:
    """The last end, of those in ascending order, that is one of `file`; 0 when none is."""
    hasher, at, found = blake3(), 0, 0
    for end, digest in records:
        while at < end and (block := os.pread(file, min(_BLOCK, end - at), at)):
            hasher.update(block)
            at += len(block)
        if at == end and hasher.digest() == digest:
            found = end
    return found
