"""The merge projection: the latest value of every field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durproj.codec import to_json

if TYPE_CHECKING:
    from durproj.events.event import Event

    State = dict[str, Any]

_SUMMARY_LENGTH = 100


def merge(state: State, event: Event) -> State:
    """`state` with the payload laid over it. Shallow: a nested object is replaced, not merged.

    Raises ValueError when the payload is not an object.
    """
    if not isinstance(event.data, dict):
        why = f"the payload of {event.type} is not an object, so it has no fields to merge"
        raise ValueError(why)  # noqa: TRY004
    return {**state, **event.data}


def _summary(state: State) -> str:
    """The state as JSON, cut after 100 characters."""
    text = to_json(state)
    return text if len(text) <= _SUMMARY_LENGTH else f"{text[: _SUMMARY_LENGTH - 1]}…"


merge.initial = {}  # type: ignore[attr-defined]
merge.summary = _summary  # type: ignore[attr-defined]
merge.version = "1"  # type: ignore[attr-defined]
