"""A run's cursor as the store keeps it: how far its input is dealt with, and what came of that."""

from __future__ import annotations

from typing import Any

from durproj.events.cursor import Cursor
from durproj.runtime.observer import Counts


def held_cursor(cursor: Cursor, counts: Counts) -> dict[str, Any]:
    """`cursor` with how many workflows and steps there are as far as that, and how many of the
    workflows are parked, and how many events wait behind those. Heads are not counted for it each time: there
    may be many, and what they say is under a seal of its own only."""
    held = {"workflows": counts.projections, "steps": counts.cached, "parked": counts.parked}
    waiting = {"waiting": counts.waiting} if counts.waiting else {}
    return {**cursor.to_dict(), **held, **waiting}


def kept_now(counts: Counts, untouched: Counts) -> Counts:
    """What the store has after a fold that came to `counts`, and left alone what `untouched` counts."""
    return Counts(
        counts.projections + untouched.projections,
        counts.cached + counts.executed + untouched.cached,
        parked=counts.parked + untouched.parked,
        waiting=counts.waiting + untouched.waiting,
    )


def counted(held: dict[str, Any]) -> Counts:
    """The counts in `held_cursor`; older stores may know of no parked streams, or not what
    waits."""
    parked, waiting = held.get("parked", 0), held.get("waiting", 0)
    return Counts(held["workflows"], held["steps"], parked=parked, waiting=waiting)


def restored_cursor(
    held: dict[str, Any] | None, cursor: Cursor | None, released: Counts
) -> dict[str, Any] | None:
    """The cursor `held`, after streams that were parked before it were folded as far as `cursor`, with
    the counts `released`; None when they came further than the others did, or it cannot be told."""
    if held is None or cursor is None or Cursor.from_dict(held) != cursor:
        return None
    counts = counted(held)
    counts.cached += released.executed
    counts.parked -= released.projections - released.parked
    # Of what is executed now, one event of each stream did not wait behind another.
    moved = released.executed + released.parked - released.projections
    counts.waiting = max(0, counts.waiting - moved)
    return None if counts.parked < 0 else held_cursor(cursor, counts)
