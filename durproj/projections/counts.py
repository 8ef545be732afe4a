"""The counts projection: how many events of which type, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durproj.events.event import Event

    State = dict[str, Any]


def counts(state: State, event: Event) -> State:
    """`state` with `event` counted; `first` and `last` are times in the order of the log."""
    types = state["types"]
    return {
        "events": state["events"] + 1,
        "types": {**types, event.type: types.get(event.type, 0) + 1},
        "first": event.time if state["first"] is None else state["first"],
        "last": state["last"] if event.time is None else event.time,
    }


def _summary(state: State) -> str:
    """`events=8 types=7 last=…`."""
    parts = [f"events={state.get('events', 0)}", f"types={len(state.get('types', ()))}"]
    if state.get("last") is not None:
        parts.append(f"last={state['last']}")
    return " ".join(parts)


counts.initial = {"events": 0, "types": {}, "first": None, "last": None}  # type: ignore[attr-defined]
counts.summary = _summary  # type: ignore[attr-defined]
counts.version = "1"  # type: ignore[attr-defined]
