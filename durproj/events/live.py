"""Following an input: a file that grows, is rotated or cut; a pipe, by way of a spool file.

What is read of it is one logical sequence, although files come and go. When another file takes the name, or
the file was cut, a new origin begins (`Cursor.origin`) one byte beyond the place where the last one
ended, so that no two places of the sequence are the same.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from durproj.errors import UsageError
from durproj.events.compressed import is_compressed
from durproj.events.cursor import Cursor
from durproj.events.inputs import named
from durproj.events.reader import MAX_LINE, Source
from durproj.events.rotation import begins_with, copy_of, identity, name_of, rotated_after

if TYPE_CHECKING:
    from durproj.events.lines import Chunk


class LiveSource(Source):
    """The whole lines of a file that grows; an unfinished last line waits for its end.

    Every pass hands out what is there. The one that begins where the last one ended goes on without
    reading anything again. Close it when done.
    """

    # Lines cannot be read back: the file may have gone by then.
    seekable = False
    restartable = True

    def __init__(self, path: str, max_line: int = MAX_LINE) -> None:
        super().__init__([path], max_line)
        self._path = path
        self._descriptor = -1
        self._looked = (-1, -1)
        self._arrived = self._final = False
        self._former: tuple[int, int] | None = None

    def open(self, path: str | None = None) -> bool:
        """Open the file, as `path` when it has been renamed; False when it is not there."""
        path = path or self._path
        with named(path):
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError:
                return False
            if not stat.S_ISREG(os.fstat(file).st_mode) or is_compressed(os.pread(file, 8, 0)):
                os.close(file)
                raise UsageError(
                    f"{path} cannot be followed", "only a plain file or a pipe grows line by line"
                )
        if self._descriptor >= 0:
            self._former = self._identity()
        self.close()
        self._descriptor, self._looked, self._final = file, (-1, -1), False
        self.paths = [path]
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def spool(self, copies: Mapping[str, str], *, sync: bool) -> None:
        """Nothing: what is open here is a file, and its name may be another's or nobody's by now."""

    def chunks(self, start: Cursor | None = None) -> Iterator[Chunk]:
        """As `Source.chunks`: the whole lines from `start` on that are there now."""
        if start is not None and self._offset and start == self.cursor():
            yield from self._split(self._read(self._offset), self.paths[0])
        else:
            yield from super().chunks(start)

    def cursor(self, taken: int | None = None) -> Cursor:
        """As `Source.cursor`, with the file."""
        return replace(super().cursor(taken), file=self._identity())

    def unchanged(self) -> bool:
        """True: what was handed out is what was hashed, whatever became of the file."""
        return True

    def begin(self, origin: int) -> Cursor:
        """Stand at the beginning of the file, as the place `origin` of the sequence."""
        self._reset(origin)
        return self.cursor()

    def turn(self) -> Cursor | None:
        """Go over to the file that had or has the name next; None when there is none.

        It begins a new origin, unless it is a copy of this one that has taken its place: then reading
        goes on in it.
        """
        cursor, here = self.cursor(), self._identity()
        while True:
            name = name_of(self._path, here)
            following = name and rotated_after(self._path, name, self._former)
            if not self.open(following or None):
                return None
            # Names move on while files are rotated.
            if name_of(self._path, here) == name:
                break
        if name is None and cursor.bytes > cursor.origin and begins_with(self._path, cursor):
            return self.cursor()
        return self.begin(self._position + 1)

    def turn_back(self) -> Cursor | None:
        """Go on after the file was cut: with a copy that was made of it before, else from its new
        beginning; None when it is not there."""
        cursor = self.cursor()
        if (copy := copy_of(self._path, cursor)) and self.open(copy):
            return self.cursor()
        return self.begin(self._position + 1) if self.open() else None

    def arrived(self) -> bool:
        """Whether whole lines have come since the last pass."""
        look = os.fstat(self._descriptor).st_size, self._offset
        if look != self._looked:
            self._looked, self._arrived = look, self._end(self._offset) > self._offset
        return self._arrived

    def place(self) -> int:
        """How many bytes of the file have been handed out."""
        return self._offset

    def behind(self) -> int:
        """How many bytes of the file have not been handed out."""
        return (
            max(0, os.fstat(self._descriptor).st_size - self._offset)
            if self._descriptor >= 0
            else 0
        )

    def replaced(self, *, begun: bool = False) -> bool:
        """Whether another file has the name now; `begun`: and something was written to it."""
        try:
            now = os.stat(self._path)
        except OSError:
            return False
        return identity(now) != self._identity() and (now.st_size > 0 or not begun)

    def cut(self) -> bool:
        """Whether the file no longer holds what was read last."""
        if self._last is None or self._offset == 0:
            return os.fstat(self._descriptor).st_size < self._offset
        line = self._last.raw[-1]
        whole = line + b"\n" if not self._unended else line
        return os.pread(self._descriptor, len(whole), self._offset - len(whole)) != whole

    def end(self) -> None:
        """Nothing more will come: the last line counts, finished or not."""
        self._final, self._looked = True, (-1, -1)

    def _is_in(self, file: tuple[int, int]) -> bool:
        return file == self._identity()  # whatever has its name by now

    def _identity(self) -> tuple[int, int]:
        return identity(os.fstat(self._descriptor))

    def _raw(self, path: str) -> Iterator[bytes]:  # noqa: ARG002
        yield from self._read(0)

    def _read(self, at: int) -> Iterator[bytes]:
        end = self._end(at)
        while at < end and (block := os.pread(self._descriptor, min(self._block, end - at), at)):
            yield block
            at += len(block)
        self._status = os.fstat(self._descriptor)

    def _end(self, at: int) -> int:
        """Where the whole lines from `at` on end."""
        end = size = os.fstat(self._descriptor).st_size
        while not self._final and end > at:
            begin = max(at, end - self._block)
            cut = os.pread(self._descriptor, end - begin, begin).rfind(b"\n")
            if cut >= 0:
                return begin + cut + 1
            end = begin
        # A line that is too long already will not become right by waiting.
        return size if self._final or size - at > self._max_line else at
