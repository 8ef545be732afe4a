"""What of a log reaches the folds of its streams, and in which order: `--order`, `--dedupe`, and the
gaps in their sequences."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from durproj import codec
from durproj.errors import BadEvent, PastChanged
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.leftout import LeftOut
from durproj.events.lines import Chunk, bad_event
from durproj.events.log import Index
from durproj.events.sequence.duplicates import Conflict, Duplicates
from durproj.events.sequence.gaps import Gaps, SequenceNumbers
from durproj.events.sequence.order import SequenceOrder, TimeOrder
from durproj.runtime.guard import late_event, show
from durproj.runtime.observer import Counts
from durproj.runtime.request import Request
from durproj.runtime.stream import StreamFold

Batch = tuple[list[bytes], list[Event]]

_LINE_BITS = 40


class Taker(Protocol):
    """What takes the events of the stream `key`, which is the workflow `id`. proven: how many of them it
    has without being given them."""

    id: str
    key: str
    proven: int

    def inputs(self, first: int) -> Iterator[bytes]:
        """The lines of the events that it has, from step `first` on."""


class Intake:
    """Selects and orders the events of one stream after another.

    asked: whether there is anything to do but to hand lines on as they come; ordered: whether a stream
    must be known to its end before its first event is. held: what an earlier run found before the
    cursor, as `held` gave it; informed: whether that covers all that is asked for. left_out: the bad lines
    of this run, where they are to be left out. check: called now and then; what it raises ends the work.
    """

    def __init__(
        self,
        request: Request,
        envelope: Envelope,
        held: dict[str, Any] | None,
        check: Callable[[], None],
    ) -> None:
        self._envelope, self._check, self._order = envelope, check, request.order
        self.ordered = request.order != "file"
        self._dedupe = request.dedupe == "id"
        self._skip_bad = request.on_bad_line == "skip"
        self._watch = bool(envelope.mapping.seq and (request.mapping.seq or request.order == "seq"))
        self.asked = self.ordered or self._dedupe or self._watch
        # The inputs that lines came from in chunks, for naming them.
        self._paths: list[str] = []
        self._seq = {"seq": envelope.mapping.seq} if self._watch else {}
        self.informed = not self._watch or (held or {}).get("seq") == envelope.mapping.seq
        self.begin(held)

    def begin(self, held: dict[str, Any] | None) -> None:
        """Start counting, from what was `held`."""
        found = held or {}
        self._stream: Taker | None = None
        self._duplicates, self._numbers = Duplicates(), SequenceNumbers()
        self._dropped: int = found.get("duplicates", 0)
        self._reordered: int = found.get("reordered", 0)
        self.left_out = LeftOut() if self._skip_bad else None
        self._gaps = Gaps.from_dict(found["gaps"]) if "gaps" in found else Gaps()

    def counts(self) -> Counts:
        """What was found so far, as far as anybody asked."""
        gaps = self._gaps + self._numbers.gaps(self._stream.id) if self._stream else self._gaps
        return Counts(
            duplicates=self._dropped + self._duplicates.dropped if self._dedupe else None,
            reordered=self._reordered if self.ordered else None,
            gaps=gaps if self._watch else None,
            bad_lines=self.left_out.lines if self.left_out else None,
        )

    def held(self) -> dict[str, Any]:
        """The same, to be kept along with a cursor."""
        return self.counts().found() | self._seq

    def batches(self, index: Index, key: str, stream: Taker) -> Iterator[Batch]:
        """The lines and events of the stream `key`, as `stream` is to take them. Raises BadEvent, having
        handed out what is before it unless the order is not the log's."""
        if not self.asked:
            for lines in index.lines(key):
                yield lines, self._envelope.events(lines, key)
            return
        self._open(stream)
        if not self.ordered:
            for lines, events, _ in self._distinct(index, key):
                yield self._watched(lines, events)
            return
        for lines in self._arranged(index, key):
            self._check()
            yield self._watched(lines, self._envelope.events(lines, key))

    def of_chunk(
        self,
        chunk: Chunk,
        taken: tuple[list[bytes], list[Event], int, BadEvent | None],
        stream: StreamFold,
    ) -> tuple[list[bytes], list[Event], int, BadEvent | None]:
        """What `stream` is to take of what was `taken` from `chunk` (see `SingleStream.take`)."""
        lines, events, looked_at, error = taken
        self._open(stream)
        if not self._paths or self._paths[-1] != chunk.path:
            self._paths.append(chunk.path)
        part = len(self._paths) - 1 << _LINE_BITS
        every = iter(range(len(chunk.lines)))
        # The lines taken are some of the chunk's, the very objects.
        at = [next(i for i in every if chunk.lines[i] is line) for line in lines]
        kept, conflict = self._select(lines, events, [part | chunk.line + i for i in at])
        if conflict:
            looked_at = at[conflict.index]
            why = self._conflict(events[conflict.index], conflict.first, self._chunk_place)
            error = bad_event(chunk, looked_at, *why)
        return *self._watched([lines[i] for i in kept], [events[i] for i in kept]), looked_at, error

    def late(self, changed: PastChanged, index: Index, key: str, stream: StreamFold) -> PastChanged:
        """`changed`, said in other words where an event has come late: the one recorded is still there."""
        if not self.ordered or changed.step is None:
            return changed
        waits = stream.awaited
        recorded = (
            waits.line
            if waits and waits.step == changed.step
            else next(stream.inputs(changed.step))
        )
        if not any(recorded in lines for lines in index.lines(key)):
            return changed
        return late_event(changed, self._order)

    def _open(self, stream: Taker) -> None:
        if stream is self._stream:
            return
        if self._stream:
            self._gaps += self._numbers.gaps(self._stream.id)
            self._dropped += self._duplicates.dropped
        self._stream, self._duplicates, self._numbers = stream, Duplicates(), SequenceNumbers()
        if not stream.proven:
            return
        # What is proven is not read again: the journal has it.
        if self._watch:
            last = next(stream.inputs(stream.proven - 1))
            self._numbers = SequenceNumbers(after=self._envelope.sequence(last))
        if self._dedupe:
            recorded = enumerate(islice(stream.inputs(0), stream.proven))
            for step, line in recorded:
                (event,) = self._envelope.events([line], stream.key)
                self._duplicates.add(self._envelope.event_id(event), line, -1 - step)

    def _distinct(
        self, index: Index, key: str
    ) -> Iterator[tuple[list[bytes], list[Event], list[int]]]:
        """The stream without duplicates, in log order, with the numbers of its lines."""
        numbers = index.numbers(key)
        for lines in index.lines(key):
            self._check()
            events = self._envelope.events(lines, key)
            places = list(islice(numbers, len(lines)))
            kept, conflict = self._select(lines, events, places)
            yield [lines[i] for i in kept], [events[i] for i in kept], [places[i] for i in kept]
            if conflict:
                why = self._conflict(events[conflict.index], conflict.first, index.place)
                raise index.bad_line(places[conflict.index], *why)

    def _arranged(self, index: Index, key: str) -> Iterable[list[bytes]]:
        """The lines of the stream without duplicates, in its order."""
        by_time = self._order == "time"
        order = TimeOrder() if by_time else SequenceOrder(as_text=self._envelope.sequence_is_text)
        numbers = array("Q")
        for lines, events, places in self._distinct(index, key):
            for line, event, number in zip(lines, events, places, strict=True):
                value = event.time if by_time else self._envelope.sequence(line)
                try:
                    order.add(value)
                except ValueError as error:
                    way = (
                        f"mend the line, say where to look with --{self._order} PATH, or fold with"
                    )
                    raise index.bad_line(number, str(error), f"{way} --order file") from None
            numbers.extend(places)
        indexes, late = order.arrange()
        self._reordered += late
        if not late and not self._duplicates.dropped:
            return index.lines(key)
        return index.lines_of(numbers[i] for i in indexes)

    def _select(
        self, lines: Sequence[bytes], events: Sequence[Event], places: Sequence[int]
    ) -> tuple[Sequence[int], Conflict | None]:
        """Which of these are no duplicates, up to one that is in conflict with another."""
        if not self._dedupe:
            return range(len(lines)), None
        add, event_id = self._duplicates.add, self._envelope.event_id
        kept = []
        for i, event in enumerate(events):
            try:
                if add(event_id(event), lines[i], places[i], i):
                    kept.append(i)
            except Conflict as conflict:
                return kept, conflict
        return kept, None

    def _watched(self, lines: list[bytes], events: list[Event]) -> Batch:
        if self._watch:
            for line in lines:
                self._numbers.take(self._envelope.sequence(line))
        return lines, events

    def _conflict(self, event: Event, first: int, place: Callable[[int], str]) -> tuple[str, str]:
        """What is wrong with an event whose id is that of another, and what to do."""
        assert self._stream is not None
        where = place(first) if first >= 0 else f"{self._stream.id}#{-1 - first}"
        id = show(codec.encode(self._envelope.event_id(event)), 60)
        return (
            f"the id {id} was there before with other bytes: {where}",
            "an event that comes again must be the same: mend one of the two, or fold with --dedupe none",
        )

    def _chunk_place(self, place: int) -> str:
        return f"{self._paths[place >> _LINE_BITS]}:{place & (1 << _LINE_BITS) - 1}"
