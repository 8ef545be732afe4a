"""Stores with known content, and what can be asked of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from durproj.stores.base import Attempt, Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import Record, Records, seal


def record(step: int, size: int = 20, salt: str = "") -> Record:
    """One checkpoint."""
    event = b'{"n":%d%b}' % (step, salt.encode())
    return Record(b'{"fn":"f"}', event, b'{"sum":%d,"pad":"%b"}' % (step, b"x" * size))


def columns(records: Sequence[Sequence[bytes]]) -> Records:
    """Records as a journal takes them."""
    return Records(*(list(column) for column in zip(*records, strict=True)))


CURSOR = {"bytes": 7, "lines": 1, "digest": "d", "workflows": 1, "steps": 1}

OPTIONS = {
    "kind": "fold", "inputs": ["a.jsonl"], "keys": None, "reducer": "merge", "fingerprint": "f" * 16,
    "initial": None, "initial_source": "{}", "mapping": {}, "given": {}, "no_key": "error", "durability": "step",
    "retry": {"policy": "Never"}, "max_line": 1,
}  # fmt: skip
"""Of a run of a log, as much as there always is."""


def begin(store: Store, id: str = "projection/u1", run: Run | None = None) -> Journal:
    """The journal of a new workflow, nothing of which is in the store yet."""
    if run is None:
        run = store.find_run("projection", "x") or Run("projection", "x", OPTIONS)
        if run.no is None:
            store.save_run(run)
    name, _, key = id.partition("/")
    return Journal(store, Head(id, name, key, run.no or 0))


def fill(
    store: Store, id: str, steps: int, *, batch: int = 1, status: str = "pending", salt: str = ""
) -> Journal:
    """A workflow with so many steps, appended `batch` at a time."""
    journal = begin(store, id)
    for first in range(0, steps, batch):
        stop = min(steps, first + batch)
        records = [record(step, salt=salt) for step in range(first, stop)]
        if batch == 1:
            journal.add(first, records[0])
        else:
            journal.append(first, columns(records))
    if status != "pending":
        journal.save(status)
    return journal


def read_all(journal: Journal) -> list[Record]:
    """All records of a journal, block after block."""
    found: list[Record] = []
    for start, block in journal.blocks():
        assert start == len(found)
        found += block
    return found


def attempt(at: int, retry_at: int | None = None) -> Attempt:
    return Attempt(at, "OSError", f"no luck at {at}", retry_at)


def make_version_3(path: Path) -> None:
    """Let a store be as version 3 of the schema had it: without the indexes of attempts and crash points."""
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(
            "DROP INDEX attempt_twin; DROP INDEX crash_twin; PRAGMA user_version = 3;"
        )


def make_version_2(path: Path) -> None:
    """Let a store be as version 2 of the schema had it: without pasts, too, the times of heads not sealed."""
    make_version_3(path)
    columns = (
        "no, id, name, key, run, status, steps, state, error, prefix_bytes, prefix_steps, hash"
    )
    with closing(sqlite3.connect(path)) as conn:
        for row in conn.execute(f"SELECT {columns} FROM workflow").fetchall():
            conn.execute("UPDATE workflow SET seal = ? WHERE no = ?", (seal(*row), row[0]))
        conn.executescript("DROP TABLE past; PRAGMA user_version = 2;")
