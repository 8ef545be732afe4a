"""A log as streams: where each key's lines are, and how to read them back."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections import OrderedDict
from contextlib import contextmanager, suppress
from itertools import accumulate, chain, compress
from typing import IO, TYPE_CHECKING, Any, Self

from durproj.errors import BadEvent, StoreError
from durproj.events.envelope import keyed, look_closely, one_each
from durproj.events.event import IRREGULAR
from durproj.events.inputs import named
from durproj.events.lines import bad_event
from durproj.events.single import MOST_OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView

    from durproj.events.envelope import Envelope
    from durproj.events.lines import Chunk
    from durproj.events.reader import Cursor, Part, Source


# One read costs about as much as copying a few thousand bytes: nearer neighbours share a read.
_GAP = 4 << 10
_SPAN = 256 << 10
_BATCH_LINES = 1024
_BATCH_BYTES = 4 << 20
_OPEN_FILES = 32
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
        # Two words a line, side by side in memory: where it starts; then its length in the lower half
        # and, in the upper, the number of its stream's next line from 1 on (0: there is none).
        self._lines = array("Q")
        self._slots: dict[str, int] = {}
        self._heads = array("I")
        self._tails = array("I")
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
        index._tails = array("I")  # of use only while lines are filed
        if index._spool:
            with _spooling():
                index._spool.flush()
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
            try:
                number = self._read(number, batch)
            except OSError as error:
                raise StoreError(f"cannot read {self._name}: {error.strerror}") from None
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
        names, stopped = self._names(chunk, envelope, on_missing_key)
        if keys is not None:
            names = [self._if_asked(name, keys) for name in names]
        lines, starts, at = chunk.lines[: len(names)], [], chunk.position
        for whole in chunk.raw[: len(names)]:
            starts.append(at)
            at += len(whole) + 1
        kept = [name is not None for name in names]
        if not all(kept):
            lines, starts = list(compress(lines, kept)), list(compress(starts, kept))
            names = list(compress(names, kept))
        if self._spool:
            starts = list(accumulate(map(len, lines), initial=self._spooled))
            with _spooling():
                self._spool.write(b"".join(lines))
            self._spooled = starts.pop()
        if envelope.many:
            names, starts, lines = one_each(names, starts, lines)
        self._file_under(names, starts, lines)
        return stopped

    def _names(
        self, chunk: Chunk, envelope: Envelope, on_missing_key: str
    ) -> tuple[list[Any], int | None]:
        """The keys of the lines of `chunk`, None for a line to leave out, up to the first bad one; and
        that one's number, if there is one."""
        decode = look_closely if chunk.odd else envelope.decode_key
        names: list[Any] = []
        with suppress(*IRREGULAR):
            names = [decode(line).key for line in chunk.lines]
            if set(map(type, names)) != {str}:
                names = [keyed(name, on_missing_key) for name in names]
                self.skipped += names.count(None)
            return names, None
        # Something in it is irregular: line by line, to tell what and where.
        names = []
        for number, line in enumerate(chunk.lines):
            try:
                event = envelope.examine(line, chunk.odd)
                names.append(event and keyed(event.key, on_missing_key))
                self.skipped += event is not None and names[-1] is None
            except ValueError as error:
                self.error = bad_event(chunk, number, error)
                return names, number
        return names, None

    def _if_asked(self, name: Any, keys: frozenset[str]) -> Any:
        """`name`, if it is one of `keys`; of several names those that are."""
        if name is None or name in keys:
            return name
        if type(name) is tuple:
            return tuple(each for each in name if self._if_asked(each, keys) is not None) or None
        if len(self.others) < MOST_OTHERS and name not in self.others:
            self.others.append(name)
        return None

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
        filed, pread = self._lines, os.pread
        start, read = filed[2 * number - 2], 0
        while number and len(batch) < _BATCH_LINES and read < _BATCH_BYTES:
            following, size = divmod(filed[2 * number - 1], 1 << 32)
            if not self._base <= start < self._limit:
                self._enter(start)
            after = filed[2 * following - 2] if following else _NO_LIMIT
            if after - start - size <= _GAP:
                before = len(batch)
                number = self._read_span(number, batch)
                read += sum(map(len, batch[before:]))
                start = filed[2 * number - 2] if number else 0
                continue
            line = pread(self._file, size, start - self._base)
            if len(line) < size or (self._grown and b"\n" in line):
                raise _changed(self._name)
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
                begin - end > _GAP or begin + size > _SPAN or start + begin >= self._limit
            ):
                break
            end = begin + size
            cuts.append((begin, end))
            number = following
        data = os.pread(self._file, end, start - self._base)
        lines = [data[begin:stop] for begin, stop in cuts]
        if len(data) < end or (self._grown and any(b"\n" in line for line in lines)):
            raise _changed(self._name)
        batch += lines
        return number

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
