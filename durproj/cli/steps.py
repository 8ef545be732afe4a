"""Steps for people: a line each, with their event and what they changed."""

from __future__ import annotations

import re
from typing import Any

from durproj import codec
from durproj.cli.changed import change_spans, changes_in_line, in_json
from durproj.render import Screen, Span, described, safe

WIDEST_TYPE = 30
"""Longer types of events are not padded to."""
WIDEST_RESULT = 100
"""Longer results of a program's steps are cut."""
NARROW = 100
"""On a terminal with fewer columns, times of events are left out where there is something else to show."""

_FRACTION = re.compile(r"(?<=:\d\d)\.\d+(?=Z|[+-]\d\d|$)")


def event_text(event: dict[str, Any]) -> str:
    """Type, id and time of an event, those that it has."""
    parts = (event["type"], event["id"], event.get("time"))
    return "  ".join(str(part) for part in parts if part is not None)


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
        id = "" if event["id"] is None else f"  {event['id']}"
        time = time_text(event["time"]) if self._timed else ""
        columns = step_text(record), time, safe(event["type"] + id)
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
            used = sum(len(text) for text, _ in head)
            room = None if self._columns is None else self._columns - used
            self._shown.line(*head, *changes_in_line(changes, columns=room))
