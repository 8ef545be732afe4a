"""Telling an observer of a stream's steps, of those that are cached and of those just executed."""

from __future__ import annotations

from typing import Literal

from durproj.runtime.ownership import Fold
from durproj.runtime.recording import recorded_event
from durproj.stores.journal import Journal
from durproj.stores.packing import Record
from durproj.stores.stored import META, stored_record, stored_value


class Showing:
    """Tells the observer of `fold` of steps of the stream `key`, which is the workflow `id`."""

    def __init__(self, fold: Fold, id: str, key: str, journal: Journal) -> None:
        self._fold, self._id, self._key, self._journal = fold, id, key, journal

    def cached(self, first: int, stop: int) -> None:
        """Tell of the steps from `first` up to `stop`, which the journal holds, as far as it keeps them."""
        dropped = self._journal.head.dropped
        if first == 0 < min(dropped, stop):
            gone = f"the steps before {dropped:,} are not shown: durproj gc dropped them"
            self._fold.observer.note(f"{self._id}: {gone}")
        first = max(first, dropped)
        if first >= stop:
            return
        # Steps of other streams, which were executed before, are told of before these.
        self._fold.commits.flush()
        for start, records in self._journal.blocks(first):
            for step in range(max(first, start), min(stop, start + len(records))):
                self.step(step, records[step - start], "cached")
            if start + len(records) >= stop:
                return

    def step(self, step: int, record: Record, source: Literal["cached", "executed"]) -> None:
        """Tell of `step`, of which `record` is the checkpoint."""
        meta, line, output = record
        observer, failures = self._fold.observer, self._failures(step)
        # Read anew: what the reducer did to its event is not what happened.
        event = recorded_event(self._fold.envelope, line, self._key)
        state = stored_value(output)
        if "skipped" in stored_record(meta, META):
            observer.skipped(self._id, step, event, source, failures, state)
        else:
            observer.step(self._id, step, event, source, failures + 1, state)

    def _failures(self, step: int) -> int:
        """How many attempts at `step` failed."""
        no = self._journal.head.no
        return 0 if no is None else len(self._fold.store.attempts(no, step))
