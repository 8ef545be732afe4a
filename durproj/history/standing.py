"""Where a workflow stands, and where it stood after any of its steps: records over a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import NotFound, PastChanged, UsageError
from durproj.history.reading import journal_of, reading
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import damaged
from durproj.stores.sqlite import SqliteStore


def inspect(
    id: str, step: int | None = None, *, store: str | Path | Store = "durproj.db"
) -> dict[str, Any]:
    """What `durproj inspect` prints, as one JSON object: the workflow `id`, or its step `step`.

    A projection's `state` is what its last step returned; a workflow's, its result. Raises NotFound,
    StoreError, and StoreDamaged when what is stored is not what was written.
    """
    with reading(store, id) as opened:
        journal = journal_of(opened, id)
        return _workflow(opened, journal) if step is None else _step(opened, journal, step)


def projection_record(head: Head, cached: int, executed: int) -> dict[str, Any]:
    """The `projection` line of a workflow whose head stands at its last step."""
    record: dict[str, Any] = {
        "type": "projection",
        "id": head.id,
        "status": head.status,
        "steps": head.steps,
        "cached": cached,
        "executed": executed,
        "state": None if head.state is None else codec.decode(head.state),
    }
    if head.error is not None:
        record["error"] = _error(head.error)
    return record


def listing(
    store: Store, *, name: str | None = None, status: str | None = None
) -> Iterator[dict[str, Any]]:
    """One record per workflow, in the order they began: what `durproj list` prints."""
    for found in store.heads(name=name):
        head = found
        if head.status != "resolved":
            # A run may be packing its rows: head and rows are to be seen at one moment.
            journal = Journal.open(store, head.id)
            if journal is None:
                continue
            head, steps = journal.head, journal.steps
        else:
            steps = head.steps
        if status is None or head.status == status:
            yield {"type": "workflow", "id": head.id, "status": head.status, "steps": steps}


def _workflow(store: Store, journal: Journal) -> dict[str, Any]:
    head = journal.head
    last = journal.last_output()
    run = store.run(head.run)
    options = run.options if run else {}
    is_fold = options.get("kind") == "fold"
    state = head.state
    if head.status != "resolved":
        # What a step of a program returned, or failed with, is no state of the program.
        state = (last or state) if is_fold else None
    if is_fold and head.status == "resolved" and last is not None and last != head.state:
        raise damaged(head.id, "its state is not what its last step returned")
    return {
        "type": "projection",
        "id": head.id,
        "status": head.status,
        "steps": journal.steps,
        **({"kept_from": head.dropped} if head.dropped else {}),
        "cached": journal.steps,
        "executed": 0,
        "state": None if state is None else codec.decode(state),
        **({"error": _error(head.error)} if head.error is not None else {}),
        "reducer": options.get("reducer") or options.get("workflow"),
        "durability": options.get("durability"),
        "input": " ".join(options["inputs"]) if is_fold else options.get("args"),
        "events_seen": journal.steps + (head.status in ("rejected", "parked") and is_fold),
    }


def _error(stored: bytes) -> dict[str, Any]:
    """Why a workflow stopped; the event's line, kept for `parked show`, is left out."""
    return {name: value for name, value in codec.decode(stored).items() if name != "line"}


def _step(store: Store, journal: Journal, step: int) -> dict[str, Any]:
    head = journal.head
    record = journal.read(step)
    assert head.no is not None
    meta = codec.decode(record.meta)
    output = codec.decode(record.output)
    failures = len(store.attempts(head.no, step))
    return {
        "type": "step",
        "id": head.id,
        "step": step,
        "event": codec.decode(record.input),
        "source": "journal",
        "attempts": failures if "failed" in meta or "skipped" in meta else failures + 1,
        **({"error": output} if meta.get("failed") else {"state": output}),
        **({"skipped": meta["skipped"]} if "skipped" in meta else {}),
        "function": meta["fn"],
    }


def rewind(id: str, step: int, *, store: str | Path = "durproj.db", wait_s: float = 0.0) -> int:
    """Drop what `id` recorded after `step`; -1 drops all. Returns how many steps were dropped.

    The workflow is pending then, and the next run or resume goes on from there. Raises NotFound,
    StoreBusy, StoreError; UsageError where the events came in a way in which they will not come again.
    """
    path = Path(store)
    if not path.exists():
        raise NotFound(f"{path}: no such store")
    opened = SqliteStore.open_writer(path, wait_s=wait_s)
    try:
        with opened.transaction():
            journal = Journal.open(opened, id)
            if journal is None:
                raise NotFound(
                    f"{id}: no such workflow in {path}", "durproj list shows those there are"
                )
            if step >= journal.steps:
                raise NotFound(
                    f"{id}#{step}: no such step", f"{id} has {journal.steps} steps, from 0"
                )
            run = opened.run(journal.head.run)
            if run is None:
                raise PastChanged(id, None, "a run", "none")
            _refuse_loss(id, run)
            if journal.head.dropped and run.options["kind"] != "fold":
                raise NotFound(
                    f"{id}: its first {journal.head.dropped:,} steps are no longer kept",
                    "a program is replayed from step 0, so it cannot go on from a later one;\n"
                    "run it again under another id",
                )
            dropped = journal.steps - step - 1
            journal.rewind(step + 1)
            run.cursor, run.complete = None, False
            opened.save_run(run)
        return dropped
    finally:
        opened.close()


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
