"""What is in a log: counts, types, keys, times and duplicates, in one streaming pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durproj.errors import BadEvent
from durproj.events.lines import bad_event
from durproj.events.sequence.duplicates import Conflict, Duplicates
from durproj.events.sequence.gaps import Gaps, SequenceNumbers
from durproj.events.sequence.times import comparable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durproj.events.envelope import Envelope
    from durproj.events.event import Event
    from durproj.events.reader import Source


@dataclass(slots=True)
class TimeRange:
    """Events whose times can be compared with one another; `earliest` and `latest` as the log
    has them."""

    events: int
    earliest: Any
    latest: Any


@dataclass(slots=True)
class LogStats:
    """What `stats` found.

    events, blank: lines of each sort. types: events by type. keys: events by key, the most first.
    keyless: events without a key. times: by kind, for only times of one kind are compared:
    "number", "zoned" (ISO 8601 with a zone), "local" (without one); any other time counts as
    "other" and has no order, so its range is None to None. back_in_time: events whose time is
    before that of the last event of the same kind. repeated: events whose id and bytes were there
    before; conflicting: whose id was there before with other bytes. gaps: what is irregular in the
    sequences of all keys, None unless asked for; its `first` has the key as its `id`. bad: the line that ended the
    pass, or None.
    """

    events: int = 0
    blank: int = 0
    types: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    keyless: int = 0
    times: dict[str, TimeRange] = field(default_factory=dict)
    back_in_time: int = 0
    repeated: int = 0
    conflicting: int = 0
    gaps: Gaps | None = None
    bad: BadEvent | None = None

    def top_keys(self, most: int = 10) -> dict[str, int]:
        """The `most` keys with the most events."""
        return dict(list(self.keys.items())[:most])


def stats(source: Source, envelope: Envelope, *, gaps: bool = False) -> LogStats:
    """Read `source` once and describe it. Memory grows with keys and, by 16-byte hashes, with ids.
    gaps: look for some in the sequences.

    A bad line ends the pass and is kept in `bad`. Raises what `Source.chunks` raises otherwise.
    """
    found = LogStats()
    clock = _Clock(found)
    seen = Duplicates()
    sequences: dict[str | None, SequenceNumbers] = {}
    try:
        for chunk in source.chunks():
            for number, line in enumerate(chunk.lines):
                try:
                    event = envelope.examine(line, chunk.odd)
                except ValueError as error:
                    raise bad_event(chunk, number, str(error)) from None
                if event is None:
                    found.blank += 1
                    continue
                _count(found, event)
                _compare_id(found, seen, envelope.event_id(event), line)
                clock.take(event.time)
                for key in _keys(event) if gaps else ():
                    numbers = sequences.setdefault(key, SequenceNumbers())
                    numbers.take(envelope.sequence(line))
    except BadEvent as error:
        found.bad = error
    if gaps:
        found.gaps = sum((numbers.gaps(key) for key, numbers in sequences.items()), Gaps())
    found.keys = _most_first(found.keys)
    found.types = _most_first(found.types)
    return found


def _count(found: LogStats, event: Event) -> None:
    found.events += 1
    found.types[event.type] = found.types.get(event.type, 0) + 1
    for key in _keys(event):
        if key is None:
            found.keyless += 1
        else:
            found.keys[key] = found.keys.get(key, 0) + 1


def _keys(event: Event) -> Sequence[str | None]:
    keys: Any = event.key
    return keys if type(keys) is tuple else (keys,)


def _compare_id(found: LogStats, seen: Duplicates, id: Any, line: bytes) -> None:
    try:
        found.repeated += not seen.add(id, line)
    except Conflict:
        found.conflicting += 1


class _Clock:
    """Ranges and steps back of the times it is given, each compared within its kind."""

    def __init__(self, found: LogStats) -> None:
        self._found = found
        self._bounds: dict[str, tuple[Any, Any, Any]] = {}

    def take(self, time: object) -> None:
        if time is None:
            return
        kind, value = comparable(time)
        times = self._found.times
        if kind not in times:
            shown = None if value is None else time
            times[kind] = TimeRange(1, shown, shown)
            self._bounds[kind] = (value, value, value)
            return
        span = times[kind]
        span.events += 1
        if value is None:
            return
        low, high, last = self._bounds[kind]
        if value < low:
            low, span.earliest = value, time
        if value > high:
            high, span.latest = value, time
        self._found.back_in_time += value < last
        self._bounds[kind] = (low, high, value)


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
