"""Envelope: a Mapping compiled for the hot loops, from a line's bytes to its Event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from durproj import codec
from durproj.errors import UsageError
from durproj.events.event import IRREGULAR, UNTYPED, Event, decoder
from durproj.events.formats.mapping import CLOUDEVENTS, FIVE, Layers, Mapping
from durproj.events.formats.paths import Parts, alternatives, elements, is_many, plain, reader
from durproj.events.lines import KeyMissing, is_blank, parse, parse_value

Body = dict[str, Any]
Keys = str | tuple[str, ...] | None
"""The key of an event in canonical text; a tuple where it may belong to several streams."""

Shape = Callable[[Any], Body | None]
"""From a line's value to the body in which paths are read; None when the line is no event. Raises
ValueError with the reason when it is not what it should be."""


class Envelope:
    """A Mapping compiled.

    `shape` makes a line's value what the paths are read in; None where that is the line as it is.
    `many`: whether an event may belong to several streams, so that its key is a tuple, without those
    that come again; an event of no stream has the key None.

    `decode(line)` gives the Event on a line of a chunk that is not odd, with its key as the line holds
    it and without its line, or raises one of IRREGULAR; `decode_key(line)` gives something with the
    key alone, having looked at type and id too. What is irregular, `examine` judges.
    `key_of(body)` gives the key of a shaped body in its canonical text (a string as it is, an integer
    in digits), None when there is none, and raises ValueError for any other kind of value.
    `seq_of(body)` gives the sequence number, as it is, of a shaped body; `sequence_is_text`: it is
    compared character by character.
    `event(value, line, key)` gives the Event of a line's value, and raises ValueError for a type or id
    of another kind.
    """

    __slots__ = (
        "_read",
        "_source_of",
        "decode",
        "decode_key",
        "event",
        "key_of",
        "many",
        "mapping",
        "seq_of",
        "sequence_is_text",
        "shape",
    )

    decode: Callable[[bytes], Event]
    decode_key: Callable[[bytes], Any]
    event: Callable[[Any, bytes, Any], Event]
    key_of: Callable[[Body], Keys]
    seq_of: Callable[[Body], Any]
    _read: Callable[[Body, bytes, Any], Event]
    _source_of: Callable[[Body], Any] | None

    def __init__(self, mapping: Mapping) -> None:
        """Compile `mapping`. Raises UsageError for a path that cannot be read, or a key's `[]` elsewhere,
        or an unknown format."""
        self.mapping = mapping
        paths = {name: alternatives(path) for name, path in mapping.paths().items()}
        _refuse_many(mapping)
        layers = Layers.parse(mapping.format).resolved()
        self.shape = _shape(layers)
        self.sequence_is_text = layers.convention == CLOUDEVENTS
        self._source_of = reader(layers.source) if layers.source else None
        self.many = mapping.key is not None and is_many(mapping.key)
        self.key_of = _keys_reader(mapping.key or "") if self.many else _key_reader(mapping.key)
        self.seq_of = reader(mapping.seq)
        self._read = (
            _flat_reader(paths)
            if _flat(paths, "type", "id", "time", "data")
            else _deep_reader(mapping)
        )
        self.event = self._event if self.shape else self._read
        names = {name: paths[name][0][0] if name in paths else None for name in FIVE}
        few = ("key", "type", "id")
        straight = self.shape is None and not self.many
        quick = straight and _flat(paths, *few)
        self.decode_key = (decoder(names, few) if quick else None) or self._decode
        whole = straight and _flat(paths, *FIVE) and mapping.data is not None
        self.decode = (decoder(names, FIVE) if whole else None) or self._decode

    def examine(self, line: bytes, exact: bool) -> Event | None:
        """The Event on any line, its key in canonical text or None; None for a line that is no event: a
        blank one, or one of which the format says so. `exact`: as `parse` has it. Raises ValueError with
        the reason when the line is no event but should be."""
        if is_blank(line):
            return None
        if self.shape is None:
            body = parse(line, exact)
            return self._read(body, line, self.key_of(body))
        shaped = self.shape(parse_value(line, exact))
        return None if shaped is None else self._of_shaped(shaped, line, self.key_of(shaped))

    def events(self, lines: Sequence[bytes], key: str) -> list[Event]:
        """The Events on lines that are known to be sound, all of the stream `key`."""
        decode = self.decode
        found = []
        for line in lines:
            try:
                event = decode(line)
                if event.data is None:
                    event.data = {}
            except IRREGULAR:
                event = self.event(codec.decode(line), line, key)
            event.key = key
            event.line = line
            found.append(event)
        return found

    def sequence(self, line: bytes) -> Any:
        """The sequence number on a line that is known to be sound, as it is; None when it has none."""
        return self.seq_of(self._body(line))

    def event_id(self, event: Event) -> Any:
        """What no other event of its stream has: the id, with the source of a CloudEvent; None when it has
        none."""
        if event.id is None or self._source_of is None:
            return event.id
        return [self._source_of(self._body(event.line)), event.id]

    def is_same(self, event: Event, other: Event) -> bool:
        """Whether two events of a stream, of whatever content, are one to those who wrote them: by their
        id or, without any, by their type and time."""
        ids = self.event_id(event), self.event_id(other)
        if ids == (None, None):
            return (event.type, event.time) == (other.type, other.time)
        return bool(ids[0] == ids[1])

    def _body(self, line: bytes) -> Any:
        """The shaped body of a line that is known to be sound."""
        value = codec.decode(line)
        return value if self.shape is None else self.shape(value)

    def _decode(self, line: bytes) -> Event:
        value = codec.decode(line)
        if self.shape is not None:
            body = self.shape(value)
            if body is None:
                raise ValueError
            return self._of_shaped(body, line, self.key_of(body))
        if type(value) is not dict:
            raise ValueError
        return self._read(value, line, self.key_of(value))

    def _event(self, value: Any, line: bytes, key: Any) -> Event:
        assert self.shape is not None
        body = self.shape(value)
        if body is None:
            raise ValueError("the line is no event")
        return self._of_shaped(body, line, key)

    def _of_shaped(self, body: Body, line: bytes, key: Any) -> Event:
        event = self._read(body, line, key)
        # An event's body is its line as the log has it.
        event._body = None  # noqa: SLF001
        return event


def keyed(key: Any, no_key: str) -> Any:
    """The key of a line in canonical text, or its keys, by the policy `no_key` (`error`, `skip` or a
    key) where it has none; None: leave the line out. Raises KeyMissing."""
    if key is not None:
        return str(key) if type(key) is int else key
    if no_key == "error":
        raise KeyMissing
    return None if no_key == "skip" else no_key


def one_each(names: list[Any]) -> tuple[list[str], list[int]]:
    """The keys of some lines, with a line of several keys once for each; and the index of each one's line."""
    every = [
        (name, index)
        for index, many in enumerate(names)
        for name in (many if type(many) is tuple else (many,))
    ]
    return [name for name, _ in every], [index for _, index in every]


