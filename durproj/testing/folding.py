"""The fold of a test: what a run does to a state, without a store, and done twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.events.event import Event
from durproj.history.paths import ABSENT, Place, dig
from durproj.projections.reducer import Reducer, from_function, load
from durproj.render import safe
from durproj.runtime.attempts import FAILURES, describe, kind_of
from durproj.runtime.known import applied
from durproj.runtime.recording import refuse_none
from durproj.testing.differences import differences, path_shown, show_both
from durproj.testing.streams import Stream

AnyReducer = Callable[[Any, Event], Any] | Reducer | str
"""A function, a Reducer, or what `--reducer` takes."""

_PURE = (
    "a step has to come out the same whenever it is executed: no clock, no random number,\n"
    "nothing that is kept outside of the state"
)


@dataclass(frozen=True)
class Folded:
    """How a stream was folded. `states`: the initial state, and that after each event that did not
    fail; `failure`: what the event after these raised."""

    stream: Stream
    states: list[Any]
    failure: BaseException | None

    @property
    def state(self) -> Any:
        """The state after the last event that did not fail."""
        return self.states[-1]

    @property
    def applied(self) -> int:
        """How many events did not fail; the number of the one that did."""
        return len(self.states) - 1

    def set_by(self, path: Place) -> str:
        """Which event made the value at `path` what it is, in words."""
        now = dig(self.state, path)
        for n in reversed(range(self.applied)):
            before = dig(self.states[n], path)
            if (before is not ABSENT or now is not ABSENT) and differences(before, now):
                return f"{'removed' if now is ABSENT else 'set'} by {self.stream.name(n)}"
        return "no event set it" if now is ABSENT else "so from the start"


def prepare(reducer: AnyReducer, initial: Any) -> Reducer:
    """The reducer that is meant; a name is looked for from the present folder. `initial`: a state, a
    function of the key, or MISSING. Raises UsageError."""
    found = load(reducer, None, Path.cwd()) if isinstance(reducer, str) else reducer
    return from_function(found, initial)


def fold(reducer: Reducer, stream: Stream) -> Folded:
    """Fold `stream` as a run does, each step with the state decoded from its stored form and an event
    of its own, but for retries: a first failure is the end.

    Raises AssertionError when a step that is executed again comes out otherwise, UsageError when there
    is no initial state.
    """
    outputs = [codec.encode(reducer.initial(stream.key))]
    failure: BaseException | None = None
    for n in range(len(stream.events)):
        result = _execute(reducer, stream, n, outputs[n])
        if isinstance(result, BaseException):
            failure = result
            break
        outputs.append(result)
    _execute_again(reducer, stream, outputs, failure)
    return Folded(stream, [codec.decode(output) for output in outputs], failure)


def told(error: BaseException) -> str:
    """`Kind: message` of an error, as it can be shown."""
    return safe(describe(error))


def _execute(reducer: Reducer, stream: Stream, n: int, before: bytes) -> bytes | BaseException:
    """The state after event `n`, encoded, or what it failed with."""
    state = codec.decode(before)
    try:
        value = applied(reducer)(state, stream.event(n))
        if value is None:
            refuse_none(state)
        return codec.settle(value)[0]
    except FAILURES as error:
        return error


def _execute_again(
    reducer: Reducer, stream: Stream, outputs: list[bytes], failure: BaseException | None
) -> None:
    """Execute every step once more, each from the state before it, the last one first: what a run that
    resumes there would do, and nothing that a reducer remembers from earlier events helps it."""
    results: list[bytes | BaseException] = [*outputs[1:], *([failure] if failure else [])]
    first = None
    for n, result in reversed(list(enumerate(results))):
        again = _execute(reducer, stream, n, outputs[n])
        if _outcome(again) != _outcome(result):
            first = n, result, again
    if first is None:
        return
    n, result, again = first
    raise AssertionError(
        f"the reducer is not deterministic: {stream.name(n)} was applied to the same state twice\n"
        f"{_between(result, again)}\n{_PURE}"
    )


def _outcome(result: bytes | BaseException) -> object:
    # Messages may hold addresses of objects.
    return kind_of(result) if isinstance(result, BaseException) else result


def _between(first: bytes | BaseException, then: bytes | BaseException) -> str:
    if isinstance(first, bytes) and isinstance(then, bytes):
        found = differences(codec.decode(first), codec.decode(then))
        if not found:
            return "  it gave the fields of an object in another order"
        path, was, now = found[0].path, found[0].expected, found[0].actual
        shown = show_both(was, now)
        return f"  {path_shown(path)}: first {shown[0]}, then {shown[1]}"
    words = [
        f"failed with {told(result)}" if isinstance(result, BaseException) else "gave a state"
        for result in (first, then)
    ]
    return f"  first it {words[0]}, then it {words[1]}"
