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


FIVE = ("key", "type", "id", "time", "data")


@dataclass(frozen=True, slots=True)
class Mapping:
    """Paths, each None when absent; without `data`, the whole line is the data. `seq`: of the sequence
    number.

    As overrides for `detect`, None means "not given" and "" means "none, on purpose".
    """

    key: str | None = None
    type: str | None = None
    id: str | None = None
    time: str | None = None
    data: str | None = None
    seq: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """The paths by name, as JSON can carry them; without `seq` where it is absent, as stores have it
        that were made before there was any."""
        return {
            name: path for name, path in asdict(self).items() if name in FIVE or path is not None
        }

    @classmethod
    def from_dict(cls, paths: dict[str, str | None]) -> Mapping:
        """The Mapping that `to_dict` described; names missing from `paths` are absent."""
        return cls(**{name: paths.get(name) for name in cls.__slots__})

    def describe(self) -> str:
        """One line for people: `id=eventId type=type key=(none) time=timestamp data=payload`."""
        missing = {"data": "(whole line)"}
        return " ".join(
            f"{name}={plain(path) if path is not None else missing.get(name, '(none)')}"
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
        seq=given.seq or None,
    )


def partial_keys(bodies: Sequence[Body]) -> dict[str, int]:
    """Key candidates that are on some of `bodies` but not on all, with the number of lines."""
    found = {name: sum(_is_name(body.get(name)) for body in bodies) for name in KEYS}
    return {name: count for name, count in found.items() if 0 < count < len(bodies)}


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


def dig(body: Any, parts: tuple[str, ...] | None) -> Any:
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
    if all(dig(body, parts) is None for body in bodies):
        fixed = path.replace(".", "\\.")
        raise UsageError(
            f"--{name} {plain(path)} leads nowhere, but a field has that very name",
            f"write --{name} '{plain(fixed)}'",
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


def plain(text: str) -> str:
    """`text` as it can be shown."""
    return text if text.isprintable() else ascii(text)
