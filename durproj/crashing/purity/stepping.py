"""Executing the steps of a recorded fold once more, in surroundings that are held still but for one thing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NamedTuple

from durproj import codec
from durproj.crashing.purity.calls import MOST, Calls
from durproj.crashing.purity.effects import listen
from durproj.crashing.purity.surroundings import Surroundings
from durproj.errors import NotFound, Unstorable
from durproj.events.event import Event
from durproj.history.changes import changes
from durproj.runtime.attempts import FAILURES, describe, kind_of
from durproj.runtime.recording import refuse_none
from durproj.stores.journal import Journal
from durproj.stores.packing import Records
from durproj.stores.sqlite import SqliteStore
from durproj.verification.folding import Folding, Unverifiable

MOST_STEPS, MOST_BYTES = 2_000, 16 << 20
"""So many steps are executed, and those of so long states, evenly from all over the fold."""

_real_clock = time.perf_counter  # before it is held
_FIELDS = "key", "type", "id", "time", "data", "line"


class Step(NamedTuple):
    """A recorded step: of which workflow and key, its number, the state before it (None: the initial one), its
    event's line, and whether it was skipped."""

    id: str
    key: str
    number: int
    before: str | None
    line: str
    skipped: bool


def write_step(store: Path, id: str, number: int, into: Path) -> None:
    """Write one step of `store` to a file, for `execute_steps`. Raises NotFound."""
    with closing(SqliteStore.open_reader(store)) as opened:
        journal = Journal.open(opened, id)
        if journal is None:
            raise NotFound(f"{id}: no such workflow")
        with into.open("wb") as file:
            _write(journal, [number], file)


def write_steps(store: Path, into: Path) -> None:
    """Write some of the steps of `store` to a file, for `execute_steps`: evenly from all over it."""
    with closing(SqliteStore.open_reader(store)) as opened, into.open("wb") as file:
        heads = list(opened.heads())
        total = sum(head.steps for head in heads)
        size = sum(len(head.state or b"") * head.steps for head in heads) // max(1, total)
        every = max(1, -(-total // MOST_STEPS), size * total // MOST_BYTES)
        passed = 0
        for head in heads:
            _write(Journal(opened, head), range(-passed % every, head.steps, every), file)
            passed += head.steps


def _write(journal: Journal, numbers: Iterable[int], file: IO[bytes]) -> None:
    """Write these steps, which rise, of a journal."""
    head, start, records = journal.head, 0, Records()
    for number in numbers:
        if number >= start + len(records):
            start, records = journal.block(number)
        meta, line, _ = records[number - start]
        before = None
        if number > start:
            before = records[number - start - 1].output.decode()
        elif number:
            before = journal.read(number - 1).output.decode()
        skipped = "skipped" in codec.decode(meta)
        step = Step(head.id, head.key, number, before, line.decode(), skipped)
        file.write(codec.encode(list(step)) + b"\n")


def execute_steps(task: dict[str, Any]) -> dict[str, Any]:
    """Execute the steps in the file `steps`, which are of the store `store`, in `surroundings`, in which the
    reducer is imported anew; `backwards`: the last one first, each twice, the second time counts.

    Their outcomes are written to the file `into`, one a line, as `[id, number, outcome, changed, skipped]`,
    the last of when it was recorded. It is answered how many `steps` and `seconds` they were, and what `effects`
    they and the import had. `alone`: it is one step, whose `event` and `calls` are answered, too.
    """
    surroundings = Surroundings(**task["surroundings"])
    surroundings.begin()
    path = Path(task["store"])
    with closing(SqliteStore.open_reader(path)) as store:
        run = store.runs()[-1]
    effects = listen()
    try:
        folding = Folding(run, path.parent)
    except Unverifiable as reason:
        return {"unable": str(reason)}
    with open(task["steps"], "rb") as file:
        steps = [Step(*codec.decode(line)) for line in file]
    executor = _Executor(folding, surroundings)
    calls = Calls() if task["alone"] else None
    backwards = task["backwards"]
    outcomes: dict[tuple[str, int], tuple[Any, ...]] = {}
    began = _real_clock()
    for step in reversed(steps) if backwards else steps:
        outcome = executor.execute(step, calls)
        if backwards:
            outcome = executor.execute(step, calls)
        outcomes[step.id, step.number] = (*outcome, step.skipped)
    seconds = _real_clock() - began
    with open(task["into"], "wb") as file:
        for (id, number), outcome in sorted(outcomes.items()):
            file.write(codec.encode([id, number, *outcome]) + b"\n")
    answer = {"steps": len(steps), "seconds": seconds, "effects": list(effects)[:MOST]}
    if calls:
        event = folding.executor.event(steps[0].line.encode(), steps[0].key)
        answer |= {"calls": calls.found(), "event": {"id": event.id, "type": event.type}}
    return answer


class _Executor:
    """Executes steps of `folding`."""

    def __init__(self, folding: Folding, surroundings: Surroundings) -> None:
        self._folding, self._surroundings = folding, surroundings

    def execute(self, step: Step, calls: Calls | None) -> tuple[Any, Any]:
        """The outcome of a step, `[state]` or the kind of its failure and its text; and what it changed of
        what it was given, if anything: `["state" or "event", changes]`."""
        executor = self._folding.executor
        named = f"{step.id}#{step.number}"
        self._surroundings.again(named)
        if step.before is None:
            before = self._folding.initial(step.key)
            self._surroundings.again(named)
        else:
            before = step.before.encode()
        state = codec.decode(before)
        event = executor.event(step.line.encode(), step.key)
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
        fresh = executor.event(step.line.encode(), step.key)
        return outcome, _mutated((before, _encoded(state)), _contents(fresh, event))


def _mutated(state: tuple[bytes, bytes], event: tuple[bytes, bytes]) -> list[Any] | None:
    """What a reducer changed in place, and how: of what each was before and is now."""
    for what, (was, now) in (("state", state), ("event", event)):
        if now != was and codec.decode(now) != codec.decode(was):
            found = changes(codec.decode(was), codec.decode(now))
            return [what, [change.record() for change in found]]
    return None


def _contents(fresh: Event, event: Event) -> tuple[bytes, bytes]:
    """All that is in two events of one line; their bodies only if that of `event` was looked at."""
    looked_at = event._body is not None  # noqa: SLF001
    was, now = (
        _encoded(
            {
                **{name: getattr(each, name, None) for name in _FIELDS},
                "line": str(each.line),
                "body": each.body if looked_at else None,
            }
        )
        for each in (fresh, event)
    )
    return was, now


def _encoded(value: Any) -> bytes:
    try:
        return codec.encode(value)
    except Unstorable as error:
        return codec.encode(f"(what JSON cannot carry: {error})")
