"""Times as logs have them, made comparable within their kind."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_BEYOND_MICROSECONDS = re.compile(r"[.,][0-9]{6}([0-9]+)")
_LONGEST = len("YYYYMMDDTHHMMSS.ffffff")
"""Shorter times have no more digits than that."""

_EPOCH = re.compile(r"-?[0-9]{9,30}(\.[0-9]{1,30})?", re.ASCII)
_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))

_LOCAL = datetime.min  # noqa: DTZ901 - of times without a zone
_ZONED = _LOCAL.replace(tzinfo=UTC)


def comparable(time: object) -> tuple[str, Any]:
    """The kind of a time, and a number that orders it among its kind.

    The kinds: "number", "zoned" (ISO 8601 with a zone), "local" (without one), and "other", whose value
    is None, for nothing orders it. All are compared exactly, ISO times to the last digit of a fraction.
    A number, or a text of nine digits or more, is a time since 1970 in seconds, milliseconds, microseconds
    or nanoseconds, whichever its size says.
    """
    if type(time) is int:
        return "number", _nanoseconds(time)
    if type(time) is str and not _EPOCH.fullmatch(time):
        return _moment(time)
    if type(time) is not str and type(time) is not float:
        return "other", None
    from fractions import Fraction

    # A float times a thousand million is rounded, and may meet its neighbour.
    return "number", _nanoseconds(Fraction(time))


def _nanoseconds(time: Any) -> Any:
    """A time since 1970 in nanoseconds. Of each unit it takes what lies before the year 5138."""
    size = abs(time)
    for most, factor in _UNITS:
        if size < most:
            return time * factor
    return time


def _moment(text: str) -> tuple[str, Any]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return "other", None
    kind, past = ("zoned", moment - _ZONED) if moment.tzinfo else ("local", moment - _LOCAL)
    # A zone may put a moment of the year 1 before its beginning: a day more keeps all above zero.
    microseconds = ((past.days + 1) * 86_400 + past.seconds) * 1_000_000 + past.microseconds
    beyond = _BEYOND_MICROSECONDS.search(text) if len(text) > _LONGEST else None
    if beyond is None or not beyond[1].strip("0"):
        return kind, microseconds
    from decimal import Decimal

    # Made from text it is exact at any length, and so are its comparisons with integers.
    return kind, Decimal(f"{microseconds}.{beyond[1]}")
