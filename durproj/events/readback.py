"""Lines read back by where they are: from the inputs themselves, or from a spool of what cannot seek."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from contextlib import contextmanager
from itertools import accumulate
from typing import IO, TYPE_CHECKING

from durproj.errors import StoreError
from durproj.events.inputs import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from durproj.events.cursor import Part

NO_LIMIT = 1 << 62
_OPEN_FILES = 32


class Readback:
    """Reads lines by their places: the bytes at which they begin in the sequence of all inputs or,
    once `spool` was called, in the spool.

    parts: the inputs, to be set when all are read. name, file, base, limit: the input being read, of
    which it has the places from `base` up to `limit`; grown: lines were appended to it since.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.name, self.file, self.grown = "", -1, False
        self.base = self.limit = 0
        self._files: OrderedDict[int, int] = OrderedDict()
        self._spool: IO[bytes] | None = None
        self._spooled = 0

    @property
    def spooling(self) -> bool:
        """Whether lines are read back from a spool."""
        return self._spool is not None

    def begin_spool(self, directory: str | None) -> None:
        """Keep lines in a file without a name in `directory`. Raises StoreError when there is no room."""
        import tempfile

        with _spooling():
            self._spool = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115

    def spool(self, lines: list[bytes]) -> list[int]:
        """Keep `lines`; their places. Raises StoreError when there is no room."""
        assert self._spool is not None
        places = list(accumulate(map(len, lines), initial=self._spooled))
        with _spooling():
            self._spool.write(b"".join(lines))
        self._spooled = places.pop()
        return places

    def end_spool(self) -> None:
        """All lines are there. Raises StoreError when there is no room."""
        if self._spool:
            with _spooling():
                self._spool.flush()

    def read(self, place: int, size: int) -> bytes:
        """The `size` bytes at `place`, all of them in one input: a line, or neighbours with what is
        between them. Raises StoreError when the input was changed in a way that shows."""
        if not self.base <= place < self.limit:
            self.enter(place)
        data = os.pread(self.file, size, place - self.base)
        if len(data) < size:
            raise self.changed()
        return data

    def enter(self, place: int) -> None:
        """Make the input that holds `place` the one to read from."""
        if self._spool:
            self.name, self.file = "the spool file", self._spool.fileno()
            self.base, self.limit, self.grown = 0, NO_LIMIT, False
            return
        number = self.part_at(place)
        part = self.parts[number]
        file = self._files.get(number)
        if file is None:
            file = self._opened(number, part.path)
        self._files.move_to_end(number)
        self.grown = part.status is not None and _has_grown(part.path, file, part.status)
        self.name, self.file, self.base = part.path, file, part.base
        last = number + 1 == len(self.parts)
        self.limit = NO_LIMIT if last else self.parts[number + 1].base

    def part_at(self, position: int) -> int:
        """Which of the inputs holds the byte `position` of the sequence."""
        return bisect_right(self.parts, position, key=lambda part: part.base) - 1

    def changed(self) -> StoreError:
        """The error for the input being read, when it is not what it was."""
        return _changed(self.name)

    def close(self) -> None:
        """Let go of the open files and of the spool."""
        while self._files:
            os.close(self._files.popitem()[1])
        self.base = self.limit = 0
        if self._spool:
            self._spool.close()

    def _opened(self, number: int, path: str) -> int:
        with named(path):
            self._files[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if len(self._files) > _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        return self._files[number]


def _has_grown(path: str, file: int, then: os.stat_result) -> bool:
    """Whether lines were appended since. Raises StoreError after any other change."""
    now = os.fstat(file)
    replaced = (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)
    rewritten = now.st_size == then.st_size and now.st_mtime_ns != then.st_mtime_ns
    if replaced or rewritten or now.st_size < then.st_size:
        raise _changed(path)
    return now.st_size > then.st_size


@contextmanager
def _spooling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the input cannot be read twice, and there is no room to spool it: {error.strerror}",
            "save it to a file and read that",
        ) from None


def _changed(path: str) -> StoreError:
    return StoreError(f"{path} was changed while it was being read", "run again")
