"""Folding one stream: the hot loop.

It records exactly what `workflow.process_events` would, run through the driver; a test holds the two
together.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

from durproj import codec
from durproj.errors import Interrupted, Retry, StepFailed
from durproj.events.event import Event
from durproj.ids import workflow_id
from durproj.runtime.attempts import FAILURES, Attempts
from durproj.runtime.commits import BATCH_SECONDS, BATCH_STEPS
from durproj.runtime.guard import compare_inputs, past_the_end
from durproj.runtime.ownership import Fold
from durproj.runtime.workflow import refuse_none
from durproj.stores.journal import Journal


class PlannedFailure(Retry):
    """The transient error that `--fail` plans."""


class StreamFold:
    """Folds the stream `key` into `journal`, of whose steps the first `proven` need no comparing:
    they come from the first `prefix_bytes` bytes of the input."""

    def __init__(
        self, fold: Fold, key: str, journal: Journal, proven: int, prefix_bytes: int
    ) -> None:
        self._fold = fold
        self._key = key
        self.id = workflow_id(fold.request.name, key)
        self._journal = journal
        self._blob: bytes = journal.last_output() or codec.encode(fold.request.reducer.initial(key))
        self._known = journal.steps
        self._recorded = self._inputs(proven)
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
        fold = self._fold
        reduce, settle, meta = fold.request.reducer.fn, codec.settle, fold.meta
        commits, shared, stop = fold.commits, fold.commits.shared, fold.stop
        observer = fold.observer if fold.observer.wants_steps else None
        planned = self._planned()
        progress, shown = fold.observer.progress, self.position
        n = first = self.position
        blob = self._blob
        state = codec.decode(blob)
        flat: list[bytes] = []
        due = time.monotonic() + BATCH_SECONDS
        if self._fresh:
            self._begin()
        try:
            for line, event in zip(lines, events, strict=True):
                if stop.signum:
                    raise Interrupted(stop.signum)
                if n in planned:
                    self._hand_over(first, flat)
                    first, flat = n, []
                    self._crash_as_planned(n, event)
                    blob, state = self._execute(n, line, blob)
                else:
                    try:
                        before = blob
                        blob, state = settle(reduce(state, event))
                        if blob == b"null":
                            refuse_none(before)
                    except FAILURES as error:
                        self._hand_over(first, flat)
                        first, flat = n, []
                        blob, state = self._execute(n, line, before, error)
                n += 1
                flat += (meta, line, blob)
                late = time.monotonic() >= due
                if not shared:
                    commits.add(self._journal, first, flat)
                    first, flat = n, []
                elif late or n - first >= BATCH_STEPS:
                    self._hand_over(first, flat)
                    commits.flush()
                    first, flat = n, []
                if late:
                    due = time.monotonic() + BATCH_SECONDS
                    progress(n - shown)
                    shown = n
                self._blob = blob
                if observer:
                    observer.step(self.id, n - 1, event, "executed", self._attempts(n - 1), state)
        finally:
            # Whatever stopped the loop: what was finished before it is kept.
            self._hand_over(first, flat)
            progress(n - shown)
            self.executed += n - self.position
            self.position = n

    def _hand_over(self, first: int, flat: list[bytes]) -> None:
        if flat:
            self._fold.commits.add(self._journal, first, flat)

    def _begin(self) -> None:
        """Before the first new step: wait out a back-off that a crash cut short."""
        self._fresh = False
        self._fold.claim(self._journal.head, self.prefix)
        if self._journal.head.no is not None:
            self._tries(self.position).resume()

    def _execute(
        self, n: int, line: bytes, before: bytes, error: BaseException | None = None
    ) -> tuple[bytes, Any]:
        """Step `n` with retries, each attempt on a state and an event that no other has touched.
        `error`: the first attempt has failed, with this."""
        make, reduce = self._fold.envelope.event, self._fold.request.reducer.fn
        tries = self._tries(n)

        def attempt() -> tuple[bytes, Any]:
            self._fail_as_planned(n, event)
            blob, state = codec.settle(
                reduce(codec.decode(before), make(codec.decode(line), line, self._key))
            )
            if blob == b"null":
                refuse_none(before)
            return blob, state

        event = make(codec.decode(line), line, self._key)
        result: tuple[bytes, Any] = tries.call(attempt, "apply_event", event, error)
        return result

    def _crash_as_planned(self, n: int, event: Event) -> None:
        request, store = self._fold.request, self._fold.store
        no = self._number()
        if request.crash == n and not store.crashed(no, n):
            store.add_crash(no, n)
            self._fold.observer.crashed(self.id, n, event)
            _die(request.crash_with)

    def _fail_as_planned(self, n: int, event: Event) -> None:
        step, times = self._fold.request.fail or (-1, 0)
        if step == n and len(self._fold.store.attempts(self._number(), n)) < times:
            raise PlannedFailure(f"Projection store write failed for event {event.id or n}")

    def _planned(self) -> frozenset[int]:
        request = self._fold.request
        steps = {request.crash} if request.crash is not None else set[int]()
        if request.fail:
            steps.add(request.fail[0])
        return frozenset(steps)

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

    def _inputs(self, first: int) -> Iterator[bytes]:
        """The recorded inputs from step `first` on."""
        for start, flat in self._journal.blocks(first) if first < self._known else ():
            yield from flat[3 * max(0, first - start) + 1 :: 3][: self._known - max(first, start)]

    def _show_cached(self, first: int, stop: int) -> None:
        for start, flat in self._journal.blocks(first) if first < stop else ():
            for step in range(max(first, start), min(stop, start + len(flat) // 3)):
                _, line, output = flat[3 * (step - start) : 3 * (step - start) + 3]
                event = self._fold.envelope.event(codec.decode(line), line, self._key)
                state = codec.decode(output)
                self._fold.observer.step(
                    self.id, step, event, "cached", self._attempts(step), state
                )
            if start + len(flat) // 3 >= stop:
                return


def _die(how: str) -> None:
    """Leave as a crashed process does: nothing is closed, flushed or cleaned up."""
    if how == "KILL":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)
