"""What differs between two states: of one workflow at two steps, or of two workflows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durproj.errors import UsageError
from durproj.history.changes import changes_at
from durproj.history.log import refuse_program
from durproj.history.paths import ABSENT, Place, parse_path
from durproj.history.reading import reading
from durproj.history.timeline import Timeline
from durproj.ids import split_range, split_step
from durproj.stores.base import Store

MOST_EVENTS = 10
"""Of more steps between two states, only the newest are named."""


def diff(
    one: str,
    other: str | None = None,
    *,
    path: str | Iterable[str] = (),
    store: str | Path | Store = "durproj.db",
) -> dict[str, Any]:
    """What `durproj diff` prints, as one JSON object: the `changes` from the state `old` to `new`.

    `projection/u1#4..6` compares the states after two steps, where an end left open is the beginning or
    the newest step; `projection/u1#4` alone, what step 4 was given and what it returned; with `other`,
    the states after two steps or the newest ones of two workflows: `projection/u1#4`, `projection/u2`.
    path: only what differs there. `changes` are None where the initial state is compared, and the store does
    not know it: a function made it. Within one workflow `steps` says how many steps lead from `old` to
    `new`, and `events` names them, the newest MOST_EVENTS if there are more.

    Raises UsageError, NotFound, StoreError, and StoreDamaged when what is stored is not what was
    written.
    """
    asked = [parse_path(each) for each in ([path] if isinstance(path, str) else path)] or [()]
    ids = (text.partition("#")[0] for text in (one, other) if text is not None)
    # At one instant: the two states have to be of one history.
    with reading(store, *ids) as opened, opened.snapshot():
        old, new = _sides(opened, one, other)
        return {
            "type": "diff",
            "old": old.record(),
            "new": new.record(),
            **_between(old, new),
            "changes": _changes(old, new, asked),
        }


def _changes(old: _Side, new: _Side, asked: list[Place]) -> list[dict[str, Any]] | None:
    states = old.state, new.state
    if old.is_unknown or new.is_unknown:
        return None
    found = [each for place in asked for each in changes_at(*states, place)]
    distinct = {each.path: each for each in found}.values()
    return [each.record() for each in distinct]


@dataclass(frozen=True, slots=True)
class _Side:
    """The state of a workflow after `step`; None: before its first one."""

    timeline: Timeline
    step: int | None

    @property
    def state(self) -> Any:
        return self.timeline.state_after(self.step)

    @property
    def is_unknown(self) -> bool:
        """Whether it is an initial state that the store does not know."""
        return self.step is None and self.timeline.initial is ABSENT

    def record(self) -> dict[str, Any]:
        is_kept = self.step is not None and self.step >= self.timeline.first
        event = self.timeline.at(self.step or 0).record_of_event() if is_kept else None
        return {"id": self.timeline.id, "step": self.step, "event": event}


def _sides(store: Store, one: str, other: str | None) -> tuple[_Side, _Side]:
    named = split_range(one)
    if other is not None:
        if named or split_range(other):
            raise UsageError(
                "a range names two states, and so do two ids",
                "durproj diff projection/u1#4..6, or durproj diff projection/u1#4 projection/u1#6",
            )
        return _side(store, *split_step(one)), _side(store, *split_step(other))
    if named:
        id, first, last = named
        timeline = _timeline(store, id)
        new = _newest(timeline) if last is None else _kept(timeline, last)
        return _Side(timeline, None) if first is None else _kept(timeline, first), new
    id, step = split_step(one)
    if step is None:
        raise UsageError(
            f"diff of {id} with what?",
            f"a step of it: '{id}#4'; two: '{id}#4..6'; what came after one: '{id}#4..'; or another id",
        )
    timeline = _timeline(store, id)
    new = _kept(timeline, step)
    return _kept(timeline, step - 1) if step else _Side(timeline, None), new


def _side(store: Store, id: str, step: int | None) -> _Side:
    timeline = _timeline(store, id)
    return _newest(timeline) if step is None else _kept(timeline, step)


def _timeline(store: Store, id: str) -> Timeline:
    timeline = Timeline.open(store, id)
    refuse_program(timeline, "difference between them")
    return timeline


def _newest(timeline: Timeline) -> _Side:
    return _Side(timeline, timeline.steps - 1 if timeline.steps else None)


def _kept(timeline: Timeline, step: int) -> _Side:
    timeline.state_after(step)
    return _Side(timeline, step)


def _between(old: _Side, new: _Side) -> dict[str, Any]:
    """The steps that lead from one state of a workflow to a later one of it."""
    if old.timeline.id != new.timeline.id or new.step is None:
        return {}
    first = 0 if old.step is None else old.step + 1
    if first > new.step:
        return {}
    shown = new.timeline.forward(max(first, new.step + 1 - MOST_EVENTS), new.step + 1)
    return {
        "steps": new.step + 1 - first,
        "events": [{"step": each.step, "event": each.record_of_event()} for each in shown],
    }
