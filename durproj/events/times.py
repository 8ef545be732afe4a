"""Times as logs have them, made comparable within their kind."""

from __future__ import annotations

import re
from typing import Any

_BEYOND_MICROSECONDS = re.compile(r"[.,][0-9]{6}([0-9]+)")
_MICROSECONDS_A_DAY = 86_400_000_000


def comparable(time: object) -> tuple[str, Any]:
    """The kind of a time, and a number that orders it among its kind.

    The kinds: "number", "zoned" (ISO 8601 with a zone), "local" (without one), and "other", whose value
    is None, for nothing orders it. ISO times are compared exactly, to the last digit of a fraction.
    """
    if type(time) is int or type(time) is float:
        return "number", time
    return _moment(time) if type(time) is str else ("other", None)


def _moment(text: str) -> tuple[str, Any]:
    from datetime import UTC, datetime, timedelta

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return "other", None
    past = moment - datetime.min.replace(tzinfo=UTC if moment.tzinfo else None)
    # A zone may put a moment of the year 1 before its beginning: a day more keeps all above zero.
    microseconds = past // timedelta(microseconds=1) + _MICROSECONDS_A_DAY
    kind = "zoned" if moment.tzinfo else "local"
    beyond = _BEYOND_MICROSECONDS.search(text)
    if beyond is None or not beyond[1].strip("0"):
        return kind, microseconds
    from decimal import Decimal

    # Made from text it is exact at any length, and so are its comparisons with integers.
    return kind, Decimal(f"{microseconds}.{beyond[1]}")
