"""What moves on a terminal while a run goes on: a bar, or for a followed input a line of figures."""

from __future__ import annotations

import time
from typing import Any

from durproj.render import Screen
from durproj.runtime.observer import Counts
from durproj.wording import number

PATIENCE_S = 0.5
"""A bar for less would only flicker."""


class Bar:
    """A progress bar, drawn at most ten times a second and only once the run has taken a while. doing:
    what it shows the progress of; what: that is counted."""

    def __init__(
        self, screen: Screen, stream: Any, doing: str = "folding", what: str = "events"
    ) -> None:
        self._screen, self._stream = screen, stream
        self._words = doing, what
        self._next = time.monotonic() + PATIENCE_S
        self._done = 0
        self._progress: Any = None
        self.total: int | None = None

    def advance(self, events: int) -> None:
        """`events` more are done, or what else is counted."""
        self._done += events
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.1
        if self._progress is None:
            self._progress, self._task = self._screen.progress_bar(
                self._stream, self.total, *self._words
            )
        self._progress.update(self._task, completed=self._done, total=self.total, refresh=True)

    def advance_of(self, done: int, total: int) -> None:
        """`done` more of `total` are done."""
        self.total = total
        self.advance(done)

    def hide(self) -> None:
        """Make room for a line; the bar comes back when there is progress to show."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Status:
    """One line about a followed input, drawn once a second."""

    def __init__(self, screen: Screen, stream: Any) -> None:
        self._screen, self._stream = screen, stream
        self._next = 0.0
        self._last = (time.monotonic(), 0)
        self._line: Any = None

    def show(self, counts: Counts, behind: int) -> None:
        """Draw it anew if it is time to: `counts` so far, and how many bytes are to be read yet."""
        now = time.monotonic()
        if now < self._next:
            return
        before, done = self._last
        rate = (counts.executed - done) / max(now - before, 0.001) if self._line else 0.0
        self._last, self._next = (now, counts.executed), now + 1
        if self._line is None:
            self._line = self._screen.status_line(self._stream)
        self._line.update(
            f"following  {number(counts.executed, 'event')}  {rate:,.0f}/s"
            f"  {number(counts.projections, 'stream')}  lag {_size(behind)}",
            refresh=True,
        )

    def hide(self) -> None:
        """Make room for a line."""
        if self._line is not None:
            self._line.stop()
            self._line = None
            self._next = 0.0


def _size(bytes: int) -> str:
    return f"{bytes:,} B" if bytes < 10_000 else f"{bytes / 1e6:,.1f} MB"
