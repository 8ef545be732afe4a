"""Stores with known content, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Sequence

from durproj.stores.base import Attempt, Head, Run, Store
from durproj.stores.journal import Journal


def record(step: int, size: int = 20, salt: str = "") -> list[bytes]:
    """The three parts of one checkpoint."""
    event = b'{"n":%d%b}' % (step, salt.encode())
    return [b'{"fn":"f"}', event, b'{"sum":%d,"pad":"%b"}' % (step, b"x" * size)]


def flat(records: Sequence[Sequence[bytes]]) -> list[bytes]:
    return [part for parts in records for part in parts]


def begin(store: Store, id: str = "projection/u1", run: Run | None = None) -> Journal:
    """The journal of a new workflow, nothing of which is in the store yet."""
    if run is None:
        run = store.find_run("projection", "x") or Run("projection", "x", {"kind": "fold"})
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
        journal.append(first, flat([record(step, salt=salt) for step in range(first, stop)]))
    if status != "pending":
        journal.save(status)
    return journal


def read_all(journal: Journal) -> list[bytes]:
    """All records of a journal, block after block."""
    found: list[bytes] = []
    for start, block in journal.blocks():
        assert start == len(found) // 3
        found += block
    return found


def attempt(at: int, retry_at: int | None = None) -> Attempt:
    return Attempt(at, "OSError", f"no luck at {at}", retry_at)
