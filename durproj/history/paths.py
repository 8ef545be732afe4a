"""Paths into a state: `activeOrders[1].amount`, or as a JSON Pointer (RFC 6901): `/activeOrders/1/amount`.

A name that is more than letters, digits, `_` and `-` is written as a JSON string: `orders."o 1"`. The
state itself is `$`, and a path may begin with it or, as in jq, with a dot: `$.balance`, `.balance`.
"""

from __future__ import annotations

import re
from typing import Any

from durproj import codec
from durproj.errors import UsageError

Place = tuple[str | int, ...]
"""The names and indices that lead to a value in a state."""

ABSENT: Any = object()
"""Stands for a value that is not there."""

ROOT = "$"

_PLAIN = re.compile(r"[\w-]+")
_PART = re.compile(r'\[(\d{1,9})\]|(?:^|\.)(?:([\w-]+)|("(?:[^"\\]|\\.)*"))')


def show_path(path: Place) -> str:
    """`path` in one line, as `parse_path` reads it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _PLAIN.fullmatch(part) else codec.to_json(part)
            text += f".{name}" if text else name
    return f"{ROOT}{text}" if text.startswith("[") else text or ROOT


def parse_path(text: str) -> Place:
    """The place that `text` names. Raises UsageError when it cannot be read.

    In a JSON Pointer a number stays a name: `dig` and `under` take it for an index where there is a
    list.
    """
    if text.startswith("/"):
        names = text[1:].split("/")
        return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)
    rest = re.sub(r"^\$\.?", "", text)
    found: list[str | int] = []
    at = 0
    while at < len(rest):
        met = _PART.match(rest, at) if at == 0 or rest[at] in ".[" else None
        if met is None:
            raise _unreadable(text)
        index, plain, quoted = met.groups()
        found.append(int(index) if index else plain or _name(quoted, text))
        at = met.end()
    return tuple(found)


def dig(state: Any, path: Place) -> Any:
    """The value at `path`; ABSENT when there is none."""
    for part in path:
        if isinstance(state, dict):
            state = state.get(str(part), ABSENT)
        elif isinstance(state, list):
            index = index_of(part)
            state = ABSENT if index is None or index >= len(state) else state[index]
        else:
            return ABSENT
    return state


def meets(path: Place, asked: Place) -> bool:
    """Whether a change at `path` touches the value at `asked`: it is the same, within it, or holds it."""
    return all(
        part == other or str(part) == str(other) for part, other in zip(path, asked, strict=False)
    )


def index_of(part: str | int) -> int | None:
    """The index that a part of a path stands for where there is a list; None for a name."""
    if isinstance(part, int):
        return part
    return int(part) if part.isascii() and part.isdigit() and len(part) < 10 else None


def _name(quoted: str, text: str) -> str:
    try:
        name: str = codec.decode(quoted.encode())
    except (codec.DecodeError, UnicodeEncodeError):
        raise _unreadable(text) from None
    return name


def _unreadable(text: str) -> UsageError:
    return UsageError(
        f"the path {codec.to_json(text)} cannot be read",
        'write name.name[0], "odd name".name, or a JSON Pointer such as /name/0',
    )
