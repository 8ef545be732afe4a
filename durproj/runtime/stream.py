"""Folding one stream: the hot loop.

It records exactly what `workflow.process_events` would, run through the driver; a test holds the two
together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

from durproj import codec
from durproj.errors import StepFailed
from durproj.events.event import Event
from durproj.ids import workflow_id
from durproj.runtime.attempts import FAILURES, Attempts
from durproj.runtime.commits import BATCH_SECONDS
from durproj.runtime.guard import compare_inputs, past_the_end
from durproj.runtime.ownership import Fold
from durproj.runtime.planned import crash_as_planned, fail_as_planned, planned_steps
from durproj.runtime.recording import refuse_none
from durproj.stores.journal import Journal
from durproj.stores.packing import BLOCK_STEPS, Record, Records


class StreamFold:
    """Folds the stream `key` into `journal`, of whose steps the first `proven` need no comparing:
    they come from the first `prefix_bytes` bytes of the input."""

    def __init__(
        self, fold: Fold, key: str, journal: Journal, proven: int, prefix_bytes: int
    ) -> None:
        self._fold = fold
        self.key = key
        self.id = workflow_id(fold.request.name, key)
        self._journal = journal
        self._blob: bytes = journal.last_output() or codec.encode(fold.request.reducer.initial(key))
        self._state: Any = codec.decode(self._blob)
        self._settle = codec.settle_plain if fold.request.reducer.plain else codec.settle
        self._known = journal.steps
        self._recorded = self.inputs(proven)
        self._fresh = True
        self.prefix = (prefix_bytes, proven if prefix_bytes else 0)
        self.proven = self.position = proven
        self.executed = 0
        self.failed = 0
        if fold.observer.wants_steps:
            self._show_cached(0, proven)

    @property
    def claimed(self) -> bool:
        """Whether the store has it as this run's; a stream of which nothing was executed may not be."""
        return self._fold.owns(self._journal.head, self.prefix)

    @property
    def exists(self) -> bool:
        """Whether there is anything of it: a stream without events is none until it was begun."""
        return self._journal.head.no is not None or self.executed > 0

    @property
    def cached(self) -> int:
        """How many steps the journal held before."""
        return self._known

    def feed(self, lines: Sequence[bytes], events: Sequence[Event]) -> None:
        """The next events of the stream, with the lines they stand on. Compares those the journal
        holds, applies the rest. Raises PastChanged, StepFailed, Interrupted."""
        self._fold.stop.check()
        held = max(0, min(self._known - self.position, len(lines)))
        if held:
            recorded = [next(self._recorded) for _ in range(held)]
            compare_inputs(self.id, self.position, recorded, list(lines[:held]))
            if self._fold.observer.wants_steps:
                self._show_cached(self.position, self.position + held)
            self.position += held
            self._fold.observer.progress(held)
        try:
            if held < len(lines):
                self._apply(lines[held:], events[held:])
        except StepFailed as failed:
            self._reject(failed)
            raise

    def finish(self) -> None:
        """The stream has no more events. Raises PastChanged when the journal has more steps."""
        if self.position < self._known:
            raise past_the_end(self.id, self.position, next(self._recorded))
        head = self._journal.head
        if head.no is None or head.status != "resolved" or self.executed:
            self._fold.commits.close(self._journal, "resolved", self.report)
        else:
            self.report()

    def suspend(self) -> None:
        """The log breaks off at a bad line: what was executed before it is pending."""
        if self.executed or (self.exists and self._journal.head.status == "pending"):
            self._fold.commits.close(self._journal, "pending", self.report)
        elif self.exists:
            self.report()

    def report(self) -> None:
        """Tell the observer how far the workflow has come."""
        self._fold.observer.projection(self._journal.head, self._known, self.executed)

    def mark(self, prefix_bytes: int) -> None:
        """Note in the head that all steps so far come from the first `prefix_bytes` of the input."""
        head = self._journal.head
        head.prefix_bytes, head.prefix_steps = prefix_bytes, self.position
        self._journal.save("pending")

    def _apply(self, lines: Sequence[bytes], events: Sequence[Event]) -> None:
        fold, planned = self._fold, planned_steps(self._fold.request)
        if self._fresh:
            self._begin()
        take = (
            self._take_batch
            if fold.commits.shared or fold.observer.wants_steps
            else self._take_each
        )
        at, first = 0, self.position
        while at < len(events):
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
                self._hand_over(lines[at:], [self._execute(self.position, lines[at], error)])
                at += 1
            fold.observer.progress(self.position - n)

    def _take_each(self, lines: Sequence[bytes], events: Sequence[Event]) -> BaseException | None:
        """Take the state over events for a while, every step committed before the next one begins; the
        error of an attempt that failed."""
        reduce, settle, add, meta = (
            *(self._fold.request.reducer.fn, self._settle),
            *(self._journal.add, self._fold.meta),
        )
        stop, clock = self._fold.stop, time.monotonic
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
        reduce, settle = self._fold.request.reducer.fn, self._settle
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

    def _hand_over(self, lines: Sequence[bytes], outputs: list[bytes]) -> None:
        """Record the steps that gave `outputs`, of the first of `lines`."""
        if not outputs:
            return
        fold, count, first = self._fold, len(outputs), self.position
        self._blob = outputs[-1]
        self.position += count
        self.executed += count
        records = Records([fold.meta] * count, list(lines[:count]), outputs)
        fold.commits.add(self._journal, first, records)
        if fold.observer.wants_steps:
            attempts = self._attempts(first)
            # Read anew: what the reducer did to its event is not what happened.
            event = fold.envelope.event(codec.decode(lines[0]), lines[0], self.key)
            fold.observer.step(self.id, first, event, "executed", attempts, self._state)

    def _begin(self) -> None:
        """Before the first new step: wait out a back-off that a crash cut short."""
        self._fresh = False
        self._fold.claim(self._journal.head, self.prefix)
        if self._journal.head.no is not None:
            self._tries(self.position).resume()

    def _execute(self, n: int, line: bytes, error: BaseException | None) -> bytes:
        """Step `n` with retries, each attempt on a state and an event that no other has touched.
        `error`: the first attempt has failed, with this."""
        make, reduce = self._fold.envelope.event, self._fold.request.reducer.fn
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

    def _attempts(self, n: int) -> int:
        """How many attempts step `n` took."""
        no = self._journal.head.no
        return 1 if no is None else 1 + len(self._fold.store.attempts(no, n))

    def _reject(self, failed: StepFailed) -> None:
        self.failed = 1
        self._fold.commits.flush()
        error = {"step": failed.step, "kind": failed.kind, "message": failed.reason}
        error |= {"event": failed.event} if failed.event else {}
        self._journal.save("rejected", error=codec.encode(error))
        self.report()

    def inputs(self, first: int) -> Iterator[bytes]:
        """The recorded inputs from step `first` on."""
        for start, records in self._journal.blocks(first) if first < self._known else ():
            yield from records.inputs[max(0, first - start) : self._known - start]

    def _show_cached(self, first: int, stop: int) -> None:
        for start, records in self._journal.blocks(first) if first < stop else ():
            for step in range(max(first, start), min(stop, start + len(records))):
                _, line, output = records[step - start]
                event = self._fold.envelope.event(codec.decode(line), line, self.key)
                state = codec.decode(output)
                self._fold.observer.step(
                    self.id, step, event, "cached", self._attempts(step), state
                )
            if start + len(records) >= stop:
                return
