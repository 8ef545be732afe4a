"""What a journal recorded of its stream, met again by the lines of the log."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from durproj.errors import PastChanged
from durproj.runtime.guard import changed_dropped, compare_inputs, past_the_end
from durproj.stores.journal import Journal
from durproj.stores.packing import ORIGIN, digest_inputs


class Recorded:
    """The inputs that the journal of `id` has from step `first` on. Of steps that are no longer kept it
    has a digest: what takes their place is chained up to the last of them, and compared there. (A `first`
    among them would never lead to that digest, and so is refused like another log.)"""

    def __init__(self, id: str, journal: Journal, first: int) -> None:
        self._id = id
        past = journal.head.past
        self._dropped = past.steps if past else 0
        self._expected = past.inputs if past else ORIGIN
        self._digest = ORIGIN
        self._inputs = journal.inputs(max(first, self._dropped))

    def compare(self, step: int, lines: Sequence[bytes]) -> None:
        """Raise PastChanged unless the steps from `step` on were recorded for `lines`; there are so many.
        To be called with all lines in order."""
        if step < self._dropped:
            gone = min(self._dropped - step, len(lines))
            self._digest = digest_inputs(self._digest, lines[:gone])
            step, lines = step + gone, lines[gone:]
            if step == self._dropped and self._digest != self._expected:
                raise changed_dropped(self._id, self._dropped, "others")
        compare_inputs(self._id, step, list(islice(self._inputs, len(lines))), list(lines))

    def ended(self, step: int) -> PastChanged:
        """The error for a log that ends before the event of `step`."""
        if step < self._dropped:
            return changed_dropped(
                self._id, self._dropped, f"the log ends after {step} of its events"
            )
        return past_the_end(self._id, step, next(self._inputs))
