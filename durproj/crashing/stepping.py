"""Executing the steps of a recorded fold once more, in surroundings that are held still but for one thing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.crashing.calls import MOST, Calls, watching
from durproj.crashing.surroundings import Surroundings
from durproj.errors import Unstorable
from durproj.events.event import Event
from durproj.history.changes import changes
from durproj.runtime.attempts import FAILURES, describe, kind_of
from durproj.runtime.recording import refuse_none
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore
from durproj.verification.folding import Folding, Unverifiable

MOST_STEPS, MOST_BYTES = 2_000, 16 << 20
"""So many steps are executed, and those of so long states, evenly from all over the fold."""

Step = tuple[str, str, int, bytes | None, bytes, bytes]
"""Of which workflow and key, its number, the state before it (None: the initial one), its event's line, and
its meta."""

WATCHED = 5
"""Of so many steps it is noted what they do besides giving a state."""


def execute_steps(task: dict[str, Any]) -> dict[str, Any]:
    """Execute the steps of the store `store` in `surroundings`, in which the reducer is imported anew;
    `backwards`: the last one first, each twice, the second time counts. Their outcomes are written to the
    file `into`, one a line, as `[id, step, outcome, changed, skipped]`, the last of when it was recorded. only: this step (id, number) alone; its `event` and what
    it `calls` are answered, too.
    """
    surroundings = Surroundings(**task["surroundings"])
    surroundings.begin()
    path, only = Path(task["store"]), task["only"]
    with closing(SqliteStore.open_reader(path)) as store:
        run = store.runs()[-1]
        try:
            folding = Folding(run, path.parent)
        except Unverifiable as reason:
            return {"unable": str(reason)}
        steps = list(_steps(store, only))
    executor = _Executor(folding, surroundings)
    calls = Calls() if only else None
    backwards = task["backwards"]
    outcomes: dict[tuple[str, int], tuple[Any, ...]] = {}
    for each in reversed(steps) if backwards else steps:
        outcome = executor.execute(each, calls)
        if backwards:
            outcome = executor.execute(each, calls)
        skipped = "skipped" in codec.decode(each[5])
        outcomes[each[0], each[2]] = (*outcome, skipped)
    with open(task["into"], "wb") as file:
        for (id, step), outcome in sorted(outcomes.items()):
            file.write(codec.encode([id, step, *outcome]) + b"\n")
    answer: dict[str, Any] = {"steps": len(steps), "effects": []}
    if task["watching"]:
        with watching() as effects:  # what is done only the first time has been done
            for each in steps[:WATCHED]:
                executor.execute(each, None)
        answer["effects"] = list(effects)[:MOST]
    if calls and steps:
        event = folding.executor.event(steps[0][4], steps[0][1])
        answer |= {"calls": calls.found(), "event": {"id": event.id, "type": event.type}}
    return answer


def _steps(store: SqliteStore, only: list[Any] | None) -> Iterator[Step]:
    """Some of the steps of `store`, stream after stream; of one stream as far as that step if `only` is given."""
    heads = list(store.heads())
    total = sum(head.steps for head in heads)
    size = sum(len(head.state or b"") * head.steps for head in heads) // max(1, total)
    every = max(1, -(-total // MOST_STEPS), size * total // MOST_BYTES)
    at = 0
    for head in heads:
        if only and head.id != only[0]:
            continue
        before = None
        for start, records in Journal(store, head).blocks():
            for n, (meta, line, output) in enumerate(records, start):
                if (n == only[1]) if only else (at % every == 0):
                    yield head.id, head.key, n, before, line, meta
                before, at = output, at + 1


class _Executor:
    """Executes steps of `folding`."""

    def __init__(self, folding: Folding, surroundings: Surroundings) -> None:
        self._folding, self._surroundings = folding, surroundings

    def execute(self, each: Step, calls: Calls | None) -> tuple[Any, Any]:
        """The outcome of a step, `[state]` or the kind of its failure and its text; and what it changed of
        what it was given, if anything: `["state" or "event", changes]`."""
        executor = self._folding.executor
        id, key, step, before, line, _ = each
        named = f"{id}#{step}"
        self._surroundings.again(named)
        if before is None:
            before = self._folding.initial(key)
            self._surroundings.again(named)
        state = codec.decode(before)
        event = executor.event(line, key)
        data = _encoded(event.data)
        if calls:
            sys.setprofile(calls)
        outcome: list[Any]
        try:
            value = executor.reduce(state, event)
            sys.setprofile(None)
            if value is None:
                refuse_none(state)
            outcome = [codec.settle(value)[0].decode()]
        except FAILURES as error:
            sys.setprofile(None)
            outcome = [None, kind_of(error), describe(error)]
        return outcome, _mutated(before, state, data, event)


def _mutated(before: bytes, state: Any, data: bytes, event: Event) -> list[Any] | None:
    """What a reducer changed in place, and how."""
    for what, was, value in (("state", before, state), ("event", data, event.data)):
        now = _encoded(value)
        if now != was and codec.decode(now) != codec.decode(was):
            found = changes(codec.decode(was), codec.decode(now))
            return [what, [change.record() for change in found]]
    return None


def _encoded(value: Any) -> bytes:
    try:
        return codec.encode(value)
    except Unstorable as error:
        return codec.encode(f"(what JSON cannot carry: {error})")
