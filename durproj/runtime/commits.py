"""Commits: when steps reach the store.

With durability `step` and `fsync` each step is committed before the next begins. With `batch` steps of
one or many workflows share a commit, at the latest after BATCH_STEPS steps or BATCH_SECONDS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from durproj.stores.base import Durability, Status, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import Records

BATCH_STEPS = 1000
BATCH_SECONDS = 0.05


@dataclass(slots=True)
class _Waiting:
    journal: Journal
    first: int
    records: Records
    status: Status = "pending"


class Commits:
    """Steps that were executed and are not committed yet; never any but with durability `batch`.

    Once the store has refused something nothing more is written: a journal whose append failed must not be
    used further, and those who unwind would hand over their steps again. uncommitted: how many steps were
    handed over and are not committed.
    """

    def __init__(self, store: Store, durability: Durability) -> None:
        self._store = store
        self.shared = durability == "batch"
        self._waiting: list[_Waiting] = []
        self._told: list[Callable[[], None]] = []
        self.uncommitted = 0
        self._due_s = 0.0
        self._refused = False

    def add(self, journal: Journal, first: int, records: Records) -> None:
        """Hand over steps of `journal` from `first` on."""
        self.uncommitted += len(records)
        if self._refused:
            return
        if not self.shared:
            self._refused = True
            for step, record in enumerate(records, first):
                journal.add(step, record)
                self.uncommitted -= 1
            self._refused = False
            return
        if self._waiting and self._waiting[-1].journal is journal:
            self._waiting[-1].records.extend(records)
        else:
            self._waiting.append(_Waiting(journal, first, records))
        self._flush_if_due()

    def tell(self, done: Callable[[], None]) -> None:
        """Call `done` when all that was handed over is committed, at once if it is; never, once the
        store has refused something."""
        if self._waiting:
            self._told.append(done)
        elif not self._refused:
            done()

    def budget(self, journal: Journal, steps: int) -> tuple[int, float]:
        """Where commits are shared: how many of the next `steps` steps of `journal` may wait for one,
        and until when (`time.monotonic`)."""
        last = self._waiting[-1].journal if self._waiting else journal
        if self.uncommitted + steps > BATCH_STEPS >= steps and last is not journal:
            # The steps of others: without them a short stream is stored in one piece.
            self.flush()
        if not self._waiting:
            self._due_s = time.monotonic() + BATCH_SECONDS
        return BATCH_STEPS - self.uncommitted, self._due_s

    def close(self, journal: Journal, status: Status, done: Callable[[], None]) -> None:
        """The workflow of `journal` comes no further; `done` is called when its head, with `status`,
        is committed."""
        if self._refused:
            return
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.journal is journal:
            last.status = status
        elif self.shared:
            self._waiting.append(_Waiting(journal, 0, Records(), status))
        else:
            journal.save(status)
        self.tell(done)
        self._flush_if_due()

    def flush(self) -> None:
        """Commit what waits."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        told, self._told = self._told, []
        self._refused = True
        with self._store.transaction():
            for entry in waiting:
                journal = entry.journal
                if entry.records:
                    journal.append(entry.first, entry.records, entry.status)
                else:
                    journal.save(entry.status)
        self.uncommitted, self._refused = 0, False
        for done in told:
            done()

    def _flush_if_due(self) -> None:
        if self.uncommitted >= BATCH_STEPS or (self._waiting and time.monotonic() >= self._due_s):
            self.flush()
