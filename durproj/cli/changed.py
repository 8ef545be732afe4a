"""Changes of a state for people: lines of spans, for `Screen.line`. A change is a record as
`history.changes.Change.record` gives it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from durproj import codec
from durproj.render import Span, safe_json, shortened

WIDEST_VALUE = 40
"""Longer values are cut, but where each change has a line of its own."""

NARROWEST_VALUE = 12
"""Where there is room for no change, values are cut after so many characters."""

REST_COLUMNS = 11
"""What the number of changes that are left out takes."""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("", "yellow")}


def change_spans(change: dict[str, Any], width: int | None = WIDEST_VALUE) -> tuple[Span, ...]:
    """One change: `total 0→1`, `+orders[0] "ord_1"`, `-sub "active"`. `width`: of a value, in characters;
    None: values are not cut."""
    mark, color = _MARKS[change["kind"]]
    sides = [in_json(change[side], width) for side in ("old", "new") if side in change]
    path = ((f"{mark}{change['path']}", color), (" ", ""))
    if len(sides) == 1:
        return (*path, (sides[0], ""))
    return (*path, (sides[0], "dim"), ("→", "dim"), (sides[1], ""))


def changes_in_line(
    changes: Iterable[dict[str, Any]], most: int = 8, columns: int | None = None
) -> tuple[Span, ...]:
    """Changes side by side: of more than `most`, or than there is room for in so many columns, how many
    are left out. One is shown in any case."""
    found = list(changes)
    spans: list[Span] = []
    left = sys.maxsize if columns is None else columns
    for count, change in enumerate(found):
        room = REST_COLUMNS if count + 1 < len(found) else 0
        more = ("  ", ""), *change_spans(change)
        if not count and left - room < _columns(more):
            more = ("  ", ""), *change_spans(change, NARROWEST_VALUE)
        left -= _columns(more)
        if count == most or (count and left < room):
            spans.append((f"  … {len(found) - count:,} more", "dim"))
            break
        spans += more
    return tuple(spans)


def _columns(spans: Iterable[Span]) -> int:
    return sum(len(text) for text, _ in spans)


def in_json(value: Any, width: int | None) -> str:
    """A value as JSON, cut after `width` characters if there is a width."""
    text = safe_json(codec.to_json(value))
    return text if width is None else shortened(text, width)
