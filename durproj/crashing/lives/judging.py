"""What a crash may not take: steps that were acknowledged, and the memory of attempts that failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.crashing.lives.killing import BACKOFF, FAILURES_PLANNED, acknowledged, step_digest
from durproj.crashing.lives.left import left_in
from durproj.errors import NotFound, Retry, StoreDamaged
from durproj.runtime.planned import PlannedFailure
from durproj.stores.base import Attempt
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

LATE_MS = 900_000
"""So much later than planned an attempt may come, whose wait is an hour: processes take their time."""


Steps = dict[str, tuple[str, int]]
"""Of events that come once in their stream: by step_digest, of which workflow and step they are."""


def steps_of(store: Path) -> Steps:
    """The events of a run that came to its end."""
    found: Steps = {}
    often: set[str] = set()
    with closing(SqliteStore.open_reader(store)) as opened:
        for head in opened.heads():
            for step, line in enumerate(Journal(opened, head).inputs()):
                digest = step_digest(head.key, line)
                if digest in found:
                    often.add(digest)
                found[digest] = head.id, step
    return {digest: of for digest, of in found.items() if digest not in often}


def wrong(id: str | None, differs: str) -> dict[str, Any]:
    """What is wrong with a workflow, or (None) with the whole."""
    return {"id": id, "differs": differs, "changes": []}


def unkept(store: Path, steps: Steps) -> dict[str, Any] | None:
    """What is wrong: an acknowledged step that is not there, or was executed or recorded again."""
    try:
        with closing(SqliteStore.open_reader(store)) as opened:
            ids: dict[int | None, str] = {head.no: head.id for head in opened.heads()}
        found = left_in(store)
    except NotFound:
        ids, found = {}, {}
    except StoreDamaged as error:
        return wrong(None, error.message)
    counts: dict[str | None, int] = {}
    for how, step, id in _noted(store, ids, steps):
        if how in "x+" and step < counts.get(id, 0):
            again = "executed" if how == "x" else "recorded"
            return wrong(id, f"step {step} was {again} again, though it was acknowledged")
        if how != "x":
            counts[id] = max(counts.get(id, 0), step + 1)
    for id, count in counts.items():
        there = found[id].steps if id else 0
        if there < count:
            are = {0: "is none", 1: "is 1 step"}.get(there, f"are {there:,} steps")
            return wrong(id, f"step {count - 1} was acknowledged, and there {are}")
    return None


def _noted(
    store: Path, ids: Mapping[int | None, str], steps: Steps
) -> Iterator[tuple[str, int, str | None]]:
    """Of every step that was executed or acknowledged: how, its number, its workflow."""
    for how, what, of in _notes(store):
        if how != "x":
            yield how, int(what), ids.get(int(of))
        elif what in steps:
            id, number = steps[what]
            yield how, number, id


def standing(store: Path) -> str | None:
    """At which step a run is, that does not come to its end; None when that is known of none."""
    notes = _notes(store)
    if not notes or notes[-1][0] != "x":
        return None
    last = notes[-1][2]
    key = codec.decode(last.encode())
    with closing(SqliteStore.open_reader(store)) as opened:
        no = next((head.no for head in opened.heads() if head.key == key), None)
    step = -1
    for how, what, of in notes:
        if how == "x" and of == last:
            step += 1
        elif how != "x" and int(of) == no:
            step = int(what)
    return f"step {step} of the stream {key}"


def _notes(store: Path) -> list[tuple[str, str, str]]:
    """What the processes of a life wrote down, as (how, what, of): see MortalStore, noting_executions."""
    file = acknowledged(store)
    lines = file.read_bytes().decode().split("\n")[:-1] if file.exists() else []
    return [(line[0], *line[1:].partition(" ")[::2]) for line in lines]


def forgotten(store: Path) -> dict[str, Any] | None:
    """What is wrong when a process was killed in back-off, and no workflow has a failed attempt at the step
    that it stands at."""
    with closing(SqliteStore.open_reader(store)) as opened:
        for head in opened.heads():
            if head.no is not None and opened.attempts(head.no, Journal(opened, head).steps):
                return None
    return wrong(None, "the attempt that failed before the crash is forgotten")


def misremembered(store: Path, step: int) -> dict[str, Any] | None:
    """What is wrong with the memory of the attempts that were planned to fail at `step`, in the first
    workflow that came so far and of which something is."""
    with closing(SqliteStore.open_reader(store)) as opened:
        for head in opened.heads():
            tried = head.steps > step or (head.status == "parked" and head.steps == step)
            if tried and head.no is not None:
                amiss = amiss_of(opened.attempts(head.no, step))
                if amiss:
                    return wrong(head.id, f"{amiss} (step {step})")
    return None


def amiss_of(attempts: Sequence[Attempt]) -> str | None:
    """What is wrong with the failed attempts at a step of which FAILURES_PLANNED were planned, waiting as
    BACKOFF says: each is recorded, each waits longer than the one before, and comes when it was to come. An
    event that fails for good adds its own."""
    planned = sum(attempt.kind == PlannedFailure.__name__ for attempt in attempts)
    for number, attempt in enumerate(attempts, 1):
        wait_s = BACKOFF.wait_s(number, Retry())
        if attempt.retry_at is None or wait_s is None:
            break
        if attempt.retry_at - attempt.at != int(wait_s * 1000):
            return (
                f"after failed attempt {number} the wait is that of another: its budget began anew"
            )
    for number, (attempt, after) in enumerate(pairwise(attempts), 1):
        if attempt.retry_at is None:
            break
        if after.at < attempt.retry_at:
            return f"the wait after failed attempt {number} was cut short by the crash"
        if after.at > attempt.retry_at + LATE_MS:
            return f"the wait after failed attempt {number} was begun anew after the crash"
    if planned != FAILURES_PLANNED:
        return f"{planned} of {FAILURES_PLANNED} failed attempts are there: a wait was skipped"
    return None
