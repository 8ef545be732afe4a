"""The checkpoints of one workflow as its history: read block by block, and decoded only as asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.formats.mapping import Mapping
from durproj.history.changes import Change, changes_at
from durproj.history.paths import ABSENT, Place
from durproj.history.reading import journal_of, kept_from, run_of
from durproj.projections.reducer import BUILT_IN, load
from durproj.runtime.recording import recorded_event
from durproj.runtime.request import events_key
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import Record, Records
from durproj.stores.stored import META, stored_record, stored_value

_UNREAD: Any = object()
_FINGERPRINT = re.compile("[0-9a-f]{16}")


class Checkpoint:
    """One step of a workflow, decoded where it is looked at.

    step: its number; event: the event of a projection's step, as the log has it (None for a program's);
    state: what the step returned; ABSENT when it failed. A projection's skipped step returned the state
    before it.
    """

    __slots__ = ("_envelope", "_event", "_key", "_meta", "_state", "record", "step")

    def __init__(self, step: int, record: Record, envelope: Envelope | None, key: str) -> None:
        self.step = step
        self.record = record
        self._envelope, self._key = envelope, key
        # Not cached_property, which takes a lock in Python 3.11: there are millions of these.
        self._event: Event | None = None
        self._meta: dict[str, Any] | None = None
        self._state: Any = _UNREAD

    @property
    def event(self) -> Event | None:
        """The event; None for a step of a program."""
        if self._event is None and self._envelope is not None:
            line = self.record.input
            self._event = recorded_event(self._envelope, line, self._key)
        return self._event

    @property
    def state(self) -> Any:
        """What the step returned; ABSENT when it failed."""
        if self._state is _UNREAD:
            failed = self._envelope is None and self.meta.get("failed")
            self._state = ABSENT if failed else stored_value(self.record.output)
        return self._state

    @property
    def meta(self) -> dict[str, Any]:
        """Which function made it, and whether it failed or was skipped."""
        if self._meta is None:
            self._meta = stored_record(self.record.meta, META)
        return self._meta

    def record_of_event(self) -> dict[str, Any]:
        """The event in short, as JSON: `id`, `type`, `time`; of a program's step, the function as `type`."""
        event = self.event
        if event is None:
            return {"id": None, "type": self.meta["fn"], "time": None}
        return {"id": event.id, "type": event.type, "time": event.time}


class Transition:
    """A step and the one before it (None for the first that is kept); decoded where it is looked at."""

    __slots__ = ("_timeline", "before", "checkpoint")

    def __init__(
        self, timeline: Timeline, before: Checkpoint | None, checkpoint: Checkpoint
    ) -> None:
        self._timeline = timeline
        self.before = before
        self.checkpoint = checkpoint

    @property
    def is_idle(self) -> bool:
        """Whether the step returned the very bytes that it was given."""
        return (
            self.before is not None and self.before.record.output == self.checkpoint.record.output
        )

    @property
    def is_cut(self) -> bool:
        """Whether the state that it was given is not known, because the step before it is not kept any more
        or, of the first one, the initial state is not known: what it changed cannot be told."""
        return self.before is None and (
            self.checkpoint.step > 0 or self._timeline.initial is ABSENT
        )

    @property
    def old(self) -> Any:
        """The state that the step was given; ABSENT where that is not known."""
        if self.before is not None:
            return self.before.state
        return self._timeline.initial if self.checkpoint.step == 0 else ABSENT

    @property
    def new(self) -> Any:
        """What the step returned; ABSENT when it failed."""
        return self.checkpoint.state

    def changes(self, asked: Sequence[Place] = ()) -> list[Change]:
        """What the step changed; of that what touches the values at `asked`, if any are."""
        if self.is_idle:
            return []
        old, new = self.old, self.new
        found = [each for path in asked or [()] for each in changes_at(old, new, path)]
        return list({each.path: each for each in found}.values())


class Timeline:
    """The history of the workflow of `journal`, as it was when the journal was opened.

    steps: how many steps it has; first: the first of them that is still kept; is_projection: whether
    it folds a stream (False: it is a program's, and what its steps return are no states of one thing).
    Steps that are not there raise NotFound, damaged ones StoreDamaged.
    """

    def __init__(self, journal: Journal, run: Run) -> None:
        self._journal = journal
        self.head: Head = journal.head
        self.id = journal.head.id
        self.steps = journal.steps
        self.first = journal.head.dropped
        self.options: dict[str, Any] = run.options
        self.is_projection = self.options.get("kind") == "fold"
        self._block: tuple[int, Records] | None = None

    @classmethod
    def open(cls, store: Store, id: str) -> Timeline:
        """The history of workflow `id`. Raises NotFound when there is none."""
        journal = journal_of(store, id)
        return cls(journal, run_of(store, journal.head))

    @cached_property
    def _envelope(self) -> Envelope | None:
        if not self.is_projection:
            return None
        return _compiled(Mapping.from_dict(self.options["mapping"]))

    @cached_property
    def key(self) -> str:
        """The key that its events have in the log; a fork may be called otherwise."""
        return events_key(self.options, self.head.key)

    @cached_property
    def initial(self) -> Any:
        """The state before the first event; ABSENT when the store cannot tell: a function of the user's
        made it, which is not called for reading, or the workflow is a program's."""
        source, ref = self.options.get("initial_source"), self.options.get("reducer")
        if not self.is_projection or source is None:
            return ABSENT
        if not _FINGERPRINT.fullmatch(source):
            return stored_value(source.encode())
        reducer = load(ref, None, Path()) if ref in BUILT_IN else None
        if reducer is None or reducer.initial_source != source:
            return ABSENT
        return reducer.initial(self.key)

    @property
    def latest(self) -> bytes | None:
        """The newest state, as it is stored, also where no step is kept any more; None when there never
        was a step."""
        return self._journal.last_output()

    def state_after(self, step: int | None) -> Any:
        """The state after `step`, also after the newest one where no step is kept any more; None: before
        the first step, ABSENT where that is not known. Raises NotFound for a step that is not kept."""
        if step is None:
            return self.initial
        if self.first == self.steps == step + 1:
            return stored_value(self.latest or b"null")
        return self.at(step).state

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of `step`."""
        start, records = self._block_of(step)
        return self._checkpoint(step, records[step - start])

    @property
    def kept_from(self) -> dict[str, int]:
        """`first` for a record, if not all steps are kept."""
        return kept_from(self.head)

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

    def transitions(
        self, first: int = 0, stop: int | None = None, *, newest_first: bool = False
    ) -> Iterator[Transition]:
        """The checkpoints from `first` up to `stop`, those that there are, each with the one before it."""
        first = max(first, self.first)
        if newest_first:
            after: Checkpoint | None = None
            for before in self.backward(stop, first - 1):
                if after is not None:
                    yield Transition(self, before, after)
                after = before
            if after is not None and after.step == first == self.first:
                yield Transition(self, None, after)
            return
        earlier = self.at(first - 1) if self.first < first < self.steps else None
        for checkpoint in self.forward(first, stop):
            yield Transition(self, earlier, checkpoint)
            earlier = checkpoint

    def _block_of(self, step: int) -> tuple[int, Records]:
        if self._block is None or not 0 <= step - self._block[0] < len(self._block[1]):
            self._block = self._journal.block(step)
        return self._block

    def _checkpoint(self, step: int, record: Record) -> Checkpoint:
        return Checkpoint(step, record, self._envelope, self.key)


@lru_cache
def _compiled(mapping: Mapping) -> Envelope:
    # Ten thousand workflows of one run have one mapping, and to compile it takes longer than to read
    # many a journal.
    return Envelope(mapping)
