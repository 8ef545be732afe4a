"""The event types that a reducer says it knows (its attribute `types`): what becomes of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from durproj.events.event import Event
from durproj.projections.reducer import Reducer

MOST_TYPES = 1000
"""Further types are counted together, as OTHERS: where types are as many as events, they are ids."""

OTHERS = "…"

_type_of = attrgetter("type")


class UnknownType(ValueError):
    """With `--strict-types`: an event of a type that the reducer does not know."""


def applied(reducer: Reducer, *, strict: bool = False) -> Callable[[Any, Event], Any]:
    """The function that takes a state over one event: the reducer's own, which is not called for an
    event of a type that it does not know. The state stays as it is then; if `strict`, UnknownType is
    raised."""
    fn, types = reducer.fn, reducer.types
    if types is None or (reducer.plain and not strict):  # built-in ones do it themselves
        return fn

    def lenient(state: Any, event: Event) -> Any:
        return fn(state, event) if event.type in types else state

    def strictly(state: Any, event: Event) -> Any:
        if event.type not in types:
            raise UnknownType(f"{reducer.ref} does not know events of type {event.type!r}")
        return fn(state, event)

    return strictly if strict else lenient


def count_unknown(counter: Counter[str], types: frozenset[str], events: Sequence[Event]) -> None:
    """Count those of `events` whose type is none of `types`, by type."""
    if types.issuperset(map(_type_of, events)):
        return
    for event in events:
        name = event.type
        if name not in types:
            counter[name if name in counter or len(counter) < MOST_TYPES else OTHERS] += 1