def look_closely(_line: bytes) -> Any:
    """Decodes nothing: on an odd chunk every line is for `Envelope.examine`."""
    raise ValueError


def _flat(paths: dict[str, tuple[Parts, ...]], *names: str) -> bool:
    """Whether each of `names` is on the top level of a line, if it is there at all."""
    return all(len(paths[name]) == len(paths[name][0]) == 1 for name in names if name in paths)


def _shape(layers: Layers) -> Shape | None:
    if layers.as_they_are:
        return None
    from durproj.events.formats.conventions import shape_of

    return shape_of(layers)


def _refuse_many(mapping: Mapping) -> None:
    for name, path in mapping.paths().items():
        if name != "key" and is_many(path):
            raise UsageError(
                f"--{name} {plain(path)}: an event has one {name}",
                "only the key may be many: NAME[]",
            )


def _key_reader(path: str | None) -> Callable[[Body], str | None]:
    if path is None:
        return lambda _body: None
    flat = _flat({"key": alternatives(path)}, "key")
    name, read = alternatives(path)[0][0], reader(path)

    def key_of(body: Body) -> str | None:
        value = body.get(name) if flat else read(body)
        if type(value) is str or value is None:
            return value
        return _key_text(value, path)

    return key_of


def _keys_reader(path: str) -> Callable[[Body], tuple[str, ...] | None]:
    every = elements(path)

    def keys_of(body: Body) -> tuple[str, ...] | None:
        texts = [value if type(value) is str else _key_text(value, path) for value in every(body)]
        return tuple(dict.fromkeys(texts)) or None

    return keys_of


def _key_text(value: Any, path: str) -> str:
    if type(value) is int:
        return str(value)
    raise ValueError(_wrong_kind("key", path, value))


def _flat_reader(paths: dict[str, tuple[Parts, ...]]) -> Callable[[Body, bytes, Any], Event]:
    # An absent name stays None, and no JSON object has the key None: one lookup serves both cases.
    type_name, id_name, time_name, data_name = (
        paths[name][0][0] if name in paths else None for name in ("type", "id", "time", "data")
    )
    whole = data_name is None

    def event(body: Any, line: bytes, key: Any) -> Event:
        get = body.get
        kind = get(type_name)
        if type(kind) is not str:
            kind = _type_text(kind)
        ident = get(id_name)
        if type(ident) is not str and ident is not None:
            _check_id(ident)
        data = body if whole else get(data_name)
        return Event(
            key,
            kind,
            ident,
            get(time_name),
            {} if data is None else data,
            line,
            body if whole else None,
        )

    return event


def _deep_reader(mapping: Mapping) -> Callable[[Body, bytes, Any], Event]:
    read_type, read_id, read_time = map(reader, (mapping.type, mapping.id, mapping.time))
    read_data, whole = reader(mapping.data), mapping.data is None

    def event(body: Body, line: bytes, key: Any) -> Event:
        kind = _type_text(read_type(body))
        ident = read_id(body)
        _check_id(ident)
        data = body if whole else read_data(body)
        time = read_time(body)
        return Event(
            key, kind, ident, time, {} if data is None else data, line, body if whole else None
        )

    return event


def _type_text(value: Any) -> str:
    if type(value) is str:
        return value
    if value is None:
        return UNTYPED
    if type(value) is int:
        return str(value)
    raise ValueError(_wrong_kind("type", None, value))


def _check_id(value: Any) -> None:
    if value is not None and type(value) is not str and type(value) is not int:
        raise ValueError(_wrong_kind("id", None, value))


def _wrong_kind(what: str, path: str | None, value: object) -> str:
    kinds = {
        bool: "true or false",
        float: "a number with a fraction",
        dict: "an object",
        list: "an array",
    }
    where = f" ({plain(path)})" if path else ""
    return f"the {what}{where} is {kinds[type(value)]}, where a string or an integer was expected"
