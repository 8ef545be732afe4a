"""Planned trouble: the crash of `--crash N` and the failures of `--fail N[xK]`, each of which happens once."""

from __future__ import annotations

import os
import signal

from durproj.errors import Retry
from durproj.events.event import Event
from durproj.runtime.ownership import Fold
from durproj.runtime.request import Request


class PlannedFailure(Retry):
    """The transient error that `--fail` plans."""


def planned_steps(request: Request) -> frozenset[int]:
    """The steps at which something is planned to happen."""
    steps = {request.crash} if request.crash is not None else set[int]()
    if request.fail:
        steps.add(request.fail[0])
    return frozenset(steps)


def crash_as_planned(fold: Fold, id: str, no: int, step: int, event: Event) -> None:
    """Die at this step of workflow `no`, if that is planned and has not happened before."""
    request, store = fold.request, fold.store
    if request.crash == step and not store.crashed(no, step):
        store.add_crash(no, step)
        fold.observer.crashed(id, step, event)
        _die(request.crash_with)


def fail_as_planned(fold: Fold, no: int, step: int, event: Event) -> None:
    """Raise PlannedFailure, if this attempt is planned to fail."""
    planned, times = fold.request.fail or (-1, 0)
    if planned == step and len(fold.store.attempts(no, step)) < times:
        raise PlannedFailure(f"Projection store write failed for event {event.id or step}")


def _die(how: str) -> None:
    """Leave as a crashed process does: nothing is closed, flushed or cleaned up."""
    if how == "KILL":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)
