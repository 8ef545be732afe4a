"""The process that folds for `twice`: `python -m durproj.verification.again TASK`, where TASK is a file
that `twice` wrote. It answers line by line, in JSON, on standard output.

mode `fold`: fold the recorded events of the projections `ids` of `store` into a new store `into`;
`compare`: execute the steps in `into` again, of each workflow the first `most`, if given, and compare.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from durproj import codec
from durproj.errors import DurprojError, NotFound, Rewritten, StoreDamaged
from durproj.history.reading import journal_of, reading, run_of
from durproj.history.timeline import Timeline
from durproj.runtime.steps import StepExecutor, Steps
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import Records
from durproj.stores.sqlite import SqliteStore
from durproj.verification.folding import Folding, Unverifiable
from durproj.verification.stream import StreamCheck, beginning

Answer = dict[str, Any]

ALL = 1 << 62


def main() -> None:
    """Do the task that the first argument names."""
    # What a reducer prints must not mix into the answers, whichever way it prints.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    task = codec.decode(Path(sys.argv[1]).read_bytes())
    sys.path[:] = task["path"]
    into = Path(task["into"])
    try:
        with reading(task["store"]) as store:
            work = Work(store, task["ids"], answers)
            if task["mode"] == "fold":
                work.fold(into)
            else:
                work.compare(into, task["most"])
    except DurprojError as error:
        _write(answers, {"error": error.message, "hint": error.hint})


class Work:
    """The projections `ids` of `store`, one after another, each answered for."""

    def __init__(self, store: Store, ids: list[str], answers: IO[bytes]) -> None:
        self._store, self._ids, self._answers = store, ids, answers
        self._foldings: dict[int, Folding] = {}

    def fold(self, path: Path) -> None:
        """Fold them into a new store at `path`."""
        into = SqliteStore.open_writer(path, "batch")
        with into.transaction():
            run = Run("twice", "", {})
            into.save_run(run)

            def fold_one(journal: Journal, timeline: Timeline, folding: Folding) -> Answer:
                head = journal.head
                first, state = beginning(timeline, folding)
                steps = Steps(folding.executor, timeline.key, state)
                folded = Journal(into, Head(head.id, head.name, head.key, run.no or 0))
                for start, records in journal.blocks(timeline.first):
                    part = records.part(max(0, first - start), len(records))
                    if part:
                        made = _folded(folding.executor, steps, part.inputs)
                        folded.append(folded.steps, made)
                    self._progress(head.id, len(records))
                return {}

            self._each(fold_one)
        into.close()

    def compare(self, path: Path, most: int | None) -> None:
        """Execute the steps in the store at `path` again, at most so many of each workflow, and answer with
        what comes out otherwise, and how many they are."""
        with reading(path) as folds:

            def compare_one(journal: Journal, timeline: Timeline, folding: Folding) -> Answer:
                head = journal.head
                first, state = beginning(timeline, folding)
                check = StreamCheck(folding, timeline.key, first, state, "twice")
                folded = Journal.open(folds, head.id)
                # It may have no step that could be folded.
                for start, records in folded.blocks() if folded else ():
                    check.feed_own(first + start, records.part(0, (most or ALL) - start))
                    if start + len(records) >= (most or ALL):
                        break
                    self._progress(head.id, len(records))
                found = {"difference": check.difference} if check.difference else {}
                return {"executed": check.executed, **found}

            self._each(compare_one)

    def _each(self, act: Callable[[Journal, Timeline, Folding], Answer]) -> None:
        for id in self._ids:
            self._progress(id, 0)
            try:
                journal = journal_of(self._store, id)
                run = run_of(self._store, journal.head)
                answer = act(journal, Timeline(journal, run), self._folding(run))
            except Unverifiable as error:
                answer = {"reason": str(error)}
            except (StoreDamaged, Rewritten, NotFound):
                answer = {}  # whoever asked sees it for himself
            _write(self._answers, {"id": id, "steps": 0, "done": answer})

    def _folding(self, run: Run) -> Folding:
        assert run.no is not None
        if run.no not in self._foldings:
            base = Path(self._store.location).resolve().parent
            self._foldings[run.no] = Folding(run, base)
        return self._foldings[run.no]

    def _progress(self, id: str, steps: int) -> None:
        _write(self._answers, {"id": id, "steps": steps})


def _folded(executor: StepExecutor, steps: Steps, lines: list[bytes]) -> Records:
    """The steps of the events on `lines`, which are the next ones. What fails is skipped."""
    made = Records(inputs=lines)
    for line in lines:
        error = steps.take(line)
        made.metas.append(executor.meta if error is None else executor.skip_meta(error))
        made.outputs.append(steps.state)
    return made


def _write(answers: IO[bytes], answer: Answer) -> None:
    answers.write(codec.encode(answer) + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
