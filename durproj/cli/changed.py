"""Changes of a state for people: lines of spans, for `Screen.line`. A change is a record as
`history.changes.Change.record` gives it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durproj import codec
from durproj.render import Span, safe_json, shortened

WIDEST_VALUE = 40
"""Longer values are cut, but where each change has a line of its own."""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("", "yellow")}


def change_spans(change: dict[str, Any], width: int = WIDEST_VALUE) -> tuple[Span, ...]:
    """One change: `total 0→1`, `+orders[0] "ord_1"`, `-sub "active"`. `width`: of a value, in characters."""
    mark, color = _MARKS[change["kind"]]
    sides = [in_json(change[side], width) for side in ("old", "new") if side in change]
    path = ((f"{mark}{change['path']}", color), (" ", ""))
    if len(sides) == 1:
        return (*path, (sides[0], ""))
    return (*path, (sides[0], "dim"), ("→", "dim"), (sides[1], ""))


def changes_in_line(changes: Iterable[dict[str, Any]], most: int = 8) -> tuple[Span, ...]:
    """Changes side by side; of more than `most`, how many are left out."""
    found = list(changes)
    spans: list[Span] = []
    for change in found[:most]:
        spans += [("  ", ""), *change_spans(change)]
    if len(found) > most:
        spans.append((f"  … {len(found) - most:,} more", "dim"))
    return tuple(spans)


def in_json(value: Any, width: int) -> str:
    """A value as JSON, cut after `width` characters."""
    return shortened(safe_json(codec.to_json(value)), width)
