"""What a log holds by the book, read with json and bare hands, and what durproj makes of it, every way
it has of reading: the two have to agree, event for event and to the byte of the first bad line."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from durproj import codec
from durproj.errors import BadEvent
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.formats.mapping import Mapping
from durproj.events.lines import bad_event
from durproj.events.log import Index
from durproj.events.reader import Source
from durproj.events.single import SingleStream

FLAT = Mapping(key="user", type="type", id="id", time="time", data="data", format="plain")
WHOLE = Mapping(key="user", type="type", id="id", time="time", data=None, format="plain")
MAPPINGS = (FLAT, WHOLE)
DEEPEST = 1024
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Read(NamedTuple):
    """An event: its line, and what its envelope says."""

    line: bytes
    key: str
    type: str
    id: str | int | None
    time: Any
    data: Any


class Place(NamedTuple):
    """Where a bad line is: its number from 1, and its first byte."""

    line: int
    offset: int


class Reading(NamedTuple):
    """The events up to the first bad line, and where that is; None: there is none."""

    events: list[Read]
    bad: Place | None


def by_the_book(content: bytes, mapping: Mapping) -> Reading:
    """What plain JSON lines hold: each a JSON object in UTF-8 (RFC 8259) of numbers that 64 bits keep."""
    events: list[Read] = []
    offset = 0
    for number, raw in enumerate(content.split(b"\n"), 1):
        line = raw.removesuffix(b"\r")
        if line and not line.isspace():
            try:
                events.append(_event(line, mapping))
            except (ValueError, RecursionError):
                return Reading(events, Place(number, offset))
        offset += len(raw) + 1
    return Reading(events, None)


def _event(line: bytes, mapping: Mapping) -> Read:
    body = _value(line)
    key, type_, id = (body.get(name) for name in (mapping.key, mapping.type, mapping.id))
    if type(key) not in (str, int) or type(type_) not in (str, int, type(None)):
        raise ValueError
    if type(id) not in (str, int, type(None)):
        raise ValueError
    data = body if mapping.data is None else body.get(mapping.data)
    return Read(
        line,
        str(key),
        "event" if type_ is None else str(type_),
        id,
        body.get(mapping.time),
        {} if data is None else data,
    )


def _value(line: bytes) -> dict[str, Any]:
    text = line.decode()
    if _depth(line) > DEEPEST:
        raise ValueError
    with _deeper():
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_no_number,
            object_pairs_hook=_members,
        )
    if type(value) is not dict:
        raise ValueError
    return value


@contextmanager
def _deeper() -> Iterator[None]:
    """Let the standard library go as deep as lines may be."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 4 * DEEPEST)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. A lone surrogate, in a name or in a text that comes later to nothing, is no character."""
    for name, value in pairs:
        name.encode()
        _encodable(value)
    return dict(pairs)


def _encodable(value: Any) -> None:
    if type(value) is str:
        value.encode()
    elif type(value) is list:
        for each in value:
            _encodable(each)


def _depth(line: bytes) -> int:
    deepest = depth = 0
    for byte in _STRINGS.sub(b"", line):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else _no_number(digits)
    return number if -(2**63) <= number < 2**64 else _no_number(digits)


def _float(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)


def _no_number(text: str) -> Any:
    raise ValueError(text)


def all_ways(path: Path, block: int, mapping: Mapping) -> Iterator[tuple[str, str | None, Reading]]:
    """What durproj reads from the file `path`: the name of a way of reading, the one stream that it was
    asked for (None: all of them, in log order), and what it found."""
    envelope = Envelope(mapping)

    def source() -> Source:
        return Source([str(path)], block=block)

    closely = _by_chunks(source(), lambda chunk: _closely(envelope, chunk))
    yield "line by line", None, closely
    for key in dict.fromkeys(event.key for event in closely.events):
        single = SingleStream(envelope, key, "error")
        yield "one stream", key, _by_chunks(source(), single.take)
    yield (
        "no such stream",
        "\0none",
        _by_chunks(source(), SingleStream(envelope, "\0none", "error").take),
    )
    with Index.build(source(), envelope) as index:
        bad = _place(index.error)
        for key in index.keys:
            lines = [line for batch in index.lines(key) for line in batch]
            yield "the index", key, Reading([*map(_read, envelope.events(lines, key))], bad)
        yield (
            "the keys",
            None,
            Reading(closely.events if len(index) == len(closely.events) else [], bad),
        )


def compare(path: Path, block: int, mapping: Mapping, judge: Callable[..., Reading]) -> Reading:
    """Assert that every way of reading the file gives what `judge(content, mapping)` does; return that."""
    expected = judge(path.read_bytes(), mapping)
    for way, key, found in all_ways(path, block, mapping):
        wanted = [event for event in expected.events if key in (None, event.key)]
        where = f"{way}, key {key!r}, blocks of {block}"
        assert found.bad == expected.bad, (where, found.bad, expected.bad)
        assert _exactly(found.events) == _exactly(wanted), (where, found.events, wanted)
    return expected


def _exactly(events: list[Read]) -> str:
    """So that 1, 1.0 and True, and 0.0 and -0.0, are told apart."""
    with _deeper():
        return repr(events)


def _by_chunks(source: Source, take: Callable[[Any], Any]) -> Reading:
    events: list[Read] = []
    try:
        for chunk in source.chunks():
            _, found, _, bad = take(chunk)
            events += map(_read, found)
            if bad is not None:
                return Reading(events, _place(bad))
    except BadEvent as bad:
        return Reading(events, _place(bad))
    return Reading(events, None)


def _closely(envelope: Envelope, chunk: Any) -> Any:
    events: list[Event] = []
    for number, line in enumerate(chunk.lines):
        try:
            event = envelope.examine(line, chunk.odd)
            if event is not None and event.key is None:
                raise ValueError("the line has no key")
        except ValueError as error:
            return None, events, number, bad_event(chunk, number, error)
        if event is not None:
            events.append(event)
    return None, events, len(chunk.lines), None


def _place(bad: BadEvent | None) -> Place | None:
    if bad is None:
        return None
    assert bad.exit_code == 65
    assert bad.why
    assert "\n" not in bad.why
    return Place(bad.line, bad.offset)


def _read(event: Event) -> Read:
    key = str(event.key)
    read = Read(event.line, key, event.type, event.id, event.time, event.data)
    # What the journal is given is the line; a later replay decodes it again, whole.
    assert type(codec.decode(event.line)) is dict
    return read
