"""The event at which a stream was parked: it belongs to the past, and is guarded as a step is."""

from __future__ import annotations

from typing import Any

from durproj.errors import PastChanged
from durproj.events.event import Event
from durproj.runtime.guard import changed_parked, past_the_end
from durproj.runtime.ownership import Fold
from durproj.runtime.recording import recorded_event
from durproj.stores.base import Head
from durproj.stores.stored import PARKED, stored_record


class ParkedEvent:
    """The event at which the stream of `head` is parked. step: the one it would have become; line: as
    it was in the log; error: why it failed, `kind` and `message`."""

    def __init__(self, head: Head) -> None:
        self.error: dict[str, Any] = stored_record(head.error or b"", PARKED)
        self.step: int = self.error["step"]
        self.line: bytes = self.error["line"].encode()
        self._id, self._key = head.id, head.key

    def meet(self, fold: Fold, line: bytes, event: Event) -> None:
        """Raise PastChanged unless `event`, which stands on `line` in its place, is this one or, where
        it is tried again, this one mended."""
        if line == self.line:
            return
        former = recorded_event(fold.envelope, self.line, self._key)
        mended = fold.envelope.is_same(former, event)
        if not mended or fold.request.release != "retry":
            raise changed_parked(self._id, self.step, self.line, line, mended=mended)
        fold.observer.note(f"{self._id}#{self.step}: the parked event was mended in the log")

    def gone(self) -> PastChanged:
        """The error for a log that ends before it."""
        return past_the_end(self._id, self.step, self.line)
