"""Events as a test writes them, made into the lines of one stream as a log would hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from durproj import codec
from durproj.errors import Unstorable, UsageError
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.formats.detection import Mapping, detect, split_path
from durproj.render import safe
from durproj.runtime.request import WHOLE_LOG
from durproj.runtime.setup import SMALL

EventLike = Event | dict[str, Any] | tuple[str] | tuple[str, Any]
"""An event as a test may write it: a whole line of the log (a dict), `(type, data)`, `(type,)`, or an
Event."""

_FIELDS = ("type", "id", "time", "data")
_OWN = {name: name for name in _FIELDS}
_HOW = 'write ("OrderPlaced", {…}), a dict with the whole line, or an Event'


@dataclass(frozen=True)
class Stream:
    """The events of one stream. `events`: as a reducer is given them, with their lines; the first
    `known` of them are those that were there before. `mapping`: where the lines keep what."""

    key: str
    mapping: Mapping
    events: list[Event]
    known: int

    def event(self, n: int) -> Event:
        """Event `n`, made anew: no reducer has touched it."""
        line = self.events[n].line
        made: Event = Envelope(self.mapping).event(codec.decode(line), line, self.key)
        return made

    def name(self, n: int) -> str:
        """Event `n` in words: `event 3 OrderPlaced (evt_004)`."""
        event = self.events[n]
        ident = "" if event.id is None else f" ({event.id})"
        return safe(f"event {n} {event.type}{ident}")


def flatten(given: Iterable[Any]) -> Iterator[EventLike]:
    """The events in `given`, in which lists of events may stand for what is in them. Raises UsageError
    for what is no event."""
    for item in given:
        if isinstance(item, dict | Event) or _is_short(item):
            yield item
        elif isinstance(item, str | bytes | PathLike):
            raise UsageError(f"{item!r} is no event", f"{_HOW}; for a log, given_log(path)")
        elif isinstance(item, Iterable):
            yield from flatten(item)
        else:
            raise UsageError(f"{item!r} is no event", _HOW)


def make_stream(
    before: Sequence[EventLike], new: Sequence[EventLike], key: str | None, mapping: Mapping | None
) -> Stream:
    """The stream of the events in `before` and `new`.

    The envelope is found from the dicts and the lines of Events as a run finds it; what was written
    shorter is put into the same. key: this stream's events only; where no line has a key, its name.
    Raises UsageError for what is no event, and for events of several streams.
    """
    written = [*before, *new]
    bodies = [_body(n, item) for n, item in enumerate(written)]
    found = _mapping(bodies, written, mapping)
    envelope = Envelope(found)
    keys = dict.fromkeys(_keys(envelope, bodies, written))
    if key is None and len(keys) > 1:
        shown = ", ".join(map(codec.to_json, list(keys)[:5]))
        raise UsageError(
            f"these are events of {len(keys)} streams: {shown}",
            f"a state is that of one stream; say which: key={next(iter(keys))!r}",
        )
    label = key if key is not None else next(iter(keys), WHOLE_LOG)
    events, known = [], 0
    for n, (item, body) in enumerate(zip(written, bodies, strict=True)):
        event = _event(n, envelope, item, body if body is not None else _placed(item, found, label))
        own: str | None = event.key
        if own is None and found.key is not None:
            raise UsageError(f"event {n} has no key", f"the others have one: {found.describe()}")
        if own not in {None, label}:
            continue
        event.key = label
        events.append(event)
        known += n < len(before)
    if written and not events:
        raise UsageError(f"no event has the key {label!r}", f"there are: {', '.join(keys)}")
    return Stream(label, found, events, known)


def exactly(mapping: Mapping) -> Mapping:
    """`mapping` as what to be asked for: what it leaves out is not to be looked for."""
    return Mapping.from_dict({name: path or "" for name, path in mapping.to_dict().items()})


def _is_short(item: Any) -> bool:
    return isinstance(item, tuple) and 1 <= len(item) <= 2 and isinstance(item[0], str)


def _body(n: int, item: EventLike) -> dict[str, Any] | None:
    """The whole line of an event that comes with one, decoded."""
    if isinstance(item, dict):
        return item
    if not isinstance(item, Event) or not item.line:
        return None
    try:
        return item.body
    except codec.DecodeError as error:
        raise UsageError(f"the line of event {n} is not JSON: {error.msg}", _HOW) from None


def _mapping(
    bodies: Sequence[dict[str, Any] | None],
    written: Sequence[EventLike],
    given: Mapping | None,
) -> Mapping:
    """The envelope of the lines that there are; without any, each field under its own name."""
    whole = [body for body in bodies if body is not None]
    if whole:
        try:
            return detect(whole[:SMALL], given)
        except UsageError as error:
            hint = f"{error.hint}\nin a test: mapping=durproj.Mapping(key=…)"
            raise UsageError(error.message, hint) from None
    own = _OWN | ({"key": "key"} if any(isinstance(item, Event) for item in written) else {})
    asked = {
        name: path for name, path in (given or Mapping()).to_dict().items() if path is not None
    }
    return Mapping.from_dict({name: path or None for name, path in (own | asked).items()})


def _keys(
    envelope: Envelope, bodies: Sequence[dict[str, Any] | None], written: Sequence[EventLike]
) -> Iterator[str]:
    """The keys that the events come with."""
    for n, (body, item) in enumerate(zip(bodies, written, strict=True)):
        if body is not None:
            key = _event(n, envelope, item, body).key
            if key is not None:
                yield key
        elif isinstance(item, Event) and envelope.mapping.key is not None:
            yield item.key


def _event(n: int, envelope: Envelope, item: EventLike, body: dict[str, Any]) -> Event:
    """What a run would make of the line that holds `body`; its key may be None."""
    line = item.line if isinstance(item, Event) and item.line else _line(n, body)
    try:
        event = envelope.examine(line, exact=True)
    except ValueError as error:
        raise UsageError(f"event {n} is not an event: {error}", _HOW) from None
    assert event is not None, "a blank line is no JSON"
    if isinstance(item, Event) and any(getattr(event, f) != getattr(item, f) for f in _FIELDS):
        raise UsageError(
            f"the line of event {n} gives {event!r}, which is not {item!r}",
            "say where its line keeps what: mapping=durproj.Mapping(…)",
        )
    return event


def _line(n: int, body: dict[str, Any]) -> bytes:
    try:
        return codec.settle(body)[0]
    except Unstorable as error:
        raise UsageError(f"event {n} cannot stand in a log: {error}") from None


def _placed(item: Any, mapping: Mapping, key: str) -> dict[str, Any]:
    """A line for an event without one, in the envelope that the others have."""
    if not isinstance(item, Event):
        item = Event(key, item[0], data=item[1] if len(item) > 1 else {})
    paths = mapping.to_dict()
    body: dict[str, Any] = {}
    if mapping.data is None:
        if not isinstance(item.data, dict):
            raise UsageError(
                f"the data of {item!r} is no object, and the line itself is the data here",
                "say where the data is: mapping=durproj.Mapping(data=…)",
            )
        body |= item.data
    for name in ("key", *_FIELDS):
        path, value = paths[name], getattr(item, name)
        if path is not None and value is not None:
            _put(body, split_path(path), value)
        elif name == "type" and path is None:
            raise UsageError(
                f"the other lines have no type, so there is no place for {value!r}",
                "say where the type is: mapping=durproj.Mapping(type=…); or write the whole line",
            )
    return body


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        body = body.setdefault(part, {})
    body[path[-1]] = value
