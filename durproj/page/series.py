"""The numbers of a state over its steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from durproj.history.changes import Change
from durproj.history.paths import ABSENT, Place

Points = dict[int, int | float | None]
"""By the steps at which it changed: the value from there on; None: no number."""


class Series:
    """How the numbers of a state went from step `first` on, before which it was `state`. Elements of lists are left
    out: which of them is which is told by no path."""

    def __init__(self, first: int, state: Any) -> None:
        self._points: dict[Place, Points] = {
            path: {first: value} for path, value in _numbers((), state)
        }

    def take(self, step: int, changes: Iterable[Change]) -> None:
        """Note what `step` changed."""
        for change in changes:
            if any(isinstance(part, int) for part in change.path):
                continue
            now = dict(_numbers(change.path, change.new))
            for path, _ in _numbers(change.path, change.old):
                now.setdefault(path, None)
            for path, value in now.items():
                self._points.setdefault(path, {})[step] = value

    def liveliest(self, most: int) -> list[tuple[Place, Points]]:
        """Of those that changed, the `most` that did so most often, in the order of the state."""
        moving = [(path, points) for path, points in self._points.items() if len(points) > 1]
        ranked = sorted(range(len(moving)), key=lambda at: (-len(moving[at][1]), at))
        return [moving[at] for at in sorted(ranked[:most])]


def _numbers(path: Place, value: Any) -> Iterator[tuple[Place, Any]]:
    """The numbers in a value, lists left out."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _numbers((*path, name), part)
    elif value is not ABSENT and isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
