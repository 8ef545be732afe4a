"""One stream folded again, step by step beside what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from durproj import codec
from durproj.errors import BadEvent
from durproj.events.event import Event
from durproj.history.changes import changes
from durproj.history.timeline import Timeline
from durproj.runtime.attempts import FAILURES, describe
from durproj.runtime.recording import refuse_none
from durproj.stores.packing import Records
from durproj.verification.folding import Folding

Pairs = Iterator[tuple[bytes, Event]]
"""The events of a stream, each with the line it stands on."""

_END = (b"", None)

MOST_CHANGES = 20
"""So many paths of one difference are reported."""


def beginning(timeline: Timeline, folding: Folding) -> tuple[int, bytes]:
    """The first step that can be executed again, and the state before it, encoded. Where the oldest steps
    were dropped, the first one that is kept can only be gone on from."""
    if timeline.first == 0:
        return 0, folding.initial(timeline.head.key)
    return timeline.first + 1, timeline.at(timeline.first).record.output


class StreamCheck:
    """Folds the stream `key` beside its journal, from step `first` on, which is given the state `before`.

    check: what it is for, as its difference says; twice: executes each step two times and goes by the
    second one, so that what a reducer remembers shows. difference: the first one, once it was met;
    nothing is executed after that.
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
        self._step, self._blob = first, before
        self._state: Any = codec.decode(before)
        self.difference: dict[str, Any] | None = None

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
        reduce, settle = self._folding.reduce, self._folding.settle
        again = self._check == "twice"
        for meta, recorded, output in zip(
            records.metas, records.inputs, records.outputs, strict=True
        ):
            line, event = next(events, _END)
            if event is None:
                return self._differ("length", recorded, reason="the log ends before this event")
            if line != recorded:
                return self._differ("event", recorded, recorded, line)
            if again:
                self._folding.execute(self._blob, line, self._key)
            try:
                value = reduce(self._state, event)
                if value is None:
                    refuse_none(self._state)
                blob, self._state = settle(value)
            except FAILURES as error:
                result = self._folding.execute(self._blob, line, self._key, error)
                if not isinstance(result, BaseException):
                    blob, self._state = result
                elif _skipped(meta):
                    blob, self._state = self._blob, codec.decode(self._blob)
                else:
                    return self._differ("failure", recorded, reason=describe(result))
            if blob != output:
                return self._differ("state", recorded, output, blob, self._why(meta))
            self._blob = blob
            self._step += 1
        return None

    def _why(self, meta: bytes) -> str | None:
        """What is to be known about a step of this `meta` that gives another state now."""
        skipped = _skipped(meta)
        if self._check == "twice":
            return f"it failed the first time: {skipped}" if skipped else None
        if skipped:
            return f"the event was skipped: {skipped}"
        if self._folding.changed:
            return "the reducer has changed since"
        return "the reducer has not changed: what it calls has, or it is not deterministic"

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
        found = changes(codec.decode(old), codec.decode(new))
        if old != new and not found:
            reason = "the fields of an object come in another order"
        event = self._folding.event(line, self._key) if line is not None else None
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
    error = codec.decode(meta).get("skipped") if b'"skipped"' in meta else None
    return error and (f"{error['kind']}: {error['message']}" if error["message"] else error["kind"])
