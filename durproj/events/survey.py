"""What is in a log: counts, types, keys, times and duplicates, in one streaming pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from durproj.errors import BadEvent
from durproj.events.lines import bad_event
from durproj.events.times import comparable

if TYPE_CHECKING:
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
    before; conflicting: whose id was there before with other bytes. bad: the line that ended the
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
    bad: BadEvent | None = None

    def top_keys(self, most: int = 10) -> dict[str, int]:
        """The `most` keys with the most events."""
        return dict(list(self.keys.items())[:most])


def stats(source: Source, envelope: Envelope) -> LogStats:
    """Read `source` once and describe it. Memory grows with keys and, by 16-byte hashes, with ids.

    A bad line ends the pass and is kept in `bad`. Raises what `Source.chunks` raises otherwise.
    """
    found = LogStats()
    clock = _Clock(found)
    seen: dict[int, int] = {}
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
                _compare_id(found, seen, event)
                clock.take(event.time)
    except BadEvent as error:
        found.bad = error
    found.keys = _most_first(found.keys)
    found.types = _most_first(found.types)
    return found


def _count(found: LogStats, event: Event) -> None:
    found.events += 1
    found.types[event.type] = found.types.get(event.type, 0) + 1
    key: str | None = event.key
    if key is None:
        found.keyless += 1
    else:
        found.keys[key] = found.keys.get(key, 0) + 1


def _compare_id(found: LogStats, seen: dict[int, int], event: Event) -> None:
    if event.id is None:
        return
    # As text with a mark, for the number 1 and the string "1" are two ids.
    name = hash(event.id if type(event.id) is str else ("number", str(event.id)))
    content = hash(event.line)
    if name not in seen:
        seen[name] = content
    elif seen[name] == content:
        found.repeated += 1
    else:
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
