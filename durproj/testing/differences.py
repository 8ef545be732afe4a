"""What two states differ in, path by path, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from durproj import codec
from durproj.errors import Unstorable
from durproj.history.paths import ABSENT, Place, show_path
from durproj.render import safe, safe_json

_WIDTH = 60
_BEFORE = 20  # so much of what is the same is shown before what differs


@dataclass(frozen=True)
class Difference:
    """One path at which two states differ; a side may be ABSENT."""

    path: Place
    expected: Any
    actual: Any


def differences(expected: Any, actual: Any, path: Place = ()) -> list[Difference]:
    """Where `actual`, decoded JSON, is not what is expected.

    What is neither an object nor an array is compared by `==`, so `expected` may hold
    `pytest.approx(…)` or `unittest.mock.ANY`; but true is not 1. Where arrays differ in length, what
    is the same at both ends is left out.
    """
    pairs: Iterable[tuple[str | int, Any, Any]]
    if isinstance(expected, dict) and isinstance(actual, dict):
        names = [*expected, *(name for name in actual if name not in expected)]
        pairs = ((name, expected.get(name, ABSENT), actual.get(name, ABSENT)) for name in names)
    elif isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        pairs = _paired(expected, actual)
    else:
        return [] if _equal(expected, actual) else [Difference(path, expected, actual)]
    found: list[Difference] = []
    for name, wanted, met in pairs:
        found += differences(wanted, met, (*path, name))
    return found


def path_shown(path: Place) -> str:
    """A path in one line that does nothing but show."""
    return safe(show_path(path)) if path else "the state"


def show(value: Any, width: int = 2 * _WIDTH) -> str:
    """A value in one short line: as JSON, or as Python has it where JSON cannot carry it."""
    return _cut(_text(value), 0, width)


def show_both(first: Any, second: Any) -> tuple[str, str]:
    """Two values that differ, each in short: of long ones, the part where they begin to differ."""
    texts = _text(first), _text(second)
    start = 0
    if max(map(len, texts)) > _WIDTH:
        apart = (n for n, pair in enumerate(zip(*texts, strict=False)) if pair[0] != pair[1])
        start = max(0, next(apart, min(map(len, texts))) - _BEFORE)
    return _cut(texts[0], start, _WIDTH), _cut(texts[1], start, _WIDTH)


def _equal(expected: Any, actual: Any) -> bool:
    if expected is ABSENT or actual is ABSENT:
        return False
    numbers = isinstance(expected, int | float) and isinstance(actual, int | float)
    if numbers and isinstance(expected, bool) is not isinstance(actual, bool):
        return False
    return bool(expected == actual)


def _paired(expected: Any, actual: Any) -> list[tuple[int, Any, Any]]:
    """The elements of two arrays side by side, without those that are the same at both ends."""
    shorter = min(len(expected), len(actual))
    first = last = 0
    while first < shorter and not differences(expected[first], actual[first]):
        first += 1
    while last < shorter - first and not differences(expected[-1 - last], actual[-1 - last]):
        last += 1
    middle = zip_longest(
        expected[first : len(expected) - last],
        actual[first : len(actual) - last],
        fillvalue=ABSENT,
    )
    return [(index, *pair) for index, pair in enumerate(middle, first)]


def _text(value: Any) -> str:
    if value is ABSENT:
        return "(absent)"
    try:
        return safe_json(codec.encode(value).decode())
    except Unstorable:
        return safe(repr(value))


def _cut(text: str, start: int, width: int) -> str:
    before, after = "…" if start else "", "…" if len(text) > start + width else ""
    return f"{before}{text[start : start + width]}{after}"
