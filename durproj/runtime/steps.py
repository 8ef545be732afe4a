"""Executing the steps of a fold outside of it: one stream's, without a store and without waiting.

`stream.StreamFold` is the fold itself, and a test holds the two together.
"""

from __future__ import annotations

from typing import Any

from durproj import codec
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.projections.reducer import Reducer
from durproj.runtime.attempts import FAILURES, kind_of, text_of
from durproj.runtime.known import applied
from durproj.runtime.recording import recorded_event, refuse_none, step_meta
from durproj.runtime.retry import RetryPolicy
from durproj.stores.stored import stored_value


class StepExecutor:
    """What the steps of one run have in common. envelope: how its lines are read; strict_types: as the
    run has it; retry: its policy, of which the number of attempts counts, and not the waits."""

    def __init__(
        self, reducer: Reducer, envelope: Envelope, retry: RetryPolicy, *, strict_types: bool
    ) -> None:
        self.by = reducer.fingerprint
        self.meta = step_meta("apply_event", self.by)
        self.envelope, self.retry = envelope, retry
        self.reduce = applied(reducer, strict=strict_types)
        self.settle = codec.settle_plain if reducer.plain else codec.settle

    def event(self, line: bytes, key: str) -> Event:
        """The event on `line`, which no other step has touched."""
        return recorded_event(self.envelope, line, key)

    def skip_meta(self, error: BaseException) -> bytes:
        """The meta of a step whose event is skipped for `error`."""
        why = {"kind": kind_of(error), "message": text_of(error)}
        return step_meta("apply_event", self.by, skipped=why)


class Steps:
    """The steps of the stream `key`, one after another. state: what the last of them returned (at first,
    what the first is given), encoded."""

    def __init__(self, executor: StepExecutor, key: str, state: bytes) -> None:
        self._executor, self._key = executor, key
        self.state = state
        self._value: Any = stored_value(state)

    def take(self, line: bytes, event: Event | None = None) -> BaseException | None:
        """Execute the step of the event on `line` (`event`, if it is decoded already). Returns what it
        failed with for good, if it did: the state is then what it was."""
        error = self._attempt(line, event)
        return None if error is None else self._retry(line, error)

    def rehearse(self, line: bytes) -> None:
        """Execute the step, and forget what came of it."""
        Steps(self._executor, self._key, self.state).take(line)

    def _attempt(self, line: bytes, event: Event | None) -> BaseException | None:
        executor = self._executor
        try:
            value = executor.reduce(self._value, event or executor.event(line, self._key))
            if value is None:
                refuse_none(self._value)
            self.state, self._value = executor.settle(value)
        except FAILURES as error:
            return error
        return None

    def _retry(self, line: bytes, error: BaseException) -> BaseException | None:
        """Further attempts, each on a state and an event that no other has touched."""
        failed: BaseException | None = error
        failures = 0
        while failed is not None:
            failures += 1
            self._value = codec.decode(self.state)
            if self._executor.retry.wait_s(failures, failed) is None:
                return failed
            failed = self._attempt(line, None)
        return None
