"""The order of a stream's events by their times or their sequence numbers."""

from __future__ import annotations

import re
from itertools import accumulate
from operator import lt
from typing import Any, Literal

from durproj.events.sequence.times import comparable

Order = Literal["file", "time", "seq"]
"""What events are taken in the order of: their places in the log, their times, their numbers."""

_DECIMAL = re.compile(r"-?[0-9]{1,4000}")
_TIMES = {"number": "a number", "zoned": "a time with a zone", "local": "a time without a zone"}


def whole_number(value: object) -> int | None:
    """The integer that a sequence number stands for, be it one in JSON or a string of decimal digits;
    None when it is neither."""
    if type(value) is int:
        return value
    return int(value) if type(value) is str and _DECIMAL.fullmatch(value) else None


class TimeOrder:
    """Puts events in the order of their times."""

    def __init__(self) -> None:
        self._kind = ""
        self._values: list[Any] = []

    def add(self, time: object) -> None:
        """The time of the next event of the stream. Raises ValueError with the reason when it cannot be
        compared with those before it."""
        kind, value = comparable(time)
        if time is None or value is None:
            raise ValueError(
                "the line has no time"
                if time is None
                else "the time is neither ISO 8601 nor a number"
            )
        if kind != self._kind and self._kind:
            raise ValueError(
                f"the time is {_TIMES[kind]}, after {_TIMES[self._kind]} in the same stream"
            )
        self._kind = kind
        self._values.append(value)

    def arrange(self) -> tuple[list[int], int]:
        """See `arranged`."""
        return arranged(self._values)


class SequenceOrder:
    """Puts events in the order of their sequence numbers.

    Integers, and strings when all of a stream are decimal digits, compare as numbers; other strings
    compare as text, character by character. as_text: strings always do, as CloudEvents has it.
    """

    def __init__(self, as_text: bool = False) -> None:
        self._as_text = as_text
        self._values: list[int | str] = []
        self._integers = self._texts = False

    def add(self, number: object) -> None:
        """The sequence number of the next event of the stream. Raises ValueError with the reason when it
        cannot be compared with those before it."""
        if type(number) is int:
            self._integers = True
        elif type(number) is str:
            self._texts |= self._as_text or whole_number(number) is None
        else:
            raise ValueError(
                "the line has no sequence number"
                if number is None
                else "the sequence number is neither an integer nor a string"
            )
        if self._integers and self._texts:
            raise ValueError("the sequence has integers and text in the same stream")
        self._values.append(number)

    def arrange(self) -> tuple[list[int], int]:
        """See `arranged`."""
        return arranged(self._values if self._texts else list(map(whole_number, self._values)))


def arranged(values: list[Any]) -> tuple[list[int], int]:
    """The indexes of `values` in ascending order, equal ones as they come; and how many of them came
    after a greater one."""
    late = sum(map(lt, values, accumulate(values, max)))
    return sorted(range(len(values)), key=values.__getitem__), late
