"""Workflows: generators that yield steps.

    def checkout(ctx, order):
        price = yield ctx.run(quote, order)
        return (yield ctx.run(charge, order, price))

The generator is entered from the top each time it runs; a step that is done answers from the journal.
So everything a workflow does besides yielding steps must be the same each time: what reads a clock, a
random number or the outside world belongs into a step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, TypeVar

from durproj.events.event import Event
from durproj.ids import split_id
from durproj.projections.reducer import Reducer
from durproj.runtime.known import applied
from durproj.runtime.recording import refuse_none
from durproj.runtime.retry import RetryPolicy

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Step(Generic[T]):
    """One call to be made once. `yield` it, or `yield from` it for its type.

    `name` stands in the journal; `retry` None is the run's own policy.
    """

    fn: Callable[..., T]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    retry: RetryPolicy | None = None

    def options(self, *, retry: RetryPolicy | None = None, name: str = "") -> Step[T]:
        """The same step with another retry policy or name."""
        return replace(self, retry=retry or self.retry, name=name or self.name)

    def __iter__(self) -> Generator[Step[T], T, T]:
        return (yield self)


@dataclass(frozen=True)
class Context:
    """What a workflow is given first. `id` is its own."""

    id: str

    @property
    def name(self) -> str:
        """The part of the id before the slash."""
        return split_id(self.id)[0]

    @property
    def key(self) -> str:
        """The part of the id after the slash, decoded."""
        return split_id(self.id)[1]

    def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Step[T]:
        """A step that calls `fn(*args, **kwargs)` once and gives what it returned, ever after.

        The arguments are recorded, and a recorded result is given to the same arguments only: what JSON
        carries, events, numbers of any size, Decimal, date, time, timedelta, UUID, Enum, Path, bytes,
        sets and dataclasses are compared by value, also within lists and dicts. Of anything else (a
        connection, a function, an object of a plain class) only the type is recorded.
        """
        return Step(fn, args, kwargs, getattr(fn, "__name__", type(fn).__name__))


Workflow = Callable[..., Generator[Step[Any], Any, Any]]


class ApplyEvent:
    """`apply_event(i, event, projection)`: the step that takes a projection over one event."""

    __name__ = "apply_event"

    def __init__(self, reducer: Reducer) -> None:
        self._reduce = applied(reducer)
        self.fingerprint = reducer.fingerprint

    def __call__(self, i: int, event: Event, projection: Any) -> Any:  # noqa: ARG002  i names the step
        """The projection after `event`, which is event `i` of its stream."""
        # Copies, so that an attempt that changes them and then fails leaves nothing to the next one.
        after = self._reduce(deepcopy(projection), deepcopy(event))
        if after is None:
            refuse_none(projection)
        return after


def process_events(
    ctx: Context, events: Iterable[Event], reducer: Reducer
) -> Generator[Step[Any], Any, Any]:
    """The workflow that `durproj run` stands for: one step per event, the projection handed on.

    `fold` records the same journal faster, because it can prove what replay would serve. It is also
    the one for a log that grows: a workflow that has ended, as this one does with `events`, cannot go
    on with more of them under the same id.
    """
    apply_event = ApplyEvent(reducer)
    projection = reducer.initial(ctx.key)
    for i, event in enumerate(events):
        projection = yield ctx.run(apply_event, i, event, projection)
    return projection
