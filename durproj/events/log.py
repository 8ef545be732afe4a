"""A log as streams: where each key's lines are, and how to read them back."""

from __future__ import annotations

import os
from array import array
from contextlib import contextmanager
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, Self

from durproj.errors import BadEvent, StoreError
from durproj.events.envelope import one_each
from durproj.events.keys import LineKeys
from durproj.events.readback import NO_LIMIT, Readback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, KeysView

    from durproj.events.cursor import Cursor
    from durproj.events.envelope import Envelope
    from durproj.events.leftout import LeftOut
    from durproj.events.lines import Chunk
    from durproj.events.reader import Source


# One read costs about as much as copying a few thousand bytes: nearer neighbours share a read.
_GAP = 4 << 10
_SPAN = 256 << 10
_SIZE = (1 << 32) - 1
_BATCH_LINES = 1024
_BATCH_BYTES = 4 << 20


class Index:
    """Every line of a log filed under its key, at 16 bytes a line, 32 with places, and one entry a key.

    skipped: lines left out for want of a key. others: up to ten of the keys that were there but
    not asked for. error: the BadEvent that ended the pass early, to be raised once the lines
    before it are folded. cursor: the place after the last line looked at.
    Close it, or use it in `with`.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.others: list[str] = []
        self.error: BadEvent | None = None
        self.cursor: Cursor | None = None
        # Two words a line, side by side in memory: where it starts; then its length in the lower half
        # and, in the upper, the number of its stream's next line from 1 on (0: there is none).
        self._lines = array("Q")
        self._slots: dict[str, int] = {}
        self._heads = array("I")
        self._tails = array("I")
        # With places, two words a line: its byte in the sequence of all inputs, its number in its own.
        self._places: array[int] | None = None
        self._records = False
        self._inputs = Readback()

    @classmethod
    def build(
        cls,
        source: Source,
        envelope: Envelope,
        keys: frozenset[str] | None = None,
        start: Cursor | None = None,
        on_missing_key: str = "error",
        spool_dir: str | None = None,
        check: Callable[[], None] | None = None,
        places: bool = False,
        whole: str | None = None,
        left_out: LeftOut | None = None,
    ) -> Index:
        """Read `source` once, from `start` on, and file its lines; of `keys` only, when given.

        on_missing_key: "error" (such a line is a BadEvent), "skip", or the key to use instead.
        spool_dir: where the lines of a source that cannot seek are kept, in a file without a name.
        check: called before every chunk; what it raises ends the pass. places: remember where each
        line is, for `place` and `bad_line`. whole: the key of every line, where `envelope` knows of none.
        A bad line goes to `left_out` or, without that, does not raise but ends the pass (see `error`).
        Raises what `Source.chunks` raises otherwise, and StoreError when there is no room to spool.
        """
        index = cls()
        index._places = array("Q") if places else None
        if not source.seekable:
            index._inputs.begin_spool(spool_dir)
        if whole is not None:
            on_missing_key = ""
        line_keys = LineKeys(envelope, keys, on_missing_key, left_out)
        taken = None
        try:
            for chunk in source.chunks(start):
                if check:
                    check()
                taken = index._take(chunk, line_keys, envelope.many)
                if taken is not None:
                    break
        except BadEvent as error:
            # Its frames hold what was read of a line that is too long.
            index.error = error.with_traceback(None)
        except BaseException:
            index.close()
            raise
        index.cursor = source.cursor(taken)
        index.skipped, index.others = line_keys.skipped, line_keys.others
        index.error = index.error or line_keys.error
        index._inputs.parts = source.parts
        index._tails = array("I")  # of use only while lines are filed
        index._inputs.end_spool()
        if whole is not None and index._slots:
            index._slots = {whole: 0}
        return index

    def __len__(self) -> int:
        return len(self._lines) // 2

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def keys(self) -> KeysView[str]:
        """The keys, in order of first appearance."""
        return self._slots.keys()

    def lines(self, key: str) -> Iterator[list[bytes]]:
        """The lines of the stream `key` in log order, in batches.

        Raises StoreError when an input was changed since it was indexed.
        """
        slot = self._slots.get(key)
        number = 0 if slot is None else self._heads[slot]
        while number:
            batch: list[bytes] = []
            with self._reading():
                number = self._read(number, batch)
            yield batch

    def numbers(self, key: str) -> Iterator[int]:
        """The numbers, from 1, by which the index knows the lines of the stream `key`, in log order."""
        slot = self._slots.get(key)
        number = 0 if slot is None else self._heads[slot]
        while number:
            yield number
            number = self._lines[2 * number - 1] >> 32

    def lines_of(self, numbers: Iterable[int]) -> Iterator[list[bytes]]:
        """The lines with these numbers, one after another, in batches. Raises as `lines` does."""
        batch: list[bytes] = []
        size = 0
        for number in numbers:
            start, length = self._lines[2 * number - 2], self._lines[2 * number - 1] & _SIZE
            with self._reading():
                line = self._inputs.read(start, length)
            if self._inputs.grown and b"\n" in line:
                raise self._inputs.changed()
            batch.append(line)
            size += length
            if len(batch) == _BATCH_LINES or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def place(self, number: int) -> str:
        """`FILE:LINE` of line `number`, or `FILE: record N`; of an index with places."""
        path, line, _ = self._where(number)
        return f"{path}: record {line}" if self._records else f"{path}:{line}"

    def bad_line(self, number: int, why: str, hint: str) -> BadEvent:
        """The error for line `number`; of an index with places."""
        path, line, offset = self._where(number)
        return BadEvent(path, line, offset, why, hint, record=self._records)

    def close(self) -> None:
        """Let go of the open files and of the spool."""
        self._inputs.close()

    def _where(self, number: int) -> tuple[str, int, int]:
        """The input of line `number`, its number there, and its byte there."""
        assert self._places is not None
        position, line = self._places[2 * number - 2 : 2 * number]
        part = self._inputs.parts[self._inputs.part_at(position)]
        return part.path, line, position - part.base

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot read {self._inputs.name}: {error.strerror}") from None

    def _take(self, chunk: Chunk, keys: LineKeys, many: bool) -> int | None:
        """File the lines of `chunk`; the number of the bad line that stopped it, or None."""
        self._records = chunk.records
        names, stopped = keys.of(chunk)
        lines, starts, at = chunk.lines[: len(names)], [], chunk.position
        for whole in chunk.raw[: len(names)]:
            starts.append(at)
            at += len(whole) + 1
        kept = [name is not None for name in names]
        if not all(kept):
            lines, starts = list(compress(lines, kept)), list(compress(starts, kept))
            names = list(compress(names, kept))
        where, numbers = starts, list[int]()
        if self._inputs.spooling:
            starts = self._inputs.spool(lines)
        if self._places is not None:
            numbers = list(compress(range(chunk.line, chunk.line + len(kept)), kept))
        if many:
            names, which = one_each(names)
            lines = [lines[i] for i in which]
            starts, where, numbers = (
                [column[i] for i in which] if column else [] for column in (starts, where, numbers)
            )
        if self._places is not None:
            self._places.extend(chain.from_iterable(zip(where, numbers, strict=True)))
        self._file_under(names, starts, lines)
        return stopped

    def _file_under(self, names: list[Any], starts: list[int], lines: list[bytes]) -> None:
        """File lines, by where they start, under their keys."""
        slots, heads, tails = self._slots, self._heads, self._tails
        filed = self._lines
        filed.extend(chain.from_iterable(zip(starts, map(len, lines), strict=True)))
        for number, name in enumerate(names, len(self) - len(names) + 1):
            slot = slots.get(name)
            if slot is None:
                slots[name] = len(heads)
                heads.append(number)
                tails.append(number)
            else:
                filed[2 * tails[slot] - 1] |= number << 32
                tails[slot] = number

    def _read(self, number: int, batch: list[bytes]) -> int:
        """Read line `number` of the log (from 1) and those of its stream that follow, as many as make a
        batch; the number of the next one, or 0."""
        filed, inputs, pread = self._lines, self._inputs, os.pread
        start, read = filed[2 * number - 2], 0
        while number and len(batch) < _BATCH_LINES and read < _BATCH_BYTES:
            following, size = divmod(filed[2 * number - 1], 1 << 32)
            if not inputs.base <= start < inputs.limit:
                inputs.enter(start)
            after = filed[2 * following - 2] if following else NO_LIMIT
            if after - start - size <= _GAP:
                before = len(batch)
                number = self._read_span(number, batch)
                read += sum(map(len, batch[before:]))
                start = filed[2 * number - 2] if number else 0
                continue
            line = pread(inputs.file, size, start - inputs.base)
            if len(line) < size or (inputs.grown and b"\n" in line):
                raise inputs.changed()
            batch.append(line)
            read += size
            number, start = following, after
        return number

    def _read_span(self, number: int, batch: list[bytes]) -> int:
        """Line `number` and those of its stream close to it, by one read; the number of the next one."""
        filed, cuts = self._lines, list[tuple[int, int]]()
        start = filed[2 * number - 2]
        end = 0
        while number:
            following, size = divmod(filed[2 * number - 1], 1 << 32)
            begin = filed[2 * number - 2] - start
            if cuts and (
                begin - end > _GAP or begin + size > _SPAN or start + begin >= self._inputs.limit
            ):
                break
            end = begin + size
            cuts.append((begin, end))
            number = following
        data = self._inputs.read(start, end)
        lines = [data[begin:stop] for begin, stop in cuts]
        if self._inputs.grown and any(b"\n" in line for line in lines):
            raise self._inputs.changed()
        batch += lines
        return number
