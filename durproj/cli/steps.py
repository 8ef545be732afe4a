"""Steps for people: a line each, with their event and what they changed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from durproj import codec
from durproj.cli.changed import change_spans, in_json, show_beside
from durproj.errors import DurprojError
from durproj.render import Screen, Span, described, safe, shortened

WIDEST_TYPE = 30
"""Longer types of events are not padded to."""
WIDEST_RESULT = 100
"""Longer results of a program's steps are cut."""
MEASURED = 200
"""So many lines are made before the first is printed, so that their columns stand below each other."""
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
    if "at_latest" in record:
        return f"#{record['at_latest']} or before" if record["at_latest"] else "initial or #0"
    return "initial" if record["step"] is None else f"#{record['step']}"


def state_before_text(step: int) -> str:
    """Why it is not known what a step changed."""
    return "the state before it is not kept" if step else "the initial state is not known"


class StepLines:
    """Prints `step` records on `shown`: a line each, and with `-v` one for each change."""

    def __init__(self, shown: Screen) -> None:
        self._shown = shown
        self._columns = shown.columns()
        self._timed = self._columns is None or self._columns >= NARROW or shown.style.verbose
        self._widest = widest_name(None if shown.style.verbose else self._columns)
        # Columns are as wide as what they have held so far, and what is seen to come.
        self._widths = [0, 0, 0]

    def aligned(self, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The records, once it is known how wide the columns of the first MEASURED are."""
        first: list[dict[str, Any]] = []
        failed: DurprojError | None = None
        try:
            first += islice(records, MEASURED)
        except DurprojError as error:
            failed = error
        for record in first:
            if record["type"] == "step":
                self._measure(self._columns_of(record))
        yield from first
        if failed:
            raise failed
        yield from records

    def show(self, record: dict[str, Any]) -> None:
        """Print one record."""
        head = self._head(record)
        if error := record.get("error") or record.get("skipped"):
            mark = "skipped: " if "skipped" in record else "✗ "
            head += ((f"  {mark}{described(error)}", "red"),)
        if "changes" in record:
            self._show_changes(head, record)
        elif "state" in record:
            whole = self._shown.style.verbose
            value = (
                codec.to_json(record["state"]) if whole else in_json(record["state"], WIDEST_RESULT)
            )
            self._shown.line(*head, ("  → ", "dim"), (value, ""))
        else:
            self._shown.line(*head)

    def _head(self, record: dict[str, Any]) -> tuple[Span, ...]:
        columns = self._columns_of(record)
        self._measure(columns)
        styles = "bold", "dim", "cyan"
        spans: list[Span] = []
        for text, width, style in zip(columns, self._widths, styles, strict=True):
            if width:
                spans.append((f"{'  ' if spans else ''}{text:<{width}}", style))
        return tuple(spans)

    def _columns_of(self, record: dict[str, Any]) -> tuple[str, ...]:
        event = record["event"] or {"type": "", "id": None, "time": None}
        time = time_text(event["time"]) if self._timed else ""
        return step_text(record), time, shortened(safe(named_text(event)), self._widest)

    def _measure(self, columns: tuple[str, ...]) -> None:
        for at, text in enumerate(columns):
            self._widths[at] = max(self._widths[at], min(len(text), WIDEST_TYPE))

    def _show_changes(self, head: tuple[Span, ...], record: dict[str, Any]) -> None:
        changes = record["changes"]
        if changes is None:
            why = state_before_text(record["step"])
            value = in_json(record["state"], WIDEST_RESULT)
            self._shown.line(*head, (f"  {why}", "dim"), ("  = ", "dim"), (value, ""))
        elif not changes:
            idle = "" if "skipped" in record else "  nothing changed"
            self._shown.line(*head, (idle, "dim"))
        elif self._shown.style.verbose:
            self._shown.line(*head[:-1], (head[-1][0].rstrip(), head[-1][1]))
            for change in changes:
                self._shown.line(("    ", ""), *change_spans(change, width=None))
        else:
            show_beside(self._shown, head, changes)
