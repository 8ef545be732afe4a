"""Values to bytes and back: the one door to orjson.

The form is JSON in UTF-8, object keys in insertion order. Whatever cannot survive the way there and
back is refused (`Unstorable`) rather than changed: orjson alone would turn NaN into null, an Enum
into its value and an integer of 65 bits into a float without a word.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import orjson

from durproj.errors import Unstorable

DUMPS_DEPTH = 254
"""Deepest nesting orjson writes; it reads up to 1,024 levels."""

_STRICT = (
    orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
MAX_SAFE_INTEGER = 2**53 - 1
"""Integers as far as this, on either side of 0, are their own doubles, and no other number's."""

_LARGE = re.compile(
    "[0-9]{16}|[0-9][eE][+]?[0-9]{2}"
)  # in a text without it no number is beyond that
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
# Raw in JSON, yet able to act on a terminal or to reorder a line: DEL, C1, separators, bidi controls.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

DecodeError = orjson.JSONDecodeError

decode = orjson.loads
"""`decode(blob)`: the value that `blob` holds. Raises DecodeError when it is not JSON."""

_dumps = orjson.dumps


def encode(value: object) -> bytes:
    """`value` as JSON bytes. Raises Unstorable, naming the path, when JSON has no form for it."""
    try:
        return orjson.dumps(value, option=_STRICT)
    except TypeError as error:
        offence = _offence(value, "$", 0)
        # Nothing wrong with it but members of a StrEnum for keys.
        if offence is None and str(error).startswith("Dict key"):
            return orjson.dumps(value, option=_STRICT | orjson.OPT_NON_STR_KEYS)
        raise Unstorable(offence or str(error)) from None


def is_deep(blob: bytes, value: Any) -> bool:
    """Whether `value`, which was decoded from `blob`, is nested more deeply than `encode` writes."""
    if blob.count(b"[") + blob.count(b"{") <= DUMPS_DEPTH:
        return False
    try:
        encode(value)
    except Unstorable:
        return True
    return False


def encode_ijson(value: object) -> bytes:
    """`value` as JSON bytes for readers whose numbers are doubles: an integer beyond ±(2^53 - 1), which
    a double may not hold, becomes the string of its digits (RFC 7493, section 2.2). Raises Unstorable.
    """
    try:
        return orjson.dumps(value, option=_STRICT | orjson.OPT_STRICT_INTEGER)
    except TypeError:
        encode(value)  # whatever else is wrong with it
        return encode(_with_digits(value))


def _with_digits(value: Any) -> Any:
    if type(value) is dict:
        return {key: _with_digits(item) for key, item in value.items()}
    if type(value) is list:
        return [_with_digits(item) for item in value]
    return str(value) if type(value) is int and abs(value) > MAX_SAFE_INTEGER else value


def beyond_double(text: str) -> str | None:
    """The digits of a number beyond ±(2^53 - 1) in the JSON `text`; None when there is none."""
    found: list[str] = []
    if _LARGE.search(text):

        def look(digits: str) -> None:
            if abs(float(digits)) > MAX_SAFE_INTEGER:
                found.append(digits)

        json.loads(text, parse_int=look, parse_float=look)
    return found[0] if found else None


def settle(value: object) -> tuple[bytes, Any]:
    """`value` encoded, and decoded again: what every later step, live or replayed, will be given.

    Tuples become lists, and members of an Enum that equal their plain values (IntEnum, StrEnum) become
    these; anything else that would not come back as it went raises Unstorable.
    """
    try:
        blob = _dumps(value, None, _STRICT)
    except TypeError:
        blob = encode(value)
    back = decode(blob)
    if back != value:
        offence = _offence(value, "$", 0)
        if offence:
            raise Unstorable(offence)
    return blob, back


def settle_plain(value: object) -> tuple[bytes, Any]:
    """What `settle` gives, for a value that is known to be one that it would give."""
    try:
        return _dumps(value, None, _STRICT), value
    except TypeError:
        return encode(value), value


def decode_exact(line: bytes) -> Any:
    """Like `decode`, but an integer outside 64 bits raises DecodeError instead of becoming a float."""
    value = decode(line)

    def exact(digits: str) -> int:
        # Twenty characters hold every 64-bit integer; int() itself refuses very long strings.
        number = int(digits) if len(digits) <= 20 else None
        if number is None or not _INT_MIN <= number <= _INT_MAX:
            shown = digits if len(digits) <= 24 else f"{digits[:21]}…"
            raise DecodeError(f"integer {shown} does not fit 64 bits; send it as a string", "", 0)
        return number

    # The standard library hands every integer's digits over; orjson has already checked the rest.
    try:
        json.loads(line, parse_int=exact)
    except RecursionError:
        with _deeper():
            json.loads(line, parse_int=exact)
    return value


def to_json(value: object, indent: bool = False) -> str:
    """`value` as JSON text that is safe to print: control and direction characters are escaped. It may be
    as deep as `decode` reads."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except TypeError:
        text = _deep_json(value, indent=indent)
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _deep_json(value: object, *, indent: bool) -> str:
    """What orjson reads but does not write: JSON nested up to 1,024 levels deep."""
    with _deeper():
        return json.dumps(
            value,
            ensure_ascii=False,
            indent=2 if indent else None,
            separators=(",", ": " if indent else ":"),
        )


@contextmanager
def _deeper() -> Iterator[None]:
    """Let the standard library go as deep as orjson does: up to two frames a level."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 4096)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _offence(value: object, path: str, depth: int) -> str | None:
    """What in `value` JSON cannot carry, with its path; None when nothing is."""
    kind = type(value)
    if depth >= DUMPS_DEPTH and kind in (dict, list, tuple):
        return f"{path[:80]}… is nested deeper than {DUMPS_DEPTH} levels"
    if value is None or kind is bool or kind is str:
        return _surrogate(value, path) if kind is str else None
    if kind is int:
        fits = _INT_MIN <= value <= _INT_MAX  # type: ignore[operator]
        return (
            None
            if fits
            else f"{path} is an integer that does not fit 64 bits; store it as a string"
        )
    if kind is float:
        if math.isfinite(value):  # type: ignore[arg-type]
            return None
        return f"{path} is {value}, which JSON cannot carry; store null or a string"
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str and not (isinstance(key, str) and _equals_its_value(key)):
                return f"{path} has the key {key!r}, a {type(key).__name__}; JSON keys are strings"
            offence = _surrogate(key, path) or _offence(item, f"{path}.{key}", depth + 1)
            if offence:
                return offence
        return None
    if kind is list or kind is tuple:
        for index, item in enumerate(value):  # type: ignore[arg-type]
            offence = _offence(item, f"{path}[{index}]", depth + 1)
            if offence:
                return offence
        return None
    if _equals_its_value(value):
        return _offence(value.value, path, depth)  # type: ignore[attr-defined]
    plain = "dict" if isinstance(value, dict) else "list" if isinstance(value, list | set) else ""
    way = f"; return {plain}(…) instead" if plain else ""
    return f"{path} is a {kind.__name__}, which JSON cannot carry unchanged{way}"


def _equals_its_value(value: object) -> bool:
    """Whether it is a member of an IntEnum, a StrEnum or their like, for which its value can stand."""
    return isinstance(value, Enum) and bool(value == value.value)


def _surrogate(text: Any, path: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{path} holds a lone surrogate, which UTF-8 cannot carry"
    return None
