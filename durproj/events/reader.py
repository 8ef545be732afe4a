r"""Bytes to lines: files, stdin, gzip and zstd as one logical sequence of lines.

The logical sequence is the decompressed files one after another. A file whose last line has no
newline ends its line there: when another file follows, one newline is counted between them.
Lines end at `\n` only, never at the other characters that Unicode calls line ends.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from durproj.errors import BadEvent, UsageError
from durproj.events.compressed import BrokenStream, is_compressed, plain_blocks
from durproj.events.containers import BadRecord, json_lines
from durproj.events.cursor import Cursor, PrefixChanged
from durproj.events.inputs import Pipe, Waiting, expand, first_bytes, is_regular, named
from durproj.events.lines import (
    Chunk,
    an_object,
    bad_event,
    first_bytes_trouble,
    is_blank,
    make_chunk,
    parse,
    parse_value,
    too_long,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

__all__ = [
    "Chunk", "Cursor", "Part", "PrefixChanged", "Source", "bad_event", "expand", "is_blank", "parse",
]  # fmt: skip

BLOCK = 64 << 10
MAX_LINE = 16 << 20

_HEAD = 8
_MOST_BLANKS = 1 << 16


@dataclass(slots=True)
class Part:
    """One input within the sequence: where it begins, and the file's stat once it was read."""

    path: str
    base: int
    status: os.stat_result | None = None


def _same(path: str, then: os.stat_result) -> bool:
    try:
        now = os.stat(path)
    except OSError:
        return False
    fields = ("st_dev", "st_ino", "st_size", "st_mtime_ns")
    return all(getattr(now, name) == getattr(then, name) for name in fields)


