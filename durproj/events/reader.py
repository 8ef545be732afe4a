r"""Bytes to lines: files, stdin, gzip and zstd as one logical sequence of lines.

The logical sequence is the decompressed files one after another. A file whose last line has no
newline ends its line there: when another file follows, one newline is counted between them.
Lines end at `\n` only, never at the other characters that Unicode calls line ends.
"""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from itertools import chain, filterfalse
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from durproj.errors import BadEvent, UsageError
from durproj.events.compressed import BrokenStream, is_compressed, plain_blocks
from durproj.events.containers.conversion import BadRecord, json_lines
from durproj.events.cursor import Cursor, Part, PrefixChanged, same_file
from durproj.events.inputs import Pipe, Waiting, first_bytes, identity_of, is_regular, named
from durproj.events.lines import (
    Chunk,
    an_object,
    first_bytes_trouble,
    is_blank,
    make_chunk,
    parse_value,
    too_long,
)
from durproj.events.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

BLOCK = 64 << 10
MAX_LINE = 16 << 20

_HEAD = 8
_MOST_BLANKS = 1 << 16


class Source:
    """The lines of some inputs, in order, with a running BLAKE3 over what was handed out.

    paths: as `expand` gives them. max_line: the longest line accepted, in bytes; memory stays
    within a few times of it. block: bytes read at a time. waiting: makes the context for every call
    that may block for good, such as reading from a terminal or opening a FIFO. broken: those of the
    paths that are known to break off (see `spool`): what is incomplete at their end is left out.
    container: what the inputs are, when not JSON lines (see `durproj.events.containers.conversion`); then bytes and
    line numbers are those of the lines that it is turned into, a line a record. ends: whether nothing is
    missing behind the last line, for all that is known.
    """

    def __init__(
        self,
        paths: Sequence[str],
        max_line: int = MAX_LINE,
        block: int = BLOCK,
        waiting: Waiting = nullcontext,
        broken: Collection[str] = (),
        container: str | None = None,
    ) -> None:
        self.paths = list(paths)
        self.parts: list[Part] = []
        self._max_line = max_line
        self._block = block
        self._waiting = waiting
        self._broken, self.ends, self.sample_cut = broken, not broken, False
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
        return all(part.status is None or same_file(part.path, part.status) for part in self.parts)

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
        if start and start.file and start.bytes == start.origin and not self._is_in(start.file):
            raise PrefixChanged
        self._reset(start.origin if start else 0)
        for path in self.paths:
            yield from self._file(path, start)
        if start and self._position < start.bytes:
            raise PrefixChanged

    def spool(self, copies: Mapping[str, str], *, sync: bool) -> None:
        """Keep copies of what comes through pipes, in the files that `copies` has for their paths."""
        for path in self.paths:
            if path in copies and not is_regular(path):
                self._pipe(path).spool = Spool(copies[path], sync=sync)

    def cursor(self, taken: int | None = None) -> Cursor:
        """The place after the last chunk handed out, or after the first `taken` lines of it."""
        chunk = self._last
        if taken is None or chunk is None or taken >= len(chunk.raw):
            return Cursor(self._position, self._lines, self._hash.hexdigest(), self._origin)
        content = b"".join(line + b"\n" for line in chunk.raw[:taken])
        digest = self._before.copy()
        digest.update(content)
        lines = self._lines - len(chunk.raw) + taken
        return Cursor(chunk.position + len(content), lines, digest.hexdigest(), self._origin)

    def sample(self, limit: int = 100, *, past_bad: bool = False) -> list[dict[str, Any]]:
        """The first events, at most `limit` and, unless `past_bad`, only up to the first bad line; fewer
        where these are more bytes than the longest line may have: `sample_cut` is true then.

        Costs nothing later: what was taken from a pipe for it is handed out again by `chunks`.
        """
        bodies: list[dict[str, Any]] = []
        self._reset()
        self._sampling = True
        try:
            for chunk in chain.from_iterable(self._file(path, None) for path in self.paths):
                for line in filterfalse(is_blank, chunk.lines):
                    with suppress(ValueError) if past_bad else nullcontext():
                        value = parse_value(line, exact=chunk.odd)
                        if value is not None:  # no event in some formats, and a bad line in others
                            bodies.append(an_object(value))
                    if len(bodies) == limit:
                        return bodies
                if self._position > self._max_line:
                    self.sample_cut = True
                    break
        except (BadEvent, ValueError):
            return bodies
        finally:
            self._reset()
            for pipe in self._pipes.values():
                pipe.rewind()
        return bodies

    def _reset(self, origin: int = 0) -> None:
        self.parts = []
        self._hash = blake3()
        self._before = self._hash
        self._origin = self._position = origin
        self._lines = 0
        self._unended = False
        self._last: Chunk | None = None
        self._status: os.stat_result | None = None
        self._sampling = False
        # Where the input being read has been split up to.
        self._line, self._offset = 1, 0

    def _file(self, path: str, start: Cursor | None) -> Iterator[Chunk]:
        """One input, without the part of `start` that lies in it."""
        self._line, self._offset = 1, 0
        blocks = self._blocks(path)
        try:
            first = next(blocks, b"")
            if first:
                self._begin(path, start)
                yield from self._split(self._after(chain((first,), blocks), start), path)
                self.parts[-1].status = self._status
        except BrokenStream as broken:
            if start and self._position < start.bytes:
                raise PrefixChanged from None
            if path in self._broken:
                return
            raise BadEvent(*(path, self._line, self._offset, str(broken), broken.hint)) from None
        except BadRecord as bad:
            if start and self._position < start.bytes:
                raise PrefixChanged from None
            record = bad.number is not None
            raise BadEvent(path, bad.number or 1, 0, bad.why, bad.hint, record=record) from None

    def _after(self, blocks: Iterator[bytes], start: Cursor | None) -> Iterator[bytes]:
        """What follows in `blocks` on the bytes that `start` was taken over; these are not split."""
        for block in blocks:
            passed = 0
            if start and self._position < start.bytes:
                passed = self._pass_over(block[: start.bytes - self._position], start)
            if passed < len(block):
                yield block[passed:] if passed else block

    def _split(self, blocks: Iterator[bytes], path: str) -> Iterator[Chunk]:
        """The lines of `blocks`, from the present place in the input `path` on."""
        held: list[bytes] = []
        size = 0
        for read in blocks:
            block = read
            cut = block.rfind(b"\n") + 1
            if cut:
                whole = b"".join((*held, block[:cut]))
                held, size, block = [], 0, block[cut:]
                yield from self._hand_out(self._end_line(whole), path)
            if block:
                held.append(block)
                size += len(block)
            if size > self._max_line:
                raise too_long(path, self._line, self._offset, self._max_line)
        if held and path not in self._broken:
            yield from self._hand_out(self._end_line(b"".join(held)), path)

    def _is_in(self, file: tuple[int, int]) -> bool:
        """Whether `file` is the one input; of a file of which nothing was read, that is all to tell it by."""
        return identity_of(self.paths[0]) == file

    def _begin(self, path: str, start: Cursor | None) -> None:
        if self._unended:
            self._hash.update(b"\n")
            self._position += 1
            self._unended = False
            self._compare(start)
        self.parts.append(Part(path, self._position))

    def _pass_over(self, data: bytes, start: Cursor) -> int:
        self._hash.update(data)
        self._position += len(data)
        self._offset += len(data)
        self._unended = not data.endswith(b"\n")
        if len(self.paths) > 1:
            self._line += data.count(b"\n")
        elif self._position == start.bytes:
            # With one input the cursor knows the line number, and counting newlines is saved.
            self._line = start.lines + (not self._unended)
        self._compare(start)
        return len(data)

    def _compare(self, start: Cursor | None) -> None:
        if start and self._position == start.bytes:
            if self._hash.hexdigest() != start.digest:
                raise PrefixChanged
            self._lines = start.lines

    def _end_line(self, whole: bytes) -> bytes:
        """`whole`, or after a cursor in mid-line what follows on that line's end; nothing else may come."""
        if not self._unended:
            return whole
        ending = whole[: whole.find(b"\n") + 1] or whole
        if ending.rstrip(b"\n") not in {b"", b"\r"}:
            raise PrefixChanged
        self._hash.update(ending)
        self._position += len(ending)
        self._unended = not ending.endswith(b"\n")
        self._line += 1
        self._offset += len(ending)
        return whole[len(ending) :]

    def _hand_out(self, whole: bytes, path: str) -> Iterator[Chunk]:
        """Yield `whole` as a chunk, unless it is empty."""
        if not whole:
            return
        contained = self._container is not None
        chunk = make_chunk(whole, path, self._line, self._offset, self._position, contained)
        if len(whole) > self._max_line:
            long = next((i for i, raw in enumerate(chunk.raw) if len(raw) > self._max_line), None)
            if long is not None:
                at = chunk.offset_of(long) - self._offset
                yield from self._hand_out(whole[:at], path)
                raise too_long(path, self._line, self._offset, self._max_line)
        self._before = self._hash.copy()
        self._hash.update(whole)
        self._position += len(whole)
        self._lines += len(chunk.raw)
        self._unended = not whole.endswith(b"\n")
        self._line += len(chunk.raw)
        self._offset += len(whole)
        self._last = chunk
        yield chunk

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
        yield from self._pipe(path).blocks(keep=self._sampling)

    def _pipe(self, path: str) -> Pipe:
        return self._pipes.setdefault(path, Pipe(path, self._block, self._waiting))
