r"""Paths: where in a decoded line a value is.

    actor.login          dotted; a number steps into an array
    user\.id             a literal dot; so for a literal bar and a literal bracket
    /actor/login         JSON Pointer (RFC 6901), for names that begin with `/` or hold anything else
    userId|anonymousId   alternatives: the first that is there
    items[].id           every element of an array; for the key only

A field that is null counts as absent everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from durproj.codec import to_json
from durproj.errors import UsageError

Parts = tuple[str, ...]


class _Each(str):
    """No name of a field, whatever its text."""

    __slots__ = ()


EACH: Final = _Each("[]")
"""Stands, as a part, for every element of an array."""

_CHARACTER = re.compile(r"\\.|.", re.DOTALL)
_NAME = re.compile(r"(?!\[\])((?:\\.|[^\\])+?)((?:\[\])*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r"([\\.|]|\[(?=\]))")


def alternatives(path: str) -> tuple[Parts, ...]:
    """What `path` steps through, for each of its alternatives. Raises UsageError when it cannot be read."""
    return tuple(split_path(each, path) for each in _split(path, "|"))


def split_path(path: str, whole: str | None = None) -> Parts:
    """The names that a path without alternatives steps through, EACH where it takes every element.
    Raises UsageError, which shows the `whole` that it is one of, when it cannot be read."""
    if path.startswith("/"):
        names = path[1:].replace("\\|", "|").split("/")
        return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)
    parts: list[str] = []
    for text in _split(path, "."):
        met = _NAME.fullmatch(text)
        if not met:
            raise UsageError(
                f"the path {to_json(whole or path)} cannot be read",
                "write NAME, NAME.NAME, NAME\\.NAME for a dot in a name, NAME|NAME for the first that"
                " is there, or a JSON Pointer such as /a/b",
            )
        parts += [_ESCAPE.sub(r"\1", met[1]), *[EACH] * (len(met[2]) // 2)]
    return tuple(parts)


def within(outer: str, path: str) -> str:
    """`path`, which holds no JSON Pointer, as it reads from outside of the field `outer`."""
    return "|".join(f"{outer}.{each}" for each in _split(path, "|"))


def written(name: str) -> str:
    """The path to the field `name` of a line, whatever that name is."""
    return _SPECIAL.sub(r"\\\1", name)


def is_many(path: str) -> bool:
    """Whether `path` leads to every element of an array."""
    return any(part is EACH for parts in alternatives(path) for part in parts)


def reader(path: str | None) -> Callable[[Any], Any]:
    """A function from a decoded line to the value at `path`, or None."""
    if path is None:
        return lambda _body: None
    choices = alternatives(path)
    if len(choices) == 1:
        return lambda body: dig(body, choices[0])

    def first(body: Any) -> Any:
        for parts in choices:
            value = dig(body, parts)
            if value is not None:
                return value
        return None

    return first


def elements(path: str) -> Callable[[Any], list[Any]]:
    """A function from a decoded line to every value at `path`, in their order, nulls left out."""
    choices = alternatives(path)

    def every(body: Any) -> list[Any]:
        for parts in choices:
            found = [value for value in _dig_each(body, parts) if value is not None]
            if found:
                return found
        return []

    return every


def dig(body: Any, parts: Parts | None) -> Any:
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


def _dig_each(body: Any, parts: Parts) -> list[Any]:
    at = next((n for n, part in enumerate(parts) if part is EACH), None)
    if at is None:
        return [dig(body, parts)]
    inner = dig(body, parts[:at])
    rest = parts[at + 1 :]
    return [
        value for item in (inner if type(inner) is list else ()) for value in _dig_each(item, rest)
    ]


def plain(text: str) -> str:
    """`text` as it can be shown."""
    return text if text.isprintable() else ascii(text)


def _split(text: str, separator: str) -> list[str]:
    """`text` cut at every `separator` that no backslash stands before."""
    pieces = [""]
    for character in _CHARACTER.findall(text):
        if character == separator:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces
