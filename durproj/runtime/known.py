"""The event types that a reducer says it knows (its attribute `types`): what becomes of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from durproj.events.event import Event
from durproj.projections.reducer import Reducer
from durproj.runtime.attempts import FAILURES

MOST_TYPES = 1000
"""Further types are counted together, as OTHERS: where types are as many as events, they are ids."""

OTHERS = "…"

_type_of = attrgetter("type")


class UnknownType(ValueError):
    """With `--strict-types`: an event of a type that the reducer does not know."""


def applied(reducer: Reducer, *, strict: bool = False) -> Callable[[Any, Event], Any]:
    """The function that takes a state over one event as the log has it: brings the event to its present
    form, and calls the reducer unless the type is one that it does not know. The state stays as it is
    then; if `strict`, UnknownType is raised."""
    fn, types, upcast = reducer.fn, reducer.types, reducer.upcast
    if types is not None and (strict or not reducer.plain):  # built-in ones are lenient themselves
        fn = _knowing(reducer, types, strict=strict)
    if upcast is None:
        return fn
    return lambda state, event: fn(state, upcast(event))


def _knowing(
    reducer: Reducer, types: frozenset[str], *, strict: bool
) -> Callable[[Any, Event], Any]:
    fn = reducer.fn

    def lenient(state: Any, event: Event) -> Any:
        return fn(state, event) if event.type in types else state

    def strictly(state: Any, event: Event) -> Any:
        if event.type not in types:
            raise UnknownType(f"{reducer.ref} does not know events of type {event.type!r}")
        return fn(state, event)

    return strictly if strict else lenient


def count_unknown(counter: Counter[str], reducer: Reducer, events: Sequence[Event]) -> None:
    """Count those of `events`, just executed, whose type the reducer does not know, by the type that
    they have in the present form."""
    types, upcast = reducer.types or frozenset(), reducer.upcast
    if upcast is None and types.issuperset(map(_type_of, events)):
        return
    for event in events:
        name = event.type if upcast is None else _upcast_type(upcast, event)
        if name not in types:
            counter[name if name in counter or len(counter) < MOST_TYPES else OTHERS] += 1


def _upcast_type(upcast: Callable[[Event], Event], event: Event) -> str:
    try:
        return upcast(event).type
    except FAILURES:  # the event was skipped for that
        return event.type
