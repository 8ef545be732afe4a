"""Folding the streams of one run again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from durproj.history.timeline import Timeline
from durproj.ids import split_id
from durproj.runtime.given import given_reducer
from durproj.runtime.observer import Stop
from durproj.stores.base import Run
from durproj.stores.packing import Records
from durproj.verification.folding import Folding, Unverifiable
from durproj.verification.log import LogStreams, Unreadable
from durproj.verification.stream import Pairs, StreamCheck, beginning


class Refold:
    """The streams of `run` that are the workflows `ids`, to be folded again: from its log or, where that
    cannot be read a second time, from the events in the journals. ids None: all that are in the log. reducer:
    not the run's own. Close it.

    source: what the events are from, the `log` or the `journal`; note: why it is not the log.
    """

    def __init__(
        self, run: Run, ids: Iterable[str] | None, base: Path, reducer: Any | None, stop: Stop
    ) -> None:
        self.note: str | None = None
        self._stop = stop
        self._reason: str | None = None
        self._log: LogStreams | None = None
        try:
            given = None
            if reducer is not None and run.options.get("kind") == "fold":
                given = given_reducer(reducer, run.options["initial"], base)
            self._folding = Folding(run, base, given)
            keys = None if ids is None else frozenset(split_id(id)[1] for id in ids)
            self._log = LogStreams(run, self._folding, base, keys, stop.check)
        except Unreadable as error:
            self.note = str(error)
        except Unverifiable as error:
            self._reason = str(error)

    def close(self) -> None:
        """Let go of the log."""
        if self._log:
            self._log.close()

    @property
    def source(self) -> str:
        """Where the events are taken from."""
        return "log" if self._log else "journal"

    def begin(self, timeline: Timeline) -> RefoldedStream:
        """What is to be fed the blocks of the workflow of `timeline`. Raises Unverifiable when it cannot be
        folded again."""
        if self._reason is not None:
            raise Unverifiable(self._reason)
        if self._log is None:
            first, before = beginning(timeline, self._folding)
            return RefoldedStream(self._check(timeline, first, before), None)
        events = self._log.events(timeline.id, timeline.key)
        check = self._check(timeline, 0, self._folding.initial(timeline.key))
        past = timeline.head.past
        if past and past.steps:
            state = timeline.head.state if past.steps == timeline.steps else None
            check.feed_dropped(past, state, events, self._stop.check)
        return RefoldedStream(check, events)

    def _check(self, timeline: Timeline, first: int, before: bytes) -> StreamCheck:
        return StreamCheck(self._folding, timeline.key, first, before, "refold")

    def unfolded(self, keys: Collection[str]) -> list[str]:
        """The keys in the log that are none of `keys`, in the order in which they come."""
        return [key for key in self._log.keys if key not in keys] if self._log else []


class RefoldedStream:
    """A stream that is folded again: from `events` or, without any, from those in its journal. reason: why
    that broke off."""

    def __init__(self, check: StreamCheck, events: Pairs | None) -> None:
        self._check, self._events = check, events
        self.reason: str | None = None

    @property
    def executed(self) -> int:
        """How many steps were executed."""
        return self._check.executed

    @property
    def difference(self) -> dict[str, Any] | None:
        """The first difference to the journal."""
        return self._check.difference

    def feed(self, start: int, records: Records) -> None:
        """The next block of the journal, from step `start` on."""
        if self.reason:
            return
        try:
            if self._events is None:
                self._check.feed_own(start, records)
            else:
                self._check.feed(start, records, self._events)
        except Unverifiable as error:
            self.reason = str(error)