class Source:
    """The lines of some inputs, in order, with a running BLAKE3 over what was handed out.

    paths: as `expand` gives them. max_line: the longest line accepted, in bytes; memory stays
    within a few times of it. block: bytes read at a time. waiting: makes the context for every call
    that may block for good, such as reading from a terminal or opening a FIFO. container: what the
    inputs are, when not JSON lines (see `durproj.events.containers`); then bytes and line numbers are
    those of the lines that it is turned into, a line a record.
    """

    def __init__(
        self,
        paths: Sequence[str],
        max_line: int = MAX_LINE,
        block: int = BLOCK,
        waiting: Waiting = nullcontext,
        container: str | None = None,
    ) -> None:
        self.paths = list(paths)
        self.parts: list[Part] = []
        self._max_line = max_line
        self._block = block
        self._waiting = waiting
        self._container = container
        self._pipes: dict[str, Pipe] = {}
        self._passes = 0
        self._reset()

    @property
    def restartable(self) -> bool:
        """Whether the inputs can be read more than once: all are regular files."""
        return all(is_regular(path) for path in self.paths)

    @property
    def seekable(self) -> bool:
        """Whether lines can be read back from the inputs: all are regular files of JSON lines, and not
        compressed."""
        as_they_are = self.restartable and self._container is None
        return as_they_are and not any(is_compressed(first_bytes(path)) for path in self.paths)

    def unchanged(self) -> bool:
        """Whether the files are still those that the last pass read, by inode, size and time."""
        return all(part.status is None or _same(part.path, part.status) for part in self.parts)

    def chunks(self, start: Cursor | None = None) -> Iterator[Chunk]:
        """The lines from `start` (or the beginning) on, in chunks of whole lines of one input.

        Raises PrefixChanged before the first chunk when the input does not begin with what `start`
        was taken over, BadEvent where an input is no JSON lines, holds a line that is too long, or
        breaks off; NotFound, StoreDenied or StoreError when it cannot be read; UsageError for a
        second pass over what can be read only once.
        """
        if self._passes and not self.restartable:
            raise UsageError(
                "standard input and pipes can be read only once", "save it to a file first"
            )
        self._passes += 1
        self._reset()
        for path in self.paths:
            yield from self._file(path, start)
        if start and self._position < start.bytes:
            raise PrefixChanged

    def cursor(self, taken: int | None = None) -> Cursor:
        """The place after the last chunk handed out, or after the first `taken` lines of it."""
        chunk = self._last
        if taken is None or chunk is None or taken >= len(chunk.raw):
            return Cursor(self._position, self._lines, self._hash.hexdigest())
        content = b"".join(line + b"\n" for line in chunk.raw[:taken])
        digest = self._before.copy()
        digest.update(content)
        lines = self._lines - len(chunk.raw) + taken
        return Cursor(chunk.position + len(content), lines, digest.hexdigest())

    def sample(self, limit: int = 100) -> list[dict[str, Any]]:
        """The first events, at most `limit` and only up to the first bad line.

        Costs nothing later: what was taken from a pipe for it is handed out again by `chunks`.
        """
        bodies: list[dict[str, Any]] = []
        self._reset()
        self._sampling = True
        try:
            for path in self.paths:
                for chunk in self._file(path, None):
                    lines = (line for line in chunk.lines if not is_blank(line))
                    for line in lines:
                        value = parse_value(line, exact=chunk.odd)
                        if value is None:  # no event in some formats, and a bad line in others
                            continue
                        bodies.append(an_object(value))
                        if len(bodies) == limit:
                            return bodies
        except (BadEvent, ValueError):
            return bodies
        finally:
            self._reset()
            for pipe in self._pipes.values():
                pipe.rewind()
        return bodies

    def _reset(self) -> None:
        self.parts = []
        self._hash = blake3()
        self._before = self._hash
        self._position = 0
        self._lines = 0
        self._unended = False
        self._last: Chunk | None = None
        self._status: os.stat_result | None = None
        self._sampling = False

    def _file(self, path: str, start: Cursor | None) -> Iterator[Chunk]:
        """One input: first the part of `start` that lies in it, unsplit, then its chunks."""
        line, offset, size = 1, 0, 0
        held: list[bytes] = []
        fresh = True
        continued = False
        blocks = self._blocks(path)
        try:
            for read in blocks:
                block = read
                if fresh:
                    fresh = False
                    self._begin(path, start)
                if start and self._position < start.bytes:
                    passed = block[: start.bytes - self._position]
                    self._pass_over(passed, start)
                    line, offset = line + self._ends(passed), offset + len(passed)
                    block = block[len(passed) :]
                    continued = self._unended
                    if self._position == start.bytes and len(self.paths) == 1:
                        line = start.lines + (not continued)
                cut = block.rfind(b"\n") + 1
                if cut:
                    whole = b"".join((*held, block[:cut]))
                    held, size, block = [], 0, block[cut:]
                    if continued:
                        whole, line, offset = self._end_line(whole, line, offset)
                        continued = False
                    line += yield from self._hand_out(whole, path, line, offset)
                    offset += len(whole)
                if block:
                    held.append(block)
                    size += len(block)
                if size > self._max_line:
                    raise too_long(path, line, offset, self._max_line)
        except BrokenStream as broken:
            if start and self._position < start.bytes:
                raise PrefixChanged from None
            raise BadEvent(
                path, line, offset, str(broken), "the lines before it are sound"
            ) from None
        except BadRecord as bad:
            if start and self._position < start.bytes:
                raise PrefixChanged from None
            record = bad.number is not None
            raise BadEvent(path, bad.number or 1, 0, bad.why, bad.hint, record=record) from None
        if held:
            whole = b"".join(held)
            if continued:
                whole, line, offset = self._end_line(whole, line, offset)
            yield from self._hand_out(whole, path, line, offset)
        if not fresh:
            self.parts[-1].status = self._status

    def _begin(self, path: str, start: Cursor | None) -> None:
        if self._unended:
            self._hash.update(b"\n")
            self._position += 1
            self._unended = False
            self._compare(start)
        self.parts.append(Part(path, self._position))

    def _pass_over(self, data: bytes, start: Cursor) -> None:
        self._hash.update(data)
        self._position += len(data)
        self._unended = not data.endswith(b"\n")
        self._compare(start)

    def _compare(self, start: Cursor | None) -> None:
        if start and self._position == start.bytes:
            if self._hash.hexdigest() != start.digest:
                raise PrefixChanged
            self._lines = start.lines

    def _ends(self, data: bytes) -> int:
        # With one input the cursor knows the line number, and counting newlines is saved.
        return data.count(b"\n") if len(self.paths) > 1 else 0

    def _end_line(self, whole: bytes, line: int, offset: int) -> tuple[bytes, int, int]:
        """What follows in the file after a cursor in mid-line: only that line's end may come."""
        ending = whole[: whole.find(b"\n") + 1] or whole
        if ending.rstrip(b"\n") not in {b"", b"\r"}:
            raise PrefixChanged
        self._hash.update(ending)
        self._position += len(ending)
        self._unended = not ending.endswith(b"\n")
        return whole[len(ending) :], line + 1, offset + len(ending)

    def _hand_out(
        self, whole: bytes, path: str, line: int, offset: int
    ) -> Generator[Chunk, None, int]:
        """Yield `whole` as a chunk, unless it is empty; the number of its lines."""
        if not whole:
            return 0
        chunk = make_chunk(whole, path, line, offset, self._position, self._container is not None)
        if len(whole) > self._max_line:
            long = next((i for i, raw in enumerate(chunk.raw) if len(raw) > self._max_line), None)
            if long is not None:
                at = chunk.offset_of(long)
                yield from self._hand_out(whole[: at - offset], path, line, offset)
                raise too_long(path, line + long, at, self._max_line)
        self._before = self._hash.copy()
        self._hash.update(whole)
        self._position += len(whole)
        self._lines += len(chunk.raw)
        self._unended = not whole.endswith(b"\n")
        self._last = chunk
        yield chunk
        return len(chunk.raw)

    def _blocks(self, path: str) -> Iterator[bytes]:
        """The decompressed content of one input. Raises BadEvent when it cannot be JSON lines."""
        raw = self._raw(path)
        head = b""
        while len(head) < _HEAD and (block := next(raw, b"")):
            head += block
        blocks = plain_blocks(chain([head], raw), head, self._block)
        head = b""
        for block in blocks:
            head += block
            if (len(head) >= _HEAD and head.strip()) or len(head) > _MOST_BLANKS:
                break
        trouble = first_bytes_trouble(head, path, self._container)
        if trouble:
            raise trouble
        blocks = chain([head] if head else [], blocks)
        if self._container is None:
            yield from blocks
        else:
            yield from json_lines(self._container, blocks, self._max_line)

    def _raw(self, path: str) -> Iterator[bytes]:
        if is_regular(path):
            with named(path), open(path, "rb", buffering=0) as file:
                while block := file.read(self._block):
                    yield block
                self._status = os.fstat(file.fileno())
            return
        pipe = self._pipes.setdefault(path, Pipe(path, self._block, self._waiting))
        yield from pipe.blocks(keep=self._sampling)
