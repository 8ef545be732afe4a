"""Folding one stream: the hot loop.

It records exactly what `workflow.process_events` would, run through the driver; a test holds the two
together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from durproj import codec
from durproj.errors import StepFailed, TooManyErrors
from durproj.events.event import Event
from durproj.ids import workflow_id
from durproj.runtime.attempts import FAILURES, Attempts
from durproj.runtime.commits import BATCH_SECONDS
from durproj.runtime.observer import Counts
from durproj.runtime.ownership import Fold
from durproj.runtime.parking import ParkedEvent
from durproj.runtime.planned import crash_as_planned, fail_as_planned, planned_steps
from durproj.runtime.recorded import Recorded
from durproj.runtime.recording import parked_error, refuse_none, rejected_error
from durproj.runtime.showing import Showing
from durproj.stores.journal import Journal
from durproj.stores.packing import BLOCK_STEPS, Record, Records
from durproj.stores.stored import stored_value


class StreamFold:
    """Folds the stream `key` into `journal`, of whose steps the first `proven` need no comparing:
    they come from the first `prefix_bytes` bytes of the input. A parked stream is compared as far as
    the event it waits at, unless that is `behind`, too, and left alone unless it is the one to be
    released. before: what of it the run's cursor counts in; cached: how many steps the journal held
    before; awaited: the event it is parked at, until that comes; waiting: how many came behind that;
    inputs: the recorded inputs from a step on."""

    def __init__(
        self,
        fold: Fold,
        key: str,
        journal: Journal,
        proven: int,
        prefix_bytes: int,
        *,
        behind: bool = False,
    ) -> None:
        self._fold = fold
        self.key = key
        self.id = workflow_id(fold.request.name, key)
        self._journal = journal
        self._blob: bytes = journal.last_output() or codec.encode(fold.request.reducer.initial(key))
        self._state: Any = stored_value(self._blob)
        self._settle = codec.settle_plain if fold.request.reducer.plain else codec.settle
        self.cached = journal.steps
        self.inputs = journal.inputs
        self._recorded = Recorded(self.id, journal, proven)
        self._fresh = True
        self.prefix = (prefix_bytes, proven if prefix_bytes else 0)
        self.proven = self.position = proven
        self.executed = self.failed = self.skipped = self.waiting = 0
        self.before: Counts | None = None
        waits = journal.head.status == "parked"
        self.parked = self.parked_before = waits and not fold.request.release
        self.awaited = ParkedEvent(journal.head) if waits and not behind else None
        self._dropped = self.awaited if fold.request.release == "drop" else None
        self._showing = Showing(fold, self.id, key, journal)
        if fold.observer.wants_steps and not fold.request.onward:
            self._showing.cached(0, proven)

    @property
    def claimed(self) -> bool:
        """Whether the store has it as this run's; a stream of which nothing was executed may not be."""
        return self._fold.owns(self._journal.head, self.prefix)

    @property
    def exists(self) -> bool:
        """Whether there is anything of it: a stream without events is none until it was begun."""
        return self._journal.head.no is not None or self.executed > 0

    def feed(self, lines: Sequence[bytes], events: Sequence[Event]) -> None:
        """The next events of the stream, with the lines they stand on. Compares those the journal
        holds, applies the rest. Raises PastChanged, StepFailed, TooManyErrors, Interrupted."""
        self._fold.stop.check()
        held = max(0, min(self.cached - self.position, len(lines)))
        if held:
            self._recorded.compare(self.position, lines[:held])
            if self._fold.observer.wants_steps:
                self._showing.cached(self.position, self.position + held)
            self.position += held
            self._fold.observer.progress(held)
        if held == len(lines):
            return
        if self.parked:
            self.waiting += len(lines) - held - (self.awaited is not None)
        if self.awaited:
            self.awaited.meet(self._fold, lines[held], events[held])
            self.awaited = None
        if self.parked:
            return
        try:
            self._apply(lines[held:], events[held:])
        except StepFailed as failed:
            self._reject(failed)
            raise
        except TooManyErrors:
            self.suspend()
            raise

    def finish(self, *, ends: bool) -> None:
        """The stream has no more events. Raises PastChanged if the log `ends` there and the journal does not."""
        if ends and self.position < self.cached:
            raise self._recorded.ended(self.position)
        if ends and self.awaited:
            raise self.awaited.gone()
        if self.parked or (self._journal.head.status == "resolved" and not self.executed):
            self.report()
        else:
            self._fold.commits.close(self._journal, "resolved", self.report)

    def suspend(self) -> None:
        """The fold breaks off: what was executed is pending."""
        begun = self.executed or (self.exists and self._journal.head.status == "pending")
        if begun and not self.parked:
            self._fold.commits.close(self._journal, "pending", self.report)
        elif self.exists:
            self.report()

    def report(self) -> None:
        """Tell the observer how far the workflow has come."""
        self._fold.observer.projection(self._journal.head, self.cached, self.executed)

    def mark(self, prefix_bytes: int) -> None:
        """Note in the head that all steps so far come from the first `prefix_bytes` of the input."""
        head = self._journal.head
        head.prefix_bytes, head.prefix_steps = prefix_bytes, self.position
        self._journal.save("pending")

    def _apply(self, lines: Sequence[bytes], events: Sequence[Event]) -> None:
        fold, planned = self._fold, planned_steps(self._fold.request)
        if self._fresh:
            self._begin()
        in_batches = fold.commits.shared or fold.observer.wants_steps
        take = self._take_batch if in_batches else self._take_each
        at, first = 0, self.position
        if self._dropped:
            self._skip(lines[0], self._dropped.error["kind"], self._dropped.error["message"])
            self._dropped, at = None, 1
        while at < len(events) and not self.parked:
            fold.stop.check()
            n = self.position
            if n in planned:
                crash_as_planned(fold, self.id, self._number(), n, events[at])
                error = None
            else:
                until = min((at + step - n for step in planned if step > n), default=len(events))
                error = take(lines[at:until], events[at:until])
            at = self.position - first
            if error or n in planned:
                self._take_one(lines[at], error)
                at += 1
            fold.count_unknown(events[n - first : self.position - first])
            fold.observer.progress(self.position - n)
        self.waiting += len(events) - at  # none, unless it was parked

    def _take_one(self, line: bytes, error: BaseException | None) -> None:
        """One step with retries. Of one that fails for good the stream is parked or goes on without
        it, if that was asked for. `error`: the first attempt has failed, with this."""
        try:
            self._hand_over([line], [self._execute(self.position, line, error)])
        except StepFailed as failed:
            if self._fold.request.on_error == "stop":
                raise
            if self._fold.request.on_error == "park":
                self._park(failed, line)
            else:
                self._skip(line, failed.kind, failed.reason)
                self.skipped += 1
            self._fold.count_error()

    def _take_each(self, lines: Sequence[bytes], events: Sequence[Event]) -> BaseException | None:
        """Take the state over events for a while, every step committed before the next one begins; the
        error of an attempt that failed."""
        reduce, settle, meta = self._fold.reduce, self._settle, self._fold.meta
        add, stop, clock = self._journal.add, self._fold.stop, time.monotonic
        due = clock() + BATCH_SECONDS
        for line, event in zip(lines, events, strict=True):
            try:
                value = reduce(self._state, event)
                if value is None:
                    refuse_none(self._state)
                blob, state = settle(value)
            except FAILURES as error:
                return error
            add(self.position, Record(meta, line, blob))
            self._blob, self._state = blob, state
            self.position += 1
            self.executed += 1
            if stop.signum or clock() >= due:
                break
        return None

    def _take_batch(self, lines: Sequence[bytes], events: Sequence[Event]) -> BaseException | None:
        """The same with a commit for many steps, so far as they may wait for one; or, where each step is
        shown, with one step."""
        most, due = self._budget(len(events))
        outputs: list[bytes] = []
        try:
            error = self._reduce(events[:most], outputs, due)
        finally:
            # Whatever stopped it: what was finished is kept.
            self._hand_over(lines, outputs)
        if len(outputs) == most > 1:
            self._fold.commits.flush()
        return error

    def _budget(self, steps: int) -> tuple[int, float]:
        """How many of the next `steps` steps may be executed before they are handed over, and until
        when (`time.monotonic`)."""
        if not self._fold.commits.shared:
            return 1, math.inf
        most, due = self._fold.commits.budget(self._journal, steps)
        if self._fold.observer.wants_steps:
            return 1, due
        # What ends with a block is packed once; a part of a block would be packed again.
        over = (self.position + most) % BLOCK_STEPS
        return (most - over if over < most else most), due

    def _reduce(
        self, events: Sequence[Event], outputs: list[bytes], due: float
    ) -> BaseException | None:
        """Take the state over `events` until it is time `due`; the error of an attempt that failed."""
        reduce, settle = self._fold.reduce, self._settle
        stop, clock = self._fold.stop, time.monotonic
        state = self._state
        try:
            for event in events:
                value = reduce(state, event)
                if value is None:
                    refuse_none(state)
                blob, state = settle(value)
                outputs.append(blob)
                if stop.signum or clock() >= due:
                    break
        except FAILURES as error:
            return error
        self._state = state
        return None

    def _hand_over(
        self, lines: Sequence[bytes], outputs: list[bytes], meta: bytes | None = None
    ) -> None:
        """Record the steps that gave `outputs`, of the first of `lines`; `meta`: not the usual one."""
        if not outputs:
            return
        fold, count, first = self._fold, len(outputs), self.position
        self._blob = outputs[-1]
        self.position += count
        self.executed += count
        records = Records([meta or fold.meta] * count, list(lines[:count]), outputs)
        fold.commits.add(self._journal, first, records)
        if fold.observer.wants_steps:
            shown = Record(meta or fold.meta, lines[0], outputs[0])
            fold.commits.tell(lambda: self._showing.step(first, shown, "executed"))

    def _begin(self) -> None:
        """Before the first new step: wait out a back-off that a crash cut short."""
        self._fresh = False
        self._fold.claim(self._journal.head, self.prefix)
        if self._journal.head.no is not None:
            self._tries(self.position).resume()

    def _execute(self, n: int, line: bytes, error: BaseException | None) -> bytes:
        """Step `n` with retries, each attempt on a state and an event that no other has touched.
        `error`: the first attempt has failed, with this."""
        make, reduce = self._fold.envelope.event, self._fold.reduce
        tries = self._tries(n)

        def attempt() -> bytes:
            fail_as_planned(self._fold, self._number(), n, event)
            before = codec.decode(self._blob)
            value = reduce(before, make(codec.decode(line), line, self.key))
            if value is None:
                refuse_none(before)
            blob, self._state = codec.settle(value)
            return blob

        event = make(codec.decode(line), line, self.key)
        result: bytes = tries.call(attempt, "apply_event", event, error)
        return result

    def _number(self) -> int:
        """The workflow's number; it is put into the store, with all steps so far, if need be."""
        self._fold.commits.flush()
        if self._journal.head.no is None:
            self._journal.save("pending")
        assert self._journal.head.no is not None
        return self._journal.head.no

    def _tries(self, n: int) -> Attempts:
        fold, no = self._fold, self._number()
        return Attempts(fold.store, self.id, no, n, fold.request.retry, fold.observer, fold.stop)

    def _reject(self, failed: StepFailed) -> None:
        self.failed = 1
        self._fold.commits.flush()
        self._journal.save("rejected", error=codec.encode(rejected_error(failed)))
        self.report()

    def _park(self, failed: StepFailed, line: bytes) -> None:
        self.parked = True
        self._fold.commits.flush()
        self._journal.save("parked", error=parked_error(failed, line))

    def _skip(self, line: bytes, kind: str, message: str) -> None:
        """Record a step that leaves the state as it was before the attempts that failed."""
        self._state = codec.decode(self._blob)
        self._hand_over([line], [self._blob], self._fold.skip_meta(kind, message))
