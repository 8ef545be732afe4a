"""Gaps in a sequence of numbers, and numbers that come again or fall."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass
from typing import Any, Self

from durproj.events.sequence.order import whole_number


@dataclass
class Gaps:
    """What is irregular in the sequences of some streams. missing: numbers between others that are not
    there; first: of the first stream with a gap, `id` and the number `after` which one is missing;
    repeated: numbers that were there before; back: numbers below one that was there before them."""

    missing: int = 0
    repeated: int = 0
    back: int = 0
    first: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.missing or self.repeated or self.back)

    def __add__(self, other: Gaps) -> Gaps:
        return Gaps(
            self.missing + other.missing,
            self.repeated + other.repeated,
            self.back + other.back,
            self.first or other.first,
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it by name, as JSON can carry it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The Gaps that `to_dict` described."""
        return cls(**values)

    def describe(self) -> str:
        """One line for people: `4 missing, first after 17 in projection/u1; 3 repeated, 1 back`."""
        parts = []
        if self.missing:
            parts.append(f"{self.missing:,} missing")
        if self.first:
            where = "" if self.first["id"] is None else f" in {self.first['id']}"
            parts[0] += f", first after {self.first['after']}{where}"
        again = [
            f"{count:,} {what}"
            for count, what in ((self.repeated, "repeated"), (self.back, "back"))
            if count
        ]
        if again:
            parts.append(", ".join(again))
        return "; ".join(parts)


class SequenceNumbers:
    """The numbers of one stream, in the order in which its events are taken; what is no whole number does
    not count. after: the last number of those that came before, of which no more is known."""

    def __init__(self, after: object = None) -> None:
        self._first = self._last = whole_number(after)
        self._known = self._first is None
        self._repeated = self._back = 0
        # What is missing, in ascending order: the first and the last number of every gap.
        self._from: list[int] = []
        self._to: list[int] = []

    def take(self, value: object) -> None:
        """The next event's number."""
        number = whole_number(value)
        if number is None:
            return
        first, last = self._first, self._last
        if first is None or last is None:
            self._first = self._last = number
        elif number > last:
            self._miss(last + 1, number - 1, len(self._from))
            self._last = number
        elif number < first:
            self._back += 1
            if self._known:
                self._miss(number + 1, first - 1, 0)
                self._first = number
        elif self._fill(number):
            self._back += 1
        else:
            self._repeated += 1

    def gaps(self, id: str | None) -> Gaps:
        """What is irregular so far, in the stream that is to be called `id`, if it has a name."""
        missing = sum(self._to) - sum(self._from) + len(self._from)
        first = {"id": id, "after": self._from[0] - 1} if self._from else None
        return Gaps(missing, self._repeated, self._back, first)

    def _miss(self, begin: int, end: int, at: int) -> None:
        """The numbers from `begin` to `end` are missing, if there are any."""
        if begin <= end:
            self._from.insert(at, begin)
            self._to.insert(at, end)

    def _fill(self, number: int) -> bool:
        """Whether `number` was missing; it is not any more."""
        at = bisect_right(self._from, number) - 1
        if at < 0 or number > self._to[at]:
            return False
        begin, end = self._from[at], self._to[at]
        rest = [span for span in ((begin, number - 1), (number + 1, end)) if span[0] <= span[1]]
        self._from[at : at + 1] = [span[0] for span in rest]
        self._to[at : at + 1] = [span[1] for span in rest]
        return True
