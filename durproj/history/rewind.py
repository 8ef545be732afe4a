"""Going back: dropping the newest steps of a workflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durproj.errors import NotFound, UsageError
from durproj.history.changing import changing
from durproj.history.reading import journal_of, kept_from, run_of
from durproj.ids import split_id
from durproj.runtime.request import FORK
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal
from durproj.wording import number


def rewind(id: str, step: int, *, store: str | Path = "durproj.db", wait_s: float = 0.0) -> int:
    """Drop what `id` recorded after `step`; -1 drops all. Returns how many steps were dropped.

    The workflow is pending then, also one that was parked or rejected, and the next run or resume goes
    on from there; a fork, which no log feeds, is just shorter. Raises NotFound, StoreBusy, StoreError;
    UsageError where the events came in a way in which they will not come again.
    """
    dropped: int = rewound(id, step, store=store, wait_s=wait_s)["dropped"]
    return dropped


def rewound(
    id: str, step: int, *, store: str | Path = "durproj.db", wait_s: float = 0.0
) -> dict[str, Any]:
    """What `durproj rewind` prints once it has done as `rewind` does: how many steps were `dropped`, how
    many `steps` and which `status` are left, and what `goes_on` with them: `resume`, the `program` whose
    workflow it is, or None where nothing is to be done."""
    split_id(id)
    with changing(Path(store), wait_s) as opened, opened.transaction():
        journal = journal_of(opened, id)
        if step >= journal.steps:
            has = f"{number(journal.steps, 'step')}, from 0" if journal.steps else "no step"
            raise NotFound(f"{id}#{step}: no such step", f"{id} has {has}")
        run = run_of(opened, journal.head)
        if journal.head.dropped and run.options.get("kind") != "fold":
            raise NotFound(
                f"{id}: steps before {journal.head.dropped:,} are no longer kept",
                "a program is replayed from step 0, so it cannot go on from a later one;\n"
                "run it again under another id",
            )
        dropped = journal.steps - step - 1
        if dropped or journal.head.status in ("parked", "rejected"):
            _drop(opened, journal, run, step + 1)
        return {
            "type": "rewind",
            "id": id,
            "dropped": dropped,
            "steps": journal.steps,
            **kept_from(journal.head),
            "status": journal.head.status,
            "goes_on": _goes_on(journal.head, run),
        }


def _drop(store: Store, journal: Journal, run: Run, steps: int) -> None:
    _refuse_loss(journal.head.id, run)
    journal.rewind(steps)
    if run.options.get("kind") == "fold" and FORK in run.options:
        journal.save("resolved")
        return
    run.cursor, run.complete = None, False
    store.save_run(run)


def _goes_on(head: Head, run: Run) -> str | None:
    if head.status == "resolved":
        return None
    of_program = run.options.get("kind") != "fold" or run.options.get("program")
    return "program" if of_program else "resume"


def _refuse_loss(id: str, run: Run) -> None:
    """What was dropped is to be folded again: not when it came through a pipe, or from files that are
    rotated away."""
    piped, rotated = run.options.get("continues"), (run.cursor or {}).get("origin")
    if piped or rotated:
        came = "through a pipe" if piped else "from a file that has been rotated since"
        raise UsageError(
            f"{id}: its events came {came}, and would not be folded again",
            "all of it is kept; to drop it and fold what comes from now on: durproj run --follow --restart …\n"
            "to fold an archive of the events beside it: --name OTHER",
        )
