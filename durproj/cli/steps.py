"""Steps for people: a line each, with their event and what they changed."""

from __future__ import annotations

import re
import sys
from typing import Any

from durproj import codec
from durproj.cli.changed import change_spans, in_json, show_beside
from durproj.render import Screen, Span, described, safe, shortened

WIDEST_TYPE = 30
"""Longer types of events are not padded to."""
WIDEST_RESULT = 100
"""Longer results of a program's steps are cut."""
NARROW = 100
"""On a terminal with fewer columns, times of events are left out where there is something else to show."""
NARROWEST_NAME = 12
"""So much of an event's type and id is shown where there is no room."""
ROOM_FOR_A_CHANGE = 34
"""What a short change takes, with the number of those that are left out and the blanks between."""

_FRACTION = re.compile(r"(?<=:\d\d)\.\d+(?=Z|[+-]\d\d|$)")


def event_text(event: dict[str, Any]) -> str:
    """Time, type and id of an event, those that it has."""
    time = time_text(event.get("time"))
    return (f"{time}  " if time else "") + named_text(event)


def named_text(event: dict[str, Any]) -> str:
    """Type and id of an event, if it has one."""
    return "  ".join(str(event[name]) for name in ("type", "id") if event[name] is not None)


def event_spans(event: dict[str, Any], columns: int | None, used: int) -> tuple[Span, ...]:
    """An event on a line of so many columns (None: any number), of which some are used, cut so that a
    change has room beside it."""
    time = time_text(event["time"]) if columns is None or columns >= NARROW else ""
    text = safe(named_text(event))
    if columns is not None:
        text = shortened(text, max(NARROWEST_NAME, columns - used - len(time) - ROOM_FOR_A_CHANGE))
    return (f"  {time}" if time else "", "dim"), (f"  {text}", "cyan")


def widest_name(columns: int | None) -> int:
    """How much of an event's type and id is shown on a line of so many columns (None: any number)."""
    return sys.maxsize if columns is None else max(WIDEST_TYPE, columns // 2)


def time_text(time: Any) -> str:
    """An event's time to the second; empty when it has none."""
    return (
        ""
        if time is None
        else _FRACTION.sub("", time if isinstance(time, str) else in_json(time, 40))
    )


def step_text(record: dict[str, Any]) -> str:
    """Which step a record is of: its number, or what there was before any."""
    if "before" in record:
        return f"before #{record['before']}"
    return "initial" if record["step"] is None else f"#{record['step']}"


class StepLines:
    """Prints `step` records on `shown`: a line each, and with `-v` one for each change."""

    def __init__(self, shown: Screen) -> None:
        self._shown = shown
        self._columns = shown.columns()
        self._timed = self._columns is None or self._columns >= NARROW or shown.style.verbose
        self._widest = widest_name(None if shown.style.verbose else self._columns)
        # Columns are as wide as what they have held so far: the records to come are not known yet.
        self._widths = [0, 0, 0]

    def show(self, record: dict[str, Any]) -> None:
        """Print one record."""
        head = self._head(record)
        if error := record.get("error") or record.get("skipped"):
            mark = "skipped: " if "skipped" in record else "✗ "
            head += ((f"  {mark}{described(error)}", "red"),)
        if "state" in record:
            whole = self._shown.style.verbose
            value = (
                codec.to_json(record["state"]) if whole else in_json(record["state"], WIDEST_RESULT)
            )
            self._shown.line(*head, ("  → ", "dim"), (value, ""))
        elif "changes" in record:
            self._show_changes(head, record)
        else:
            self._shown.line(*head)

    def _head(self, record: dict[str, Any]) -> tuple[Span, ...]:
        event = record["event"] or {"type": "", "id": None, "time": None}
        time = time_text(event["time"]) if self._timed else ""
        columns = step_text(record), time, shortened(safe(named_text(event)), self._widest)
        styles = "bold", "dim", "cyan"
        spans: list[Span] = []
        for at, (text, style) in enumerate(zip(columns, styles, strict=True)):
            self._widths[at] = max(self._widths[at], min(len(text), WIDEST_TYPE))
            if self._widths[at]:
                spans.append((f"{'  ' if spans else ''}{text:<{self._widths[at]}}", style))
        return tuple(spans)

    def _show_changes(self, head: tuple[Span, ...], record: dict[str, Any]) -> None:
        changes = record["changes"]
        if changes is None:
            self._shown.line(*head, ("  the state before it is not kept", "dim"))
        elif not changes:
            idle = "" if "skipped" in record else "  nothing changed"
            self._shown.line(*head, (idle, "dim"))
        elif self._shown.style.verbose:
            self._shown.line(*head[:-1], (head[-1][0].rstrip(), head[-1][1]))
            for change in changes:
                self._shown.line(("    ", ""), *change_spans(change, width=None))
        else:
            show_beside(self._shown, head, changes)
