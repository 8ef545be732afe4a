"""A log as streams: where each key's lines are, and how to read them back."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections import OrderedDict
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Self

from durproj.codec import decode, decode_exact
from durproj.errors import BadEvent, StoreError
from durproj.events.inputs import named
from durproj.events.lines import KeyMissing, bad_event, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durproj.events.formats import Envelope
    from durproj.events.lines import Chunk
    from durproj.events.reader import Cursor, Part, Source


# One read costs about as much as copying a few thousand bytes: nearer neighbours share a read.
_GAP = 4 << 10
_SPAN = 256 << 10
_BATCH_LINES = 1024
_OPEN_FILES = 32
_MOST_OTHERS = 10
_NO_LIMIT = 1 << 62


class Index:
    """Every line of a log filed under its key, at 16 bytes a line and one entry a key.

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
        self._offsets = array("q")
        self._lengths = array("I")
        # Each line links to the next of its stream, as that line's number plus one; 0 ends it.
        self._next = array("I")
        self._slots: dict[str, int] = {}
        self._heads = array("I")
        self._tails = array("I")
        self._counts = array("I")
        self._parts: list[Part] = []
        self._spool: IO[bytes] | None = None
        self._spooled = 0
        self._files: OrderedDict[int, int] = OrderedDict()
        # The input being read: places from _base up to _limit are in it.
        self._name, self._file, self._grown = "", -1, False
        self._base = self._limit = 0

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
    ) -> Index:
        """Read `source` once, from `start` on, and file its lines; of `keys` only, when given.

        on_missing_key: "error" (such a line is a BadEvent), "skip", or the key to use instead.
        spool_dir: where the lines of a source that cannot seek are kept, in a file without a name.
        check: called before every chunk; what it raises ends the pass.
        A bad line does not raise but ends the pass (see `error`). Raises what `Source.chunks`
        raises otherwise, and StoreError when there is no room to spool.
        """
        index = cls()
        if not source.seekable:
            index._spool = _temporary_file(spool_dir)
        taken = None
        try:
            for chunk in source.chunks(start):
                if check:
                    check()
                taken = index._take(chunk, envelope, keys, on_missing_key)
                if taken is not None:
                    break
        except BadEvent as error:
            index.error = error
        except BaseException:
            index.close()
            raise
        index.cursor = source.cursor(taken)
        index._parts = source.parts
        if index._spool:
            with _spooling():
                index._spool.flush()
        return index

    def __len__(self) -> int:
        return len(self._offsets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keys(self) -> list[str]:
        """The keys, in order of first appearance."""
        return list(self._slots)

    def count(self, key: str) -> int:
        """The number of lines in the stream `key`; 0 when there is none."""
        slot = self._slots.get(key)
        return 0 if slot is None else self._counts[slot]

    def lines(self, key: str, skip: int = 0) -> Iterator[list[bytes]]:
        """The lines of the stream `key` in log order, in batches, without the first `skip`.

        Raises StoreError when an input was changed since it was indexed.
        """
        batch: list[bytes] = []
        for start, cuts in self._spans(key, skip):
            batch += self._read(start, cuts)
            if len(batch) >= _BATCH_LINES:
                yield batch
                batch = []
        if batch:
            yield batch

    def close(self) -> None:
        """Let go of the open files and of the spool."""
        while self._files:
            os.close(self._files.popitem()[1])
        self._base = self._limit = 0
        if self._spool:
            self._spool.close()

    def _take(
        self, chunk: Chunk, envelope: Envelope, keys: frozenset[str] | None, on_missing_key: str
    ) -> int | None:
        """File the lines of `chunk`; the number of the bad line that stopped it, or None."""
        key_of, check = envelope.key_of, envelope.check
        slots, tails, counts = self._slots, self._tails, self._counts
        offsets, lengths, following = self._offsets, self._lengths, self._next
        read = decode_exact if chunk.big else decode
        spool: list[bytes] | None = [] if self._spool else None
        place, at = self._spooled, chunk.position
        stopped = None
        for number, (line, raw) in enumerate(zip(chunk.lines, chunk.raw, strict=True)):
            begin, at = at, at + len(raw) + 1
            if not line or line.isspace():
                continue
            try:
                body: Any = read(line)
                key = key_of(body) if type(body) is dict else None
                if key is None:
                    key = self._no_key(line, chunk.big, on_missing_key)
                    if key is None:
                        continue
                check(body)
            except ValueError as error:
                self.error = _explained(chunk, number, error)
                stopped = number
                break
            if keys is not None and key not in keys:
                self._leave_out(key)
                continue
            if spool is not None:
                spool.append(line)
                begin = place
                place += len(line)
            event = len(offsets)
            offsets.append(begin)
            lengths.append(len(line))
            following.append(0)
            slot = slots.get(key)
            if slot is None:
                slots[key] = len(counts)
                self._heads.append(event)
                tails.append(event)
                counts.append(1)
            else:
                following[tails[slot]] = event + 1
                tails[slot] = event
                counts[slot] += 1
        if spool and self._spool:
            with _spooling():
                self._spool.write(b"".join(spool))
            self._spooled = place
        return stopped

    def _no_key(self, line: bytes, big: bool, on_missing_key: str) -> str | None:
        """The key of a line that has none, by policy. Raises ValueError with what is wrong."""
        parse(line, big)
        if on_missing_key == "error":
            raise KeyMissing
        if on_missing_key == "skip":
            self.skipped += 1
            return None
        return on_missing_key

    def _leave_out(self, key: str) -> None:
        if len(self.others) < _MOST_OTHERS and key not in self.others:
            self.others.append(key)

    def _spans(self, key: str, skip: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Places to read: where each begins, and its lines' (begin, end) in it."""
        slot = self._slots.get(key)
        if slot is None or skip >= self._counts[slot]:
            return
        offsets, lengths, following = self._offsets, self._lengths, self._next
        number = self._heads[slot] + 1
        for _ in range(skip):
            number = following[number - 1]
        start = end = limit = 0
        cuts: list[tuple[int, int]] = []
        while number:
            at = offsets[number - 1]
            size = lengths[number - 1]
            if cuts and (at - end > _GAP or at + size - start > _SPAN or at >= limit):
                yield start, cuts
                cuts = []
            if not cuts:
                if not self._base <= at < self._limit:
                    self._enter(at)
                start, limit = at, self._limit
            end = at + size
            cuts.append((at - start, end - start))
            number = following[number - 1]
        yield start, cuts

    def _read(self, start: int, cuts: list[tuple[int, int]]) -> list[bytes]:
        if not self._base <= start < self._limit:
            self._enter(start)
        size = cuts[-1][1]
        try:
            data = os.pread(self._file, size, start - self._base)
        except OSError as error:
            raise StoreError(f"cannot read {self._name}: {error.strerror}") from None
        if len(data) < size:
            raise _changed(self._name)
        lines = [data] if len(cuts) == 1 else [data[begin:end] for begin, end in cuts]
        if self._grown and any(b"\n" in line for line in lines):
            raise _changed(self._name)
        return lines

    def _enter(self, at: int) -> None:
        """Make the input that holds the place `at` the one to read from."""
        if self._spool:
            self._name, self._file = "the spool file", self._spool.fileno()
            self._base, self._limit, self._grown = 0, _NO_LIMIT, False
            return
        number = bisect_right(self._parts, at, key=lambda part: part.base) - 1
        part = self._parts[number]
        file = self._files.get(number)
        if file is None:
            file = self._opened(number, part.path)
        self._files.move_to_end(number)
        self._grown = part.status is not None and _has_grown(part.path, file, part.status)
        self._name, self._file, self._base = part.path, file, part.base
        last = number + 1 == len(self._parts)
        self._limit = _NO_LIMIT if last else self._parts[number + 1].base

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


def _explained(chunk: Chunk, number: int, error: ValueError) -> BadEvent:
    """The BadEvent for a line that could not be filed, with the reason in words."""
    try:
        parse(chunk.lines[number], chunk.big)
    except ValueError as worded:
        error = worded
    return bad_event(chunk, number, error)


def _temporary_file(directory: str | None) -> IO[bytes]:
    import tempfile

    with _spooling():
        return tempfile.TemporaryFile(dir=directory)


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
