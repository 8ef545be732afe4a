"""Attempts: calling a step's function until it returns or its policy gives up.

Every failure is stored with the time of the next try before the wait begins, so a crash during it
neither resets the budget nor skips the wait. A failure without a next try ends a budget: running the
workflow again starts a new one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from traceback import walk_tb
from typing import Any

from durproj import codec
from durproj.errors import StepFailed
from durproj.events.event import Event
from durproj.runtime.observer import Observer, Stop
from durproj.runtime.retry import RetryPolicy
from durproj.stores.base import Attempt, Store

FAILURES = (Exception, SystemExit)
"""What a step may raise to fail: a reducer that calls sys.exit() is a reducer that failed."""


class Attempts:
    """The attempts at one step of workflow `no`."""

    def __init__(
        self,
        store: Store,
        id: str,
        no: int,
        step: int,
        policy: RetryPolicy,
        observer: Observer,
        stop: Stop,
    ) -> None:
        self._store = store
        self._id, self._no, self._step = id, no, step
        self._policy, self._observer, self._stop = policy, observer, stop

    def failures(self) -> list[Attempt]:
        """The failed attempts of the present budget, oldest first."""
        attempts = self._store.attempts(self._no, self._step)
        final = max(
            (i for i, attempt in enumerate(attempts) if attempt.retry_at is None), default=-1
        )
        return attempts[final + 1 :]

    def resume(self) -> None:
        """Wait out a back-off that a crash interrupted."""
        failures = self.failures()
        if failures:
            last = failures[-1]
            retry_at = last.retry_at or 0
            # A clock that was put back must not make the wait longer than it was planned.
            self._stop.sleep(min(retry_at - _now_ms(), retry_at - last.at) / 1000)

    def call(
        self,
        fn: Callable[[], Any],
        function: str,
        event: Event | None = None,
        error: BaseException | None = None,
    ) -> Any:
        """What `fn` returns, at the first attempt that succeeds. `error`: an attempt has failed
        already, with this. Raises StepFailed when the policy gives up."""
        while True:
            if error is None:
                try:
                    return fn()
                except FAILURES as raised:
                    error = raised
            wait_s = self._record(error, function, event)
            if wait_s is None:
                raise step_failed(self._id, self._step, error, event) from error
            self._stop.sleep(wait_s)
            error = None

    def _record(self, error: BaseException, function: str, event: Event | None) -> float | None:
        wait_s = self._policy.wait_s(len(self.failures()) + 1, error)
        now = _now_ms()
        retry_at = None if wait_s is None else now + int(wait_s * 1000)
        self._store.add_attempt(
            self._no, self._step, Attempt(now, kind_of(error), text_of(error), retry_at)
        )
        self._observer.failed(self._id, self._step, event, function, describe(error), wait_s)
        return wait_s


def step_failed(id: str, step: int, error: BaseException, event: Event | None) -> StepFailed:
    """The end of the attempts at a step; its hint says at which event and where in the user's code."""
    hints = [f"raised at {place}"] if (place := place_of(error)) else []
    named = None
    if event is not None:
        named = {"id": event.id, "type": event.type}
        hints.insert(0, f"event {codec.to_json(event.id)} of type {codec.to_json(event.type)}")
    return StepFailed(id, step, kind_of(error), text_of(error), "\n".join(hints), named)


def _now_ms() -> int:
    return int(time.time() * 1000)


def kind_of(error: BaseException) -> str:
    """The error's kind as it is stored: its class's name."""
    return type(error).__name__


def describe(error: BaseException) -> str:
    """`Kind: message`, or the kind alone."""
    text = text_of(error)
    return f"{kind_of(error)}: {text}" if text else kind_of(error)


def text_of(error: BaseException) -> str:
    """The error's message, without what UTF-8 cannot carry."""
    return str(error).encode(errors="backslashreplace").decode()


_OWN = (
    *("durproj.runtime.", "durproj.testing.", "durproj.codec"),
    *("durproj.projections.jq", "durproj.projections.forms"),
)
_LIBRARIES = ("/site-packages/", "/dist-packages/")


def place_of(error: BaseException) -> str | None:
    """`file:line in function`, the innermost there is in the user's own code; in a library's if there is
    none; None for an error that durproj raised about what a step returned."""
    places = {}
    for frame, line in walk_tb(error.__traceback__):
        module, code = frame.f_globals.get("__name__") or "", frame.f_code
        if module.startswith(_OWN):
            continue
        foreign = module.partition(".")[0] in sys.stdlib_module_names - {"__main__"} or any(
            folder in code.co_filename for folder in _LIBRARIES
        )
        places[foreign] = f"{code.co_filename}:{line} in {code.co_qualname}"
    return places.get(False) or places.get(True)
