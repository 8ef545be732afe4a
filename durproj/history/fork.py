"""`fork`: a workflow of the steps of another, maybe with other events from some step on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import NotFound, UsageError
from durproj.history.alternative import (
    AlternativeFold,
    Course,
    given_line,
    recorded_reducer,
)
from durproj.history.changes import changes
from durproj.history.changing import changing
from durproj.history.programs import programs_own
from durproj.history.reading import journal_of, run_of
from durproj.ids import check_name, split_id, workflow_id
from durproj.projections.reducer import Reducer
from durproj.runtime.given import given_reducer
from durproj.runtime.request import FORK, REPLACED_BY, events_key
from durproj.runtime.setup import ACCEPTING, RESTARTING
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.stored import stored_value
from durproj.wording import number

_NOT_TAKEN_OVER = (REPLACED_BY, RESTARTING, ACCEPTING, "continues")


def fork(
    id: str,
    other: str,
    *,
    at: int | None = None,
    replace: Mapping[int, Any] | None = None,
    drop: Collection[int] = (),
    reducer: str | Any | None = None,
    accept_reducer: bool = False,
    store: str | Path = "durproj.db",
    wait_s: float = 0.0,
) -> dict[str, Any]:
    """Make the workflow `other` (an id, or a name for the same key) of the steps of `id`, in one
    transaction; `id` stays as it is.

    at: the last step to take (None: the latest). replace: by step, the event that is to be there
    instead, decoded or as JSON text; drop: steps whose event is left out. The steps before the first of
    these are copied; from it on they are executed anew, with the run's reducer as it is now, which has
    to be the recorded one unless accept_reducer. reducer: folds all steps, from the first on, with this
    one (as in `durproj.fold`). An event whose step fails is skipped where it is skipped in `id`, or the
    run was to skip such events. Of a program's workflow steps can be copied only, if all of them are
    kept: `durproj.run` under the new id goes on after them.

    Returns a record: `id`, `from`, `at`, `replaced`, `dropped`, `steps`, `copied`, `executed`, `skipped`,
    `kept_from` (where `gc` had dropped the steps before that one) and, of a projection, its `state` and the
    `changes` against that of `id` after step `at`. Raises NotFound, UsageError, PastChanged (another
    reducer), StepFailed, StoreBusy, StoreError; there is no `other` then.
    """
    name, key = split_id(other) if "/" in other else (check_name(other), split_id(id)[1])
    with changing(Path(store), wait_s, "fsync") as opened, opened.transaction():
        source = journal_of(opened, id)
        made = _Fork(opened, source, name, key)
        last = source.steps - 1 if at is None else at
        if not 0 <= last < source.steps:
            has = (
                f"{id} has {number(source.steps, 'step')}, from 0"
                if source.steps
                else "it has no step yet"
            )
            raise NotFound(f"{id}#{max(0, last)}: no such step", has)
        course = made.course(last, replace or {}, frozenset(drop), every=reducer is not None)
        base, found = Path(store).resolve().parent, None
        if reducer is not None:
            # The initial state that the run was given was the other one's.
            found, made.options["initial"] = given_reducer(reducer, None, base), None
        elif course.begin <= last:
            found = recorded_reducer(id, made.options, base, accept=accept_reducer)
        elif accept_reducer:
            raise UsageError(
                "no step is executed anew, so no reducer is needed",
                "leave --accept-reducer out",
            )
        return made.run(course, found)


class _Fork:
    """One fork of the workflow of `source`."""

    def __init__(self, store: Store, source: Journal, name: str, key: str) -> None:
        self._store, self._source = store, source
        self._id, self._name, self._key = workflow_id(name, key), name, key
        if store.head(self._id):
            raise UsageError(
                f"{self._id} is there already in {store.location}", "fork it under another id: --as"
            )
        self.options: dict[str, Any] = run_of(store, source.head).options
        self._is_projection = self.options.get("kind") == "fold"
        self._events_key = events_key(self.options, source.head.key)

    def course(
        self, last: int, replace: Mapping[int, Any], drop: frozenset[int], *, every: bool
    ) -> Course:
        """What of the first `last` + 1 steps is to be otherwise. `every`: all of it comes out anew."""
        id = self._source.head.id
        others = sorted({*replace, *drop})
        kept_from = self._source.head.dropped
        if kept_from and not self._is_projection:
            raise UsageError(
                f"{id}: steps before {kept_from:,} are no longer kept",
                "a program is replayed from step 0, so it cannot go on from a later one",
            )
        if (others or every) and not self._is_projection:
            raise programs_own(
                id,
                "its steps have no events, and only the program executes them",
                "fork it up to a step, and run the program under the new id",
            )
        for step in others:
            if not 0 <= step <= last:
                raise UsageError(
                    f"step {step} is none of the steps 0 to {last} of {id}", "see --at"
                )
        for step in drop.intersection(replace):
            raise UsageError(f"the event of step {step} is to be replaced and dropped", "do one")
        if len(drop) > last:
            raise UsageError("every event is to be dropped, so no step would be left", "keep one")
        lines = {
            step: given_line(step, event, self.options, self._events_key)
            for step, event in replace.items()
        }
        begin = 0 if every else others[0] if others else last + 1
        return Course(lines, drop, begin, last + 1)

    def run(self, course: Course, reducer: Reducer | None) -> dict[str, Any]:
        """Make it; `reducer` executes the steps of `course` that come out otherwise."""
        source, last = self._source, course.stop - 1
        if last != source.steps - 1:
            source.read(last)  # it may not be kept
        journal = self._begun(course, reducer)
        self._copy(journal, course.begin)
        reached, kept_from = journal.steps, journal.head.dropped
        anew = None
        if reducer:
            key = self._events_key
            anew = AlternativeFold(self._id, key, reducer, self.options)
            before = (
                source.read(course.begin - 1).output
                if course.begin
                else codec.encode(reducer.initial(key))
            )
            anew.run(journal, before, course.events(source))
        journal.save("resolved" if self._is_projection else "pending")
        return {
            "type": "fork",
            "id": self._id,
            "from": source.head.id,
            "at": last,
            "replaced": sorted(course.lines),
            "dropped": sorted(course.dropped),
            "steps": journal.steps,
            "copied": reached - kept_from,
            "executed": journal.steps - reached,
            "skipped": anew.skipped if anew else 0,
            **({"kept_from": kept_from} if kept_from else {}),
            **(self._outcome(journal, last) if self._is_projection else {}),
        }

    def _begun(self, course: Course, reducer: Reducer | None) -> Journal:
        """The journal of the new workflow, in the store, without any step of its own."""
        identity = self._id
        run = self._store.find_run(self._name, identity) or Run(self._name, identity, {})
        run.options = self._run_options(course, reducer)
        run.complete = self._is_projection
        self._store.save_run(run)
        assert run.no is not None
        past = self._source.head.past
        head = Head(self._id, self._name, self._key, run.no)
        if past and past.steps:
            # What the first steps were is not known, but that these were they: their hash and digest.
            head.past = past._replace(id=self._id)
            head.steps, head.hash = past.steps, past.hash
            head.state = self._source.head.state if self._source.steps == past.steps else None
        journal = Journal(self._store, head)
        journal.save("pending")
        if head.past:
            self._store.save_past(head)
        return journal

    def _run_options(self, course: Course, reducer: Reducer | None) -> dict[str, Any]:
        options = {
            name: value for name, value in self.options.items() if name not in _NOT_TAKEN_OVER
        }
        if reducer:
            names = ("fingerprint", "initial_source", "program")
            options |= {"reducer": reducer.ref, **{each: getattr(reducer, each) for each in names}}
        options[FORK] = {
            "id": self._source.head.id,
            "key": self._events_key,
            "at": course.stop - 1,
            "replaced": sorted(course.lines),
            "dropped": sorted(course.dropped),
        }
        return options

    def _copy(self, journal: Journal, stop: int) -> None:
        """Copy the steps that are kept, up to `stop`."""
        if stop <= journal.steps:
            return
        for start, records in self._source.blocks():
            journal.append(start, records.part(0, stop - start))
            if start + len(records) >= stop:
                return

    def _outcome(self, journal: Journal, last: int) -> dict[str, Any]:
        source = self._source
        kept = last >= source.head.dropped
        before = source.read(last).output if kept else source.last_output()
        after = journal.last_output()
        assert before is not None
        assert after is not None
        state = stored_value(after)
        found = [] if before == after else changes(stored_value(before), state)
        return {"state": state, "changes": [change.record() for change in found]}
