"""Times as logs have them, made comparable within their kind."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

_BEYOND_MICROSECONDS = re.compile(r"[.,][0-9]{6}([0-9]+)")
_LONGEST = len("YYYYMMDDTHHMMSS.ffffff")
"""Shorter times have no more digits than that."""

_LOCAL = datetime.min  # noqa: DTZ901 - of times without a zone
_ZONED = _LOCAL.replace(tzinfo=UTC)


def comparable(time: object) -> tuple[str, Any]:
    """The kind of a time, and a number that orders it among its kind.

    The kinds: "number", "zoned" (ISO 8601 with a zone), "local" (without one), and "other", whose value
    is None, for nothing orders it. ISO times are compared exactly, to the last digit of a fraction.
    """
    if type(time) is int or type(time) is float:
        return "number", time
    return _moment(time) if type(time) is str else ("other", None)


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
