"""The steps of a workflow, and what each of them changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from durproj.errors import UsageError
from durproj.history.changes import Change
from durproj.history.paths import Place, parse_path
from durproj.history.programs import no_states
from durproj.history.reading import reading
from durproj.history.timeline import Checkpoint, Timeline, Transition
from durproj.ids import split_step
from durproj.stores.base import Store
from durproj.stores.stored import ERROR, stored_record, stored_value


def log(
    id: str,
    *,
    path: str | Iterable[str] = (),
    type: str | Iterable[str] = (),
    first: int = 0,
    last: int | None = None,
    limit: int | None = None,
    reverse: bool = False,
    store: str | Path | Store = "durproj.db",
) -> Iterator[dict[str, Any]]:
    """What `durproj log` prints: a `step` record for each step of the workflow `id`, newest last; of `id#5`,
    for each up to step 5, which must be there.

    path: only steps that changed one of these, and only these changes; type: only events of one of
    these types (a program's steps: functions of these names); first, last: only steps from the one to
    the other; limit: only the newest so many of all that match, which are then held in memory;
    reverse: newest first. Where a workflow that is parked or rejected stopped is told by a `stopped`
    record after its newest step, unless `last` is given.

    A step's `changes` are None when the state before it is not kept any more, or is an initial state that
    the store does not know; its `state` is then in the record. Raises UsageError for a
    path that cannot be read and for a path into a program's steps, NotFound, StoreError, and
    StoreDamaged when what is stored is not what was written.
    """
    asked = [parse_path(each) for each in ([path] if isinstance(path, str) else path)]
    types = {type} if isinstance(type, str) else set(type)
    id, named = split_step(id)
    if None not in (last, named) and last != named:
        raise UsageError(f"{id}#{named} and --to {last} name two ends", "give one of them")
    last = last if named is None else named
    with reading(store, id) as opened:
        timeline = Timeline.open(opened, id)
        stopped = [] if last is not None else _stopped(timeline)
        if asked:
            refuse_program(timeline, "path that they have in common")
        _check_bounds(timeline, first, last, is_end=named is not None, is_empty=not stopped)
        stop = timeline.steps if last is None else last + 1
        if limit is not None and not asked and not types:
            # All of them match: which are the newest is known.
            first, limit = max(first, min(stop, timeline.steps) - limit), None
        backward = reverse or limit is not None
        transitions = timeline.transitions(first, stop, newest_first=backward)
        found = _matching(timeline, transitions, asked, types)
        if reverse:
            yield from stopped
            yield from islice(found, limit)
        else:
            yield from found if limit is None else reversed(list(islice(found, limit)))
            yield from stopped


def step_record(
    id: str, checkpoint: Checkpoint, changes: Iterable[Change] | None
) -> dict[str, Any]:
    """The `step` record of one step of a projection."""
    record = {
        "type": "step",
        "id": id,
        "step": checkpoint.step,
        "event": checkpoint.record_of_event(),
        "changes": None if changes is None else [each.record() for each in changes],
    }
    if skipped := checkpoint.meta.get("skipped"):
        record["skipped"] = skipped
    if changes is None:
        record["state"] = checkpoint.state
    return record


def refuse_program(timeline: Timeline, what: str) -> None:
    """Raise UsageError when the steps of `timeline` are not the states of a projection."""
    if not timeline.is_projection:
        raise no_states(timeline.id, what)


def _check_bounds(
    timeline: Timeline, first: int, last: int | None, *, is_end: bool, is_empty: bool
) -> None:
    """Refuse bounds between which there is no step. is_end: step `last` has to be there; is_empty: there is
    nothing but steps to be shown."""
    if last is not None and last < first:
        raise UsageError(
            f"from step {first} to step {last} there is none", "give the lower one first"
        )
    newest = timeline.steps - 1 if last is None else last
    if first >= max(timeline.steps, 1):
        timeline.at(first)
    if is_end or (is_empty and 0 <= newest < timeline.first):
        timeline.at(newest)


def _matching(
    timeline: Timeline, transitions: Iterable[Transition], asked: list[Place], types: set[str]
) -> Iterator[dict[str, Any]]:
    id, is_projection = timeline.id, timeline.is_projection
    for transition in transitions:
        checkpoint = transition.checkpoint
        if types and checkpoint.record_of_event()["type"] not in types:
            continue
        if not is_projection:
            yield _call_record(id, checkpoint)
            continue
        changes = None if transition.is_cut else transition.changes(asked)
        if changes or not asked:
            yield step_record(id, checkpoint, changes)


def _call_record(id: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """The `step` record of a program's step: the function, and what it returned or failed with."""
    failed = checkpoint.meta.get("failed", False)
    return {
        "type": "step",
        "id": id,
        "step": checkpoint.step,
        "event": checkpoint.record_of_event(),
        "function": checkpoint.meta["fn"],
        "error" if failed else "state": stored_value(checkpoint.record.output),
    }


def _stopped(timeline: Timeline) -> list[dict[str, Any]]:
    head = timeline.head
    if head.error is None or head.status not in ("parked", "rejected"):
        return []
    error = stored_record(head.error, ERROR)
    record = {"type": "stopped", "id": head.id, "step": error["step"], "status": head.status}
    if "event" in error:
        record["event"] = error["event"]
    return [record | {"error": {"kind": error["kind"], "message": error["message"]}}]
