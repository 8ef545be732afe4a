"""The checkpoints of one workflow as its history: read block by block, and decoded only as asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from durproj import codec
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.formats.mapping import Mapping
from durproj.history.paths import ABSENT
from durproj.history.reading import journal_of
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import Record, Records

_FINGERPRINT = re.compile("[0-9a-f]{16}")


class Checkpoint:
    """One step of a workflow, decoded where it is looked at.

    step: its number; event: the event of a projection's step, as the log has it (None for a program's);
    state: what the step returned; ABSENT when it failed. A projection's skipped step returned the state
    before it.
    """

    def __init__(self, step: int, record: Record, envelope: Envelope | None, key: str) -> None:
        self.step = step
        self.record = record
        self._envelope, self._key = envelope, key

    @cached_property
    def event(self) -> Event | None:
        """The event; None for a step of a program."""
        if self._envelope is None:
            return None
        line = self.record.input
        return self._envelope.event(codec.decode(line), line, self._key)

    @cached_property
    def state(self) -> Any:
        """What the step returned; ABSENT when it failed."""
        return ABSENT if self.meta.get("failed") else codec.decode(self.record.output)

    @cached_property
    def meta(self) -> dict[str, Any]:
        """Which function made it, and whether it failed or was skipped."""
        meta: dict[str, Any] = codec.decode(self.record.meta)
        return meta

    def record_of_event(self) -> dict[str, Any]:
        """The event in short, as JSON: `id`, `type`, `time`; of a program's step, the function as `type`."""
        event = self.event
        if event is None:
            return {"id": None, "type": self.meta["fn"], "time": None}
        return {"id": event.id, "type": event.type, "time": event.time}


class Timeline:
    """The history of the workflow of `journal`, as it was when the journal was opened.

    steps: how many steps it has; first: the first of them that is still kept; is_projection: whether
    it folds a stream (False: it is a program's, and what its steps return are no states of one thing).
    Steps that are not there raise NotFound, damaged ones StoreDamaged.
    """

    def __init__(self, journal: Journal, run: Run | None) -> None:
        self._journal = journal
        self.head: Head = journal.head
        self.id = journal.head.id
        self.steps = journal.steps
        self.first = journal.head.dropped
        self.options: dict[str, Any] = run.options if run else {}
        self.is_projection = self.options.get("kind") == "fold"
        self._block: tuple[int, Records] | None = None

    @classmethod
    def open(cls, store: Store, id: str) -> Timeline:
        """The history of workflow `id`. Raises NotFound when there is none."""
        journal = journal_of(store, id)
        return cls(journal, store.run(journal.head.run))

    @cached_property
    def _envelope(self) -> Envelope | None:
        if not self.is_projection:
            return None
        return Envelope(Mapping.from_dict(self.options["mapping"]))

    @cached_property
    def initial(self) -> Any:
        """The state before the first event; ABSENT when the store cannot tell: a function made it, or the
        workflow is a program's."""
        source = self.options.get("initial_source")
        if not self.is_projection or source is None or _FINGERPRINT.fullmatch(source):
            return ABSENT
        return codec.decode(source)

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of `step`."""
        start, records = self._block_of(step)
        return self._checkpoint(step, records[step - start])

    def state_before(self, step: int) -> Any:
        """The state that `step` was given: ABSENT before the first one where that is not known."""
        if step > self.first:
            return self.at(step - 1).state
        return self.initial if step == 0 else ABSENT

    def forward(self, first: int = 0, stop: int | None = None) -> Iterator[Checkpoint]:
        """The checkpoints from `first` up to `stop`, those that there are."""
        step = max(first, self.first)
        end = self.steps if stop is None else min(stop, self.steps)
        while step < end:
            start, records = self._block_of(step)
            for each in range(step, min(end, start + len(records))):
                yield self._checkpoint(each, records[each - start])
            step = start + len(records)

    def backward(self, stop: int | None = None, first: int = 0) -> Iterator[Checkpoint]:
        """The same from the last one before `stop` down to `first`."""
        step = (self.steps if stop is None else min(stop, self.steps)) - 1
        while step >= max(first, self.first):
            start, records = self._block_of(step)
            for each in range(step, max(start, first, self.first) - 1, -1):
                yield self._checkpoint(each, records[each - start])
            step = start - 1

    def _block_of(self, step: int) -> tuple[int, Records]:
        if self._block is None or not 0 <= step - self._block[0] < len(self._block[1]):
            self._block = self._journal.block(step)
        return self._block

    def _checkpoint(self, step: int, record: Record) -> Checkpoint:
        return Checkpoint(step, record, self._envelope, self.head.key)
