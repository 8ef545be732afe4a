r"""Envelopes: where a line keeps its key, type, id, time and data.

A path names a place in the line: `actor.login` (dotted), `user\.id` (a literal dot), `/actor/login`
(JSON Pointer, for names that begin with `/` or hold anything else). A number steps into an array.
A field that is null counts as absent everywhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from durproj.codec import to_json
from durproj.errors import UsageError
from durproj.events.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Body = dict[str, Any]

IDS = ("eventId", "event_id", "messageId", "id", "uuid")
TYPES = ("type", "eventType", "event_type", "event", "action", "activity")
TIMES = ("timestamp", "time", "created_at", "created", "occurred_at", "ts", "@timestamp")
KEYS = (
    *("key", "userId", "user_id", "user", "subject", "streamId", "stream_id", "stream_name"),
    *("aggregateId", "aggregate_id", "accountId", "account_id", "customerId", "customer_id"),
)
DATA = ("payload", "data", "properties", "detail")

UNTYPED = "event"
"""The type of an event whose line has none."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Five paths, each None when absent; without `data`, the whole line is the data.

    As overrides for `detect`, None means "not given" and "" means "none, on purpose".
    """

    key: str | None = None
    type: str | None = None
    id: str | None = None
    time: str | None = None
    data: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """The five paths by name, as JSON can carry them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, paths: dict[str, str | None]) -> Mapping:
        """The Mapping that `to_dict` described; names missing from `paths` are absent."""
        return cls(**{name: paths.get(name) for name in cls.__slots__})

    def describe(self) -> str:
        """One line for people: `id=eventId type=type key=(none) time=timestamp data=payload`."""
        missing = {"data": "(whole line)"}
        return " ".join(
            f"{name}={_plain(path) if path is not None else missing.get(name, '(none)')}"
            for name in ("id", "type", "key", "time", "data")
            for path in (getattr(self, name),)
        )


def detect(bodies: Sequence[Body], given: Mapping | None = None) -> Mapping:
    """The mapping that fits every sampled line of `bodies`; a path in `given` always wins.

    `data` is also found when more than half of the lines have it as an object. Raises UsageError
    when two or more fields could be the key, for a wrong key corrupts every projection, or when a
    given path cannot be read.
    """
    given = given or Mapping()
    for name in Mapping.__slots__:
        path = getattr(given, name)
        if path:
            _refuse_unescaped(name, path, bodies)
    return Mapping(
        key=_chosen(given.key, lambda: _only_key(bodies)),
        type=_chosen(given.type, lambda: _first(bodies, TYPES, _is_name)),
        id=_chosen(given.id, lambda: _first(bodies, IDS, _is_name)),
        time=_chosen(given.time, lambda: _first(bodies, TIMES, _is_time)),
        data=_chosen(given.data, lambda: _first(bodies, DATA, _is_there) or _mostly_object(bodies)),
    )


def partial_keys(bodies: Sequence[Body]) -> dict[str, int]:
    """Key candidates that are on some of `bodies` but not on all, with the number of lines."""
    found = {name: sum(_is_name(body.get(name)) for body in bodies) for name in KEYS}
    return {name: count for name, count in found.items() if 0 < count < len(bodies)}


class Envelope:
    """A Mapping compiled for the hot loop.

    `key_of(body)` gives the key in its canonical text (a string as it is, an integer in digits),
    None when there is none, and raises ValueError for any other kind of value.
    `event(body, line, key)` gives the Event, and raises ValueError for a type or id of another kind;
    `check(body)` raises what `event` would, without making one.
    """

    __slots__ = ("check", "event", "key_of", "mapping")

    check: Callable[[Body], None]
    key_of: Callable[[Body], str | None]
    event: Callable[[Body, bytes, str], Event]

    def __init__(self, mapping: Mapping) -> None:
        """Compile `mapping`. Raises UsageError for a path that cannot be read."""
        self.mapping = mapping
        self.key_of = _key_reader(mapping.key)
        paths = {
            name: split_path(path) for name, path in mapping.to_dict().items() if path is not None
        }
        simple = all(len(paths.get(name, "1")) == 1 for name in ("type", "id", "time", "data"))
        self.event = _flat_reader(paths) if simple else _deep_reader(paths)
        self.check = _checker(paths.get("type"), paths.get("id"))


def split_path(path: str) -> tuple[str, ...]:
    """The names that `path` steps through. Raises UsageError when it cannot be read."""
    if path.startswith("/"):
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))
    parts, name, characters = [], "", iter(path)
    for character in characters:
        if character == ".":
            parts.append(name)
            name = ""
        else:
            name += next(characters, "") if character == "\\" else character
    parts.append(name)
    if "" in parts or (len(path) - len(path.rstrip("\\"))) % 2:
        raise UsageError(
            f"the path {to_json(path)} cannot be read",
            "write NAME, NAME.NAME, NAME\\.NAME for a dot in a name, or a JSON Pointer such as /a/b",
        )
    return tuple(parts)


