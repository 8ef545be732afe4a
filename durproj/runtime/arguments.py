"""What a step was given, as JSON: the journal tells one call from another by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from durproj import codec
from durproj.errors import Unstorable, UsageError
from durproj.events.event import Event
from durproj.runtime.workflow import ApplyEvent, Step

# So deep, a value is known by its type alone: orjson reads JSON back to 1,024 levels.
_DEEPEST = 100


def step_input(step: Step[Any]) -> bytes:
    """A record's input: of a step that applies an event, the event's line, for the state follows from
    the steps before; of any other, its arguments. Raises UsageError for an event whose line is none."""
    if isinstance(step.fn, ApplyEvent):
        return _line(step.args[1])
    return arguments(step.args, step.kwargs)


def arguments(args: Iterable[Any], kwargs: dict[str, Any]) -> bytes:
    """Arguments of a call as JSON: a list, with the keyword arguments as an object at the end.

    An event stands as its line. What JSON cannot carry stands as an object with its `$type`, and, if
    it has a value of its own, its `value`.
    """
    return _list(_json(arg) for arg in ([*args, kwargs] if kwargs else args))


def workflow_arguments(args: Iterable[Any]) -> bytes:
    """Like `arguments`; but events stand as the type of what holds them, for the steps that they are
    given to record them, and a log may be long and grow."""
    return _list(_type_only(arg) if _holds_events(arg) else _json(arg) for arg in args)


def _holds_events(arg: object) -> bool:
    items = arg if isinstance(arg, list | tuple) else (arg,)
    return any(isinstance(item, Event) for item in items)


def _json(value: Any, path: tuple[int, ...] = (), *, whole: bool = False) -> bytes:
    """`value` as JSON; `path`: the values it was reached through. `whole`: raise Unstorable where a type
    would have to stand alone."""
    if isinstance(value, Event):
        return _line(value)
    try:
        return codec.settle(value)[0]
    except Unstorable:
        if id(value) not in path and len(path) < _DEEPEST:
            try:
                return _composed(value, (*path, id(value)), whole=whole)
            except Unstorable:
                pass
        if whole:
            raise
        return _type_only(value)


def _composed(value: Any, path: tuple[int, ...], *, whole: bool) -> bytes:
    """What JSON cannot carry at once, from its parts. Raises Unstorable when it has no value."""
    if isinstance(value, type):
        raise Unstorable
    if is_dataclass(value):
        # One that holds a thing without a value, such as a connection, is a thing itself.
        named = {item.name: getattr(value, item.name) for item in fields(value)}
        return _typed(value, _object(named, path, whole=True))
    if isinstance(value, dict):
        if all(type(key) is str for key in value):
            content = _object(value, path, whole=whole)
            return content if type(value) is dict else _typed(value, content)
        pairs = (_list(_json(part, path, whole=whole) for part in pair) for pair in value.items())
        return _typed(value, _list(pairs))
    if isinstance(value, list | tuple):
        content = _list(_json(item, path, whole=whole) for item in value)
        return content if type(value) in {list, tuple} else _typed(value, content)
    if isinstance(value, set | frozenset):
        return _typed(value, _list(sorted(_json(item, path, whole=whole) for item in value)))
    return _typed(value, codec.encode(_text(value)))


def _text(value: Any) -> str:
    """The text that tells a single value from others of its type. Raises Unstorable if there is none."""
    from datetime import date, time, timedelta
    from decimal import Decimal
    from enum import Enum
    from pathlib import PurePath
    from uuid import UUID

    if isinstance(value, Enum):
        text = str(value.name)
    elif isinstance(value, date | time):
        text = value.isoformat()
    elif isinstance(value, bytes | bytearray):
        text = value.hex()
    elif isinstance(value, int):
        text = hex(value)  # int() and str() refuse very long ones
    elif isinstance(value, float):
        text = float.__repr__(value)
    elif isinstance(value, str | Decimal | PurePath | UUID | timedelta):
        text = str(value)
    else:
        raise Unstorable
    return text.encode(errors="backslashreplace").decode()


def _line(event: Event) -> bytes:
    """The event's line, once it is known to be one: a journal keeps one record a line."""
    line = event.line
    try:
        if b"\n" in line:
            raise ValueError
        codec.decode(line)
    except ValueError:
        raise UsageError(
            f"the line of {event!r} is not one line of JSON",
            "an Event made by hand needs such a line: json.dumps(body).encode()",
        ) from None
    return line


def _list(parts: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def _object(named: dict[str, Any], path: tuple[int, ...], *, whole: bool) -> bytes:
    pairs = (
        codec.encode(name) + b":" + _json(item, path, whole=whole) for name, item in named.items()
    )
    return b"{" + b",".join(pairs) + b"}"


def _typed(value: object, content: bytes) -> bytes:
    return _type_only(value)[:-1] + b',"value":' + content + b"}"


def _type_only(value: object) -> bytes:
    return codec.encode({"$type": f"{type(value).__module__}.{type(value).__qualname__}"})
