"""Given some events, when some more come, then: a fold that a test can make assertions about."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from durproj.errors import NotFound, UsageError
from durproj.events.envelope import Envelope, keyed
from durproj.events.formats.detection import Mapping, detect
from durproj.events.inputs import expand
from durproj.events.lines import bad_event
from durproj.events.reader import Source
from durproj.history.paths import ABSENT
from durproj.projections.reducer import MISSING, Reducer
from durproj.render import safe
from durproj.runtime.attempts import place_of
from durproj.runtime.setup import SMALL
from durproj.testing.differences import Difference, differences, path_shown, show, show_both
from durproj.testing.folding import AnyReducer, Folded, fold, prepare, told
from durproj.testing.streams import EventLike, Stream, exactly, flatten, make_stream
from durproj.wording import number

_MOST = 10
"""How many differences a message shows."""

Failures = type[BaseException] | tuple[type[BaseException], ...]


def given(*events: Any, key: str | None = None, mapping: Mapping | None = None) -> Scenario:
    """A scenario in which these events of one stream have come.

    events: each a dict (a whole line of the log), `(type, data)`, `(type,)` or an Event; lists of
    them may be mixed in. key: the stream, when the lines have keys of several, or else its name
    (which an initial state may go by). mapping: where lines keep what; what it leaves out is found.
    """
    return Scenario(tuple(flatten(events)), key=key, mapping=mapping)


def given_log(
    path: str | Path, key: str | None = None, mapping: Mapping | None = None, no_key: str = "error"
) -> Scenario:
    """A scenario in which the events of the stream `key` in the log `path` have come.

    key: may be left out when the log has one stream only. mapping, no_key: as in `durproj.fold`.
    Raises BadEvent, NotFound, UsageError.
    """
    source = Source(expand([str(path)]))
    found = detect(source.sample(SMALL), mapping)
    envelope = Envelope(found)
    events, others = [], dict[str, None]()
    for chunk in source.chunks():
        for index, line in enumerate(chunk.lines):
            try:
                event = envelope.examine(line, chunk.odd)
                name = keyed(event.key, no_key) if event and found.key else key
            except ValueError as error:
                raise bad_event(chunk, index, error) from None
            if event is None or (name is None and found.key):
                continue
            if key is None or name == key:
                events.append(event)
            others[name or ""] = None
    if not events:
        shown = ", ".join(list(others)[:5])
        raise NotFound(f"{path}: no event has the key {key!r}", f"there are: {shown}")
    return Scenario(tuple(events), key=key, mapping=exactly(found))


class Scenario:
    """The events of one stream, some of them new, and the reducer to be tested. Never changed: `when`
    and `using` give another one, so that several tests can go on from the same events."""

    def __init__(
        self,
        before: tuple[EventLike, ...],
        new: tuple[EventLike, ...] = (),
        reducer: Reducer | None = None,
        *,
        key: str | None = None,
        mapping: Mapping | None = None,
    ) -> None:
        """`before`: events that have come; `new`: those that `when` added last. See `given`."""
        self._before, self._new, self._reducer = before, new, reducer
        self._key, self._mapping = key, mapping

    def when(self, *events: Any) -> Scenario:
        """The same with more events, given as `given` takes them: the new ones."""
        before = (*self._before, *self._new)
        return self._with(before, tuple(flatten(events)), self._reducer)

    def using(self, reducer: AnyReducer, initial: Any = MISSING) -> Scenario:
        """The same with its reducer: a function, or what `--reducer` takes, from the present folder.

        initial: the initial state, or a function of the key, instead of the reducer's own. Raises
        UsageError for what is no reducer.
        """
        return self._with(self._before, self._new, prepare(reducer, initial))

    def then(self, expected: Any) -> Scenario:
        """Assert that all events can be applied and the state is `expected` in the end.

        Where it is not, AssertionError says at which paths, and which event made each what it is.
        `expected` may hold what compares equal to what it stands for, such as `pytest.approx(0.3)`.
        Gives the scenario, for `.when(…)` to go on with.
        """
        __tracebackhide__ = True  # pytest shows the line of the test
        folded = self._folded_wholly()
        found = differences(expected, folded.state)
        if found:
            raise AssertionError(_unexpected(folded, found))
        return self

    def then_fails(
        self, kind: Failures = BaseException, match: str = "", at: int | None = None
    ) -> BaseException:
        """Assert that an event fails, by an exception of this kind whose text the regular expression
        `match` finds something in; and give the exception.

        at: the number of the event, from 0; without it any of the new ones, or of all when none is.
        What a run would try again, such as TimeoutError, fails here at once.
        """
        __tracebackhide__ = True
        folded = self._folded
        error, n = folded.failure, folded.applied
        if error is None:
            raise AssertionError(f"no event failed: {number(n, 'event')} gave {show(folded.state)}")
        expected = f"event {at}" if at is not None else "one of the new events"
        if n != at if at is not None else n < folded.stream.known and self._new:
            raise AssertionError(f"{_failed(folded)}\n  expected to fail: {expected}") from error
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not (isinstance(error, kinds) and re.search(match, str(error))):
            names = " or ".join(kind.__name__ for kind in kinds)
            matching = f" with a match for {match!r}" if match else ""
            raise AssertionError(f"{_failed(folded)}\n  expected: {names}{matching}") from error
        return error

    @property
    def state(self) -> Any:
        """The state in the end. Raises AssertionError when an event fails."""
        __tracebackhide__ = True
        return self._folded_wholly().state

    def states(self) -> list[Any]:
        """The state after each event, from event 0 on. Raises AssertionError when an event fails."""
        __tracebackhide__ = True
        return self._folded_wholly().states[1:]

    @cached_property
    def stream(self) -> Stream:
        """The events as they are folded, with the lines that they would stand on in a log. Raises
        UsageError for what cannot be one stream of a log."""
        return make_stream(self._before, self._new, self._key, self._mapping)

    def _with(
        self,
        before: tuple[EventLike, ...],
        new: tuple[EventLike, ...],
        reducer: Reducer | None,
    ) -> Scenario:
        return Scenario(before, new, reducer, key=self._key, mapping=self._mapping)

    @cached_property
    def _folded(self) -> Folded:
        __tracebackhide__ = True
        if self._reducer is None:
            raise UsageError("there is no reducer to fold the events with", "name it: .using(f)")
        return fold(self._reducer, self.stream)

    def _folded_wholly(self) -> Folded:
        __tracebackhide__ = True
        folded = self._folded
        if folded.failure is not None:
            raise AssertionError(_failed(folded)) from folded.failure
        return folded


def _failed(folded: Folded) -> str:
    assert folded.failure is not None
    lines = [f"{folded.stream.name(folded.applied)} failed: {told(folded.failure)}"]
    if place := place_of(folded.failure):
        lines.append(f"  raised at {safe(place)}")
    return "\n".join([*lines, f"  the state before it: {show(folded.state)}"])


def _unexpected(folded: Folded, found: list[Difference]) -> str:
    """What differs from what was expected, and by which event it came to be so."""
    many = number(len(found), "difference")
    lines = [f"{many} in the state after {number(folded.applied, 'event')}"]
    for difference in found[:_MOST]:
        path, expected, actual = difference.path, difference.expected, difference.actual
        # An element that is missing has no place of its own in the states before.
        origin = path
        if expected is ABSENT:
            what = f"not expected, was {show(actual)}"
        elif actual is ABSENT:
            what = f"expected {show(expected)}, is missing"
            origin = path[:-1] if isinstance(path[-1], int) else path
        else:
            what = "expected {}, was {}".format(*show_both(expected, actual))
        lines.append(f"  {path_shown(path)}: {what} ({folded.set_by(origin)})")
    if len(found) > _MOST:
        lines.append(f"  and {len(found) - _MOST} more")
    if len(found) > 1 or found[0].path:
        lines.append(f"  the whole state: {show(folded.state)}")
    return "\n".join(lines)