def _key_reader(path: str | None) -> Callable[[Body], str | None]:
    if path is None:
        return lambda _body: None
    parts = split_path(path)
    name = parts[0] if len(parts) == 1 else None

    def key_of(body: Body) -> str | None:
        value = body.get(name) if name is not None else _dig(body, parts)
        if type(value) is str or value is None:
            return value
        if type(value) is int:
            return str(value)
        raise ValueError(_wrong_kind("key", path, value))

    return key_of


def _flat_reader(paths: dict[str, tuple[str, ...]]) -> Callable[[Body, bytes, str], Event]:
    # An absent name stays None, and no JSON object has the key None: one lookup serves both cases.
    type_name, id_name, time_name, data_name = (
        paths[name][0] if name in paths else None for name in ("type", "id", "time", "data")
    )
    whole = data_name is None

    def event(body: Any, line: bytes, key: str) -> Event:
        get = body.get
        kind = get(type_name)
        if type(kind) is not str:
            kind = _type_text(kind)
        ident = get(id_name)
        if type(ident) is not str and ident is not None:
            _check_id(ident)
        data = body if whole else get(data_name)
        return Event(key, kind, ident, get(time_name), {} if data is None else data, body, line)

    return event


def _deep_reader(paths: dict[str, tuple[str, ...]]) -> Callable[[Body, bytes, str], Event]:
    type_path, id_path, time_path = (paths.get(name) for name in ("type", "id", "time"))
    data_path = paths.get("data", ())

    def event(body: Body, line: bytes, key: str) -> Event:
        kind = _type_text(_dig(body, type_path))
        ident = _dig(body, id_path)
        _check_id(ident)
        data = _dig(body, data_path)
        return Event(
            key, kind, ident, _dig(body, time_path), {} if data is None else data, body, line
        )

    return event


def _checker(
    type_path: tuple[str, ...] | None, id_path: tuple[str, ...] | None
) -> Callable[[Body], None]:
    def check(body: Body) -> None:
        if type_path is not None:
            kind = body.get(type_path[0]) if len(type_path) == 1 else _dig(body, type_path)
            if type(kind) is not str:
                _type_text(kind)
        if id_path is not None:
            ident = body.get(id_path[0]) if len(id_path) == 1 else _dig(body, id_path)
            if type(ident) is not str:
                _check_id(ident)

    return check


def _dig(body: Any, parts: tuple[str, ...] | None) -> Any:
    """The value at `parts`, or None."""
    if parts is None:
        return None
    for part in parts:
        if type(body) is dict:
            body = body.get(part)
        elif type(body) is list and part.isascii() and part.isdigit() and len(part) < 10:
            body = body[int(part)] if int(part) < len(body) else None
        else:
            return None
    return body


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
    where = f" ({_plain(path)})" if path else ""
    return f"the {what}{where} is {kinds[type(value)]}, where a string or an integer was expected"


def _chosen(given: str | None, find: Callable[[], str | None]) -> str | None:
    if given is None:
        return find()
    return given or None


def _first(bodies: Sequence[Body], names: Sequence[str], fits: Callable[[Any], bool]) -> str | None:
    return next(iter(_everywhere(bodies, names, fits)), None)


def _everywhere(
    bodies: Sequence[Body], names: Sequence[str], fits: Callable[[Any], bool]
) -> list[str]:
    return [name for name in names if bodies and all(fits(body.get(name)) for body in bodies)]


def _mostly_object(bodies: Sequence[Body]) -> str | None:
    for name in DATA:
        if sum(type(body.get(name)) is dict for body in bodies) * 2 > len(bodies):
            return name
    return None


def _only_key(bodies: Sequence[Body]) -> str | None:
    names = _everywhere(bodies, KEYS, _is_name)
    if len(names) > 1:
        shown = "\n".join(f"  {name:<12} for example {_example(bodies[0][name])}" for name in names)
        raise UsageError(
            f"{len(names)} fields could be the key that tells streams apart:\n{shown}",
            f"choose one: --key {names[0]}",
        )
    return names[0] if names else None


def _refuse_unescaped(name: str, path: str, bodies: Sequence[Body]) -> None:
    """A dotted path that leads nowhere, while a field has exactly that text as its name."""
    parts = split_path(path)
    if len(parts) < 2 or not any(path in body for body in bodies):
        return
    if all(_dig(body, parts) is None for body in bodies):
        fixed = path.replace(".", "\\.")
        raise UsageError(
            f"--{name} {_plain(path)} leads nowhere, but a field has that very name",
            f"write --{name} '{_plain(fixed)}'",
        )


def _is_name(value: Any) -> bool:
    return type(value) is str or type(value) is int


def _is_time(value: Any) -> bool:
    return type(value) is str or type(value) is int or type(value) is float


def _is_there(value: Any) -> bool:
    return value is not None


def _example(value: object) -> str:
    text = to_json(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _plain(text: str) -> str:
    return text if text.isprintable() else ascii(text)
