"""What a run came to, for people: lines of spans, for `Screen.line`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from durproj.history.standing import projection_record
from durproj.render import Span, described, in_short, shortened
from durproj.runtime.observer import Counts
from durproj.stores.base import Head
from durproj.wording import number

WIDEST_ID = 40
"""Longer ids stand out of their column."""

SHOWN_TYPES = 10
"""At most so many unknown types, the most frequent ones."""


Line = tuple[Span, ...]


def one(head: Head, cached: int, executed: int, counts: Counts) -> Iterator[Line]:
    """The one projection there was, but for its state."""
    yield (
        (head.id, "bold"),
        ("  ", ""),
        (head.status, status_color(head.status)),
        (_done(head, cached, executed), ""),
        (_dropped(counts), ""),
    )
    if head.status == "parked":
        yield ((f"  {_why(head)}", "red"),)


def table(
    heads: Sequence[tuple[Head, int, int]], summary: Callable[[Any], str] | None
) -> Iterator[Line]:
    """A line for each projection with its numbers of cached and executed steps, in columns as long as ids
    are of a length that allows for it."""
    width = min(max((len(head.id) for head, _, _ in heads), default=0), WIDEST_ID)
    done = [_done(head, cached, executed) for head, cached, executed in heads]
    wide = max(map(len, done), default=0)
    for (head, _, _), text in zip(heads, done, strict=True):
        state = projection_record(head, 0, 0)["state"]
        short = "" if head.state is None else in_short(state, summary)
        yield (
            (f"  {head.id:<{width}}", "bold"),
            (f"  {head.status:<8}", status_color(head.status)),
            (f"{text:<{wide}}  ", ""),
            (_why(head), "red") if head.error is not None else (short, "dim"),
        )


def totals(counts: Counts, seconds: float | None) -> Line:
    """All of it in one line; `seconds`: how long it took, if that is to be said."""
    what = f"{number(counts.projections, 'projection')}, {number(counts.events, 'event')}: "
    return (
        (f"{what}{counts.executed:,} executed, {counts.cached:,} cached", "bold"),
        (f", {counts.failed:,} failed" if counts.failed else "", "red"),
        (_parked(counts), "red"),
        (f", {counts.skipped:,} skipped" if counts.skipped else "", "red"),
        (f", {number(counts.bad_lines, 'bad line')} left out" if counts.bad_lines else "", "red"),
        (_dropped(counts), ""),
        ("" if seconds is None else f" in {seconds:.1f} s", "dim"),
    )


def _done(head: Head, cached: int, executed: int) -> str:
    """How much of a workflow there is, and what this run did of it."""
    idle = not executed and head.status == "resolved"
    what = "nothing to do" if idle else f"{executed:,} executed"
    return f"  {number(head.steps, 'step')} ({what}, {cached:,} cached)"


def _parked(counts: Counts) -> str:
    """How many streams are parked, and what waits behind their events, if any are."""
    if not counts.parked:
        return ""
    behind = number(counts.waiting, "event waits", "events wait")
    waiting = f" ({behind})" if counts.waiting else ""
    return f", {counts.parked:,} parked{waiting}"


def _why(head: Head) -> str:
    """Where a parked or rejected workflow stands, and for what error."""
    error = projection_record(head, 0, 0)["error"]
    return f"at step {error['step']:,}: {shortened(described(error), 100)}"


def most_common(unknown: Counter[str]) -> str:
    """The types of which there are most, with their numbers."""
    shown = [f"{name} {count:,}" for name, count in unknown.most_common(SHOWN_TYPES)]
    rest = len(unknown) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _dropped(counts: Counts) -> str:
    """How many duplicates were dropped, if any."""
    return f", {number(counts.duplicates, 'duplicate')} dropped" if counts.duplicates else ""


def status_color(status: str) -> str:
    """The color that tells one status from another at a glance."""
    return {"resolved": "green", "rejected": "red"}.get(status, "yellow")
