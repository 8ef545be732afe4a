"""Plain JSON lines: which of their fields are the key, type, id, time and data, told by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durproj.codec import to_json
from durproj.errors import UsageError
from durproj.events.formats.mapping import Mapping

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


def named_fields(bodies: Sequence[Body], keyed: bool) -> Mapping:
    """The fields that are on every one of `bodies`, the best-known name of each sort. `keyed`: the key
    is known already. `data` is also found when more than half of the lines have it as an object.

    Raises UsageError when two or more fields could be the key, for a wrong key corrupts every
    projection.
    """
    return Mapping(
        key=None if keyed else _only_key(bodies),
        type=_first(bodies, TYPES, _is_name),
        id=_first(bodies, IDS, _is_name),
        time=_first(bodies, TIMES, _is_time),
        data=_first(bodies, DATA, _is_there) or _mostly_object(bodies),
    )


def infrequent_keys(bodies: Sequence[Body]) -> dict[str, int]:
    """Key candidates that are on fewer than half of `bodies`, with the number of lines.

    Raises UsageError when one is on half of them or more but not on all: it is more likely the key than
    not, and a wrong key corrupts every projection.
    """
    counts = {name: sum(_is_name(body.get(name)) for body in bodies) for name in KEYS}
    found = {name: count for name, count in counts.items() if 0 < count < len(bodies)}
    frequent = [name for name, count in found.items() if 2 * count >= len(bodies)]
    if frequent:
        shown = ", ".join(f"{name} is on {found[name]}" for name in frequent)
        key = f"--key {frequent[0]}"
        raise UsageError(
            f"it is not clear whether the log has a key: {shown} of the first {len(bodies)} lines",
            f"take it, and leave the other lines out: {key} --no-key skip\n"
            f"take it, and give the other lines a key: {key} --no-key NAME\n"
            "fold the whole log as one stream: --key ''",
        )
    return found


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


def _is_name(value: Any) -> bool:
    return type(value) is str or type(value) is int


def _is_time(value: Any) -> bool:
    return type(value) is str or type(value) is int or type(value) is float


def _is_there(value: Any) -> bool:
    return value is not None


def _example(value: object) -> str:
    text = to_json(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
