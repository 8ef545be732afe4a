"""Bad lines that are left out, where that was asked for, instead of ending a pass."""

from __future__ import annotations

from durproj.errors import BadEvent
from durproj.wording import number


class LeftOut:
    """How many bad lines there were, and the error for the first of them."""

    def __init__(self) -> None:
        self.lines = 0
        self.first: BadEvent | None = None

    def add(self, error: BadEvent) -> None:
        """Leave out the line that `error` is for."""
        self.lines += 1
        self.first = self.first or error

    def describe(self) -> str:
        """In one line, for people: `2 bad lines were left out, the first: …`."""
        lines = number(self.lines, "bad line was", "bad lines were")
        return f"{lines} left out{'' if self.lines == 1 else ', the first'}: {self.first}"
