"""Where a workflow stands, and where it stood after any of its steps: records over a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from durproj.history.reading import journal_of, kept_from, reading, run_of
from durproj.runtime.request import FORK, REPLACED_BY
from durproj.stores.base import Head, Status, Store
from durproj.stores.journal import Journal
from durproj.stores.loading import count_steps
from durproj.stores.packing import damaged
from durproj.stores.stored import ERROR, META, stored_line, stored_record, stored_value


def inspect(
    id: str, step: int | None = None, *, store: str | Path | Store = "durproj.db"
) -> dict[str, Any]:
    """What `durproj inspect` prints, as one JSON object: the workflow `id`, or its step `step`.

    A projection's `state` is what its last step returned; a workflow's, its result. Raises NotFound,
    StoreError, and StoreDamaged when what is stored is not what was written.
    """
    with reading(store, id) as opened, opened.snapshot():
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
        "state": None if head.state is None else stored_value(head.state),
    }
    if head.error is not None:
        record["error"] = _error(head.error)
    return record


def workflows(
    *,
    name: str | None = None,
    status: Status | None = None,
    store: str | Path | Store = "durproj.db",
) -> Iterator[dict[str, Any]]:
    """What `durproj list` prints: one record per workflow, in the order they began, with its `id`,
    `status` and number of `steps`.

    name, status: only workflows of this name, or that stand so. Raises NotFound when there is no store,
    StoreError, and StoreDamaged.
    """
    # At one instant: names may change from one to the next, and a run may be packing its rows.
    with reading(store) as opened, opened.snapshot():
        found = [
            (head.id, head.status, _steps(opened, head), kept_from(head))
            for head in opened.heads(name=name)
            if status in (None, head.status)
        ]
    for id, stands, steps, kept in found:
        yield {"type": "workflow", "id": id, "status": stands, "steps": steps, **kept}


def _steps(store: Store, head: Head) -> int:
    return head.steps if head.status == "resolved" else count_steps(store, head)


def _workflow(store: Store, journal: Journal) -> dict[str, Any]:
    head = journal.head
    last = journal.last_output()
    options = run_of(store, head).options
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
        **kept_from(head),
        "cached": journal.steps,
        "executed": 0,
        "state": None if state is None else stored_value(state),
        **({"error": _error(head.error)} if head.error is not None else {}),
        "reducer": options.get("reducer") or options.get("workflow"),
        "durability": options.get("durability"),
        "input": " ".join(options["inputs"]) if is_fold else options.get("args"),
        "events_seen": journal.steps + (head.status in ("rejected", "parked") and is_fold),
        **{name: options[name] for name in (FORK, REPLACED_BY) if name in options},
    }


def forked_from(fork: dict[str, Any]) -> str:
    """Which step of which workflow a fork was made of, and which events are others, in words."""
    others = {"event replaced": fork["replaced"], "event dropped": fork["dropped"]}
    parts = [f"{what}: {', '.join(map(str, steps))}" for what, steps in others.items() if steps]
    return "; ".join([f"{fork['id']}#{fork['at']}", *parts])


def _error(stored: bytes) -> dict[str, Any]:
    """Why a workflow stopped; the event's line, kept for `parked show`, is left out."""
    return {name: value for name, value in stored_record(stored, ERROR).items() if name != "line"}


def _step(store: Store, journal: Journal, step: int) -> dict[str, Any]:
    head = journal.head
    record = journal.read(step)
    assert head.no is not None
    meta = stored_record(record.meta, META)
    output = stored_value(record.output)
    failures = len(store.attempts(head.no, step))
    return {
        "type": "step",
        "id": head.id,
        "step": step,
        "event": stored_line(record.input),
        "source": "journal",
        "attempts": failures if "failed" in meta or "skipped" in meta else failures + 1,
        **({"error": output} if meta.get("failed") else {"state": output}),
        **({"skipped": meta["skipped"]} if "skipped" in meta else {}),
        "function": meta["fn"],
    }
