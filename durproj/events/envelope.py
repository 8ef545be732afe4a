"""Envelope: a Mapping compiled for the hot loops, from a line's bytes to its Event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from durproj import codec
from durproj.events.event import IRREGULAR, UNTYPED, Event, decoder
from durproj.events.formats import FIVE, Mapping, dig, plain, split_path
from durproj.events.lines import KeyMissing, is_blank, parse

Body = dict[str, Any]


class Envelope:
    """A Mapping compiled.

    `decode(line)` gives the Event on a line of a chunk that is not odd, with its key as the line holds
    it and without its line, or raises one of IRREGULAR; `decode_key(line)` gives something with the
    key alone, having looked at type and id too. What is irregular, `examine` judges.
    `key_of(body)` gives the key in its canonical text (a string as it is, an integer in digits),
    None when there is none, and raises ValueError for any other kind of value.
    `event(body, line, key)` gives the Event, and raises ValueError for a type or id of another kind.
    """

    __slots__ = ("decode", "decode_key", "event", "key_of", "mapping", "seq_of")

    decode: Callable[[bytes], Event]
    decode_key: Callable[[bytes], Any]
    event: Callable[[Body, bytes, Any], Event]
    key_of: Callable[[Body], str | None]
    seq_of: Callable[[Body], Any]

    def __init__(self, mapping: Mapping) -> None:
        """Compile `mapping`. Raises UsageError for a path that cannot be read."""
        self.mapping = mapping
        paths = {
            name: split_path(path) for name, path in mapping.to_dict().items() if path is not None
        }
        self.key_of = _key_reader(mapping.key)
        self.event = (
            _flat_reader(paths)
            if _flat(paths, "type", "id", "time", "data")
            else _deep_reader(paths)
        )
        self.seq_of = lambda body: dig(body, paths.get("seq"))
        names = {name: paths[name][0] if name in paths else None for name in FIVE}
        few = ("key", "type", "id")
        self.decode_key = (decoder(names, few) if _flat(paths, *few) else None) or self._decode
        whole = _flat(paths, *FIVE) and mapping.data is not None
        self.decode = (decoder(names, names) if whole else None) or self._decode

    def examine(self, line: bytes, exact: bool) -> Event | None:
        """The Event on any line, its key in canonical text or None; None for a blank line. `exact`: as
        `parse` has it. Raises ValueError with the reason when the line is no event."""
        if is_blank(line):
            return None
        body = parse(line, exact)
        return self.event(body, line, self.key_of(body))

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
        return self.seq_of(codec.decode(line))

    def event_id(self, event: Event) -> Any:
        """What no other event of its stream has: the id; None when it has none."""
        return event.id

    def _decode(self, line: bytes) -> Event:
        body = codec.decode(line)
        if type(body) is not dict:
            raise ValueError
        return self.event(body, line, self.key_of(body))


def keyed(key: str | int | None, no_key: str) -> str | None:
    """The key of a line in canonical text, by the policy `no_key` (`error`, `skip` or a key) where
    it has none; None: leave the line out. Raises KeyMissing."""
    if key is not None:
        return key if type(key) is str else str(key)
    if no_key == "error":
        raise KeyMissing
    return None if no_key == "skip" else no_key


def look_closely(_line: bytes) -> Any:
    """Decodes nothing: on an odd chunk every line is for `Envelope.examine`."""
    raise ValueError


def _flat(paths: dict[str, tuple[str, ...]], *names: str) -> bool:
    """Whether each of `names` is on the top level of a line, if it is there at all."""
    return all(len(paths.get(name, "1")) == 1 for name in names)


def _key_reader(path: str | None) -> Callable[[Body], str | None]:
    if path is None:
        return lambda _body: None
    parts = split_path(path)
    name = parts[0] if len(parts) == 1 else None

    def key_of(body: Body) -> str | None:
        value = body.get(name) if name is not None else dig(body, parts)
        if type(value) is str or value is None:
            return value
        if type(value) is int:
            return str(value)
        raise ValueError(_wrong_kind("key", path, value))

    return key_of


def _flat_reader(paths: dict[str, tuple[str, ...]]) -> Callable[[Body, bytes, Any], Event]:
    # An absent name stays None, and no JSON object has the key None: one lookup serves both cases.
    type_name, id_name, time_name, data_name = (
        paths[name][0] if name in paths else None for name in ("type", "id", "time", "data")
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


def _deep_reader(paths: dict[str, tuple[str, ...]]) -> Callable[[Body, bytes, Any], Event]:
    type_path, id_path, time_path = (paths.get(name) for name in ("type", "id", "time"))
    data_path = paths.get("data", ())
    whole = not data_path

    def event(body: Body, line: bytes, key: Any) -> Event:
        kind = _type_text(dig(body, type_path))
        ident = dig(body, id_path)
        _check_id(ident)
        data = dig(body, data_path)
        time = dig(body, time_path)
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
