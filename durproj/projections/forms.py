"""The forms of a reducer: a function, a function that has handlers for some types, handlers alone, each
with or without an upcast of old events. The hot loop calls one function, whatever the form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from durproj.errors import UsageError
from durproj.events.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    Apply = Callable[[Any, Event], Any]

_BESIDE = ("initial", "summary", "upcast")
_REDUCER = "a reducer is a plain function (state, event) that returns the new state"
_UPCAST = "upcast is a plain function (event) that returns the event in its present form"


def from_handlers(on: dict[str, Apply], holder: Any) -> Any:
    """The dictionary `on`, of handlers by event type, as a function with the attribute `on`; an event of
    another type leaves the state as it is.

    A dictionary has no attributes, so `initial`, `summary` and `upcast` are those of `holder`, the
    module or class in which it stands (None: it stands nowhere). `version` is not: that of a module is
    about other things.
    """
    carrier: Any = partial(_unchanged)
    carrier.on = on
    for name in _BESIDE:
        if hasattr(holder, name):
            setattr(carrier, name, getattr(holder, name))
    return carrier


def prepared(ref: str, fn: Any) -> Apply:
    """The function that takes a state over an event of the present form, for `fn`, called `ref` in
    messages: `fn` itself unless it has the attribute `on`, a dictionary of handlers by type; `fn` takes
    the other types. Raises UsageError for what is no reducer."""
    _check(f"{ref} is not a reducer: ", fn, 2, _REDUCER)
    on = getattr(fn, "on", None)
    if on is None:
        apply: Apply = fn
        return apply
    _check_handlers(ref, on)
    return _dispatching(dict(on), fn)


def upcast_of(ref: str, fn: Any) -> Callable[[Event], Event] | None:
    """What brings events to their present form before `fn` sees them, by the attribute `upcast`: a
    function of an event. It raises TypeError when it returns none. Raises UsageError for what is no
    upcast."""
    upcast = getattr(fn, "upcast", None)
    if upcast is None:
        return None
    _check(f"{ref} has an upcast that cannot be used: ", upcast, 1, _UPCAST)

    def present(event: Event) -> Event:
        now = upcast(event)
        if not isinstance(now, Event):
            raise TypeError(
                f"upcast returned a {type(now).__name__} for an event of type {event.type}, where an"
                " event was expected: return event, or event.replace(…)"
            )
        return now

    return present


def known_types(ref: str, fn: Any) -> frozenset[str] | None:
    """The event types that a reducer knows: those of its attribute `types` and of its handlers. None:
    all, where it has neither, or takes further types itself without saying which. Raises UsageError
    when `types` is no set of texts."""
    types, on = getattr(fn, "types", None), getattr(fn, "on", None)
    handled = frozenset(on) if isinstance(on, dict) else frozenset[str]()
    if types is None:
        return handled if isinstance(fn, partial) and fn.func is _unchanged else None
    if isinstance(types, set | frozenset | list | tuple) and all(
        isinstance(each, str) for each in types
    ):
        return handled | frozenset(types)
    raise UsageError(
        f"the attribute `types` of {ref} is {types!r:.80}",
        'it names the event types that the reducer knows: {"OrderPlaced", "OrderShipped"}',
    )


def _unchanged(state: Any, _event: Event) -> Any:
    return state


# Handlers are guarded by their own code; how durproj calls them is not part of it.
_unchanged.version = "1"  # type: ignore[attr-defined]


def _dispatching(on: dict[str, Apply], other: Apply) -> Apply:
    find = on.get

    def apply(state: Any, event: Event) -> Any:
        return find(event.type, other)(state, event)

    return apply


def _check_handlers(ref: str, on: Any) -> None:
    hint = "handlers are a dictionary of functions by event type: {'OrderPlaced': placed, …}"
    if not isinstance(on, dict):
        raise UsageError(f"the handlers of {ref} are a {type(on).__name__}", hint)
    if not on:
        raise UsageError(f"{ref} has no handlers", hint)
    for kind, handler in on.items():
        if type(kind) is not str:
            raise UsageError(
                f"{ref} has a handler for {kind!r}, which is no type of an event", hint
            )
        _check(f"{ref} has a handler for {kind!r} that cannot be used: ", handler, 2, _REDUCER)


def _check(what: str, fn: Any, parameters: int, hint: str) -> None:
    """Raise UsageError, its message beginning with `what`, unless `fn` is a plain function of so many
    parameters."""
    import inspect

    if not callable(fn):
        raise UsageError(f"{what}it is a {type(fn).__name__}, not a function", hint)
    if isinstance(fn, type):
        raise UsageError(f"{what}it is a class", hint)
    if (
        inspect.iscoroutinefunction(fn)
        or inspect.isgeneratorfunction(fn)
        or inspect.isasyncgenfunction(fn)
    ):
        raise UsageError(f"{what}it is a generator or coroutine, and returns nothing", hint)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return  # written in C, and silent about its parameters
    try:
        signature.bind(*[None] * parameters)
    except TypeError:
        raise UsageError(f"{what}its parameters are {signature}", hint) from None
