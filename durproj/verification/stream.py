"""One stream folded again, step by step beside what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

from durproj.errors import BadEvent
from durproj.events.event import Event
from durproj.history.changes import changes_of_lines
from durproj.history.timeline import Timeline
from durproj.runtime.attempts import describe
from durproj.runtime.steps import Steps
from durproj.stores.base import Past
from durproj.stores.packing import ORIGIN, Records, digest_inputs
from durproj.stores.stored import META, stored_record
from durproj.verification.folding import Folding, Unverifiable

Pairs = Iterator[tuple[bytes, Event]]
"""The events of a stream, each with the line it stands on."""

_END = (b"", None)

_FROM_DROPPED = "it, or a step before it that is no longer kept, gives another state now"

MOST_CHANGES = 20
"""So many paths of one difference are reported."""


def beginning(timeline: Timeline, folding: Folding) -> tuple[int, bytes]:
    """The first step that can be executed again from the journal alone, and the state before it, encoded.
    Where the oldest steps were dropped, the first one that is kept can only be gone on from. Raises
    Unverifiable when that leaves none."""
    first = timeline.first
    if first == 0:
        return 0, folding.initial(timeline.key)
    if first + 1 >= timeline.steps:
        what = f"steps before {first:,} are no longer kept"
        raise Unverifiable(f"{what}, and without them none of the others can be executed again")
    return first + 1, timeline.at(first).record.output


class StreamCheck:
    """Folds the stream `key` beside its journal, from step `first` on, which is given the state `before`.

    check: what it is for, as its difference says; twice: executes each step two times and goes by the
    second one, so that what a reducer remembers shows. difference: the first one, once it was met;
    nothing is executed after that. executed: how many steps were.
    """

    def __init__(
        self,
        folding: Folding,
        key: str,
        first: int,
        before: bytes,
        check: Literal["refold", "twice"],
    ) -> None:
        self._folding, self._key, self._check = folding, key, check
        self._step, self._dropped = first, 0
        self._steps = Steps(folding.executor, key, before)
        self.executed = 0
        self.difference: dict[str, Any] | None = None

    def feed_dropped(
        self, past: Past, state: bytes | None, events: Pairs, check: Callable[[], None]
    ) -> None:
        """The log's `events` of the steps in `past`, which are no longer kept. Of these only a digest is
        left to compare with, and the `state` that they led to when no step came after them; None when the
        next step will show it. check: called now and then; what it raises ends it."""
        digest, self._dropped = ORIGIN, past.steps
        try:
            for line, event in islice(events, past.steps):
                if self._step % 256 == 0:
                    check()
                digest = digest_inputs(digest, (line,))
                # Whether one that fails was skipped is not known: if not, the state will be another.
                self._steps.take(line, event)
                self._step += 1
                self.executed += 1
        except BadEvent as error:
            return self._differ("event", None, reason=f"the log: {error.message}")
        here = f"the first {past.steps:,}, whose steps are no longer kept"
        if self._step < past.steps:
            return self._differ("length", None, reason=f"the log ends before the last of {here}")
        if digest != past.inputs:
            self._step -= 1
            return self._differ("event", None, reason=f"one of {here}")
        if state is not None and state != self._steps.state:
            self._step -= 1
            return self._differ("state", None, state, self._steps.state, _FROM_DROPPED)
        return None

    def feed_own(self, start: int, records: Records) -> None:
        """The journal's steps from `start` on, to be compared with what their own events give."""
        records = records.part(max(0, self._step - start), len(records))
        if self.difference is None:
            events = self._folding.envelope.events(records.inputs, self._key)
            self._compare(records, zip(records.inputs, events, strict=True))

    def feed(self, start: int, records: Records, events: Pairs) -> None:
        """The same, to be compared with what the events of the log are and give: of `events`, which begin
        with that of the first step, as many are taken as there are steps."""
        records = records.part(max(0, self._step - start), len(records))
        if self.difference is None:
            try:
                self._compare(records, events)
            except BadEvent as error:
                self._differ("event", None, reason=f"the log: {error.message}")

    def _compare(self, records: Records, events: Pairs) -> None:
        steps, again = self._steps, self._check == "twice"
        for meta, recorded, output in zip(
            records.metas, records.inputs, records.outputs, strict=True
        ):
            line, event = next(events, _END)
            if event is None:
                return self._differ("length", recorded, reason="the log ends before this event")
            if line != recorded:
                return self._differ("event", recorded, recorded, line)
            if again:
                steps.rehearse(line)
            error = steps.take(line, event)
            self.executed += 1
            if error is not None and not _skipped(meta):
                return self._differ("failure", recorded, reason=describe(error))
            if steps.state != output:
                return self._differ("state", recorded, output, steps.state, self._why(meta))
            self._step += 1
        return None

    def _why(self, meta: bytes) -> str | None:
        """What is to be known about a step of this `meta` that gives another state now."""
        skipped = _skipped(meta)
        if self._check == "twice":
            return f"it failed the first time: {skipped}" if skipped else None
        if skipped:
            return f"the event was skipped: {skipped}"
        if self._step == self._dropped > 0:
            return _FROM_DROPPED
        return self._folding.why_other(meta)

    def _differ(
        self,
        what: Literal["event", "state", "failure", "length"],
        line: bytes | None,
        old: bytes = b"null",
        new: bytes = b"null",
        reason: str | None = None,
    ) -> None:
        """Note the difference at the present step, whose recorded event is on `line`: between `old` and
        `new`, encoded."""
        found = changes_of_lines(old, new)
        if old != new and not found:
            reason = "the fields of an object come in another order"
        event = self._folding.executor.event(line, self._key) if line is not None else None
        self.difference = {
            "check": self._check,
            "step": self._step,
            "event": event and {"id": event.id, "type": event.type, "time": event.time},
            "differs": what,
            "changes": [change.record() for change in found[:MOST_CHANGES]],
            **({"more_changes": len(found) - MOST_CHANGES} if len(found) > MOST_CHANGES else {}),
            **({"reason": reason} if reason else {}),
        }


def _skipped(meta: bytes) -> str | None:
    """Why the event of a step of this `meta` was skipped; None when it was not."""
    # Few are, and of all others nothing has to be decoded.
    error = stored_record(meta, META).get("skipped") if b'"skipped"' in meta else None
    return error and (f"{error['kind']}: {error['message']}" if error["message"] else error["kind"])
