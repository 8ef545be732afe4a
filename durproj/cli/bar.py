"""The progress bar of a run."""

from __future__ import annotations

import time
from typing import Any

from durproj.render import Screen

PATIENCE_S = 0.5
"""A bar for less would only flicker."""


class Bar:
    """A progress bar, drawn at most ten times a second and only once the run has taken a while."""

    def __init__(self, screen: Screen, stream: Any) -> None:
        self._screen, self._stream = screen, stream
        self._next = time.monotonic() + PATIENCE_S
        self._done = 0
        self._progress: Any = None
        self.total: int | None = None

    def advance(self, events: int) -> None:
        """So many more events have been dealt with."""
        self._done += events
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.1
        if self._progress is None:
            self._progress, self._task = self._screen.progress_bar(self._stream, self.total)
        self._progress.update(self._task, completed=self._done, total=self.total, refresh=True)

    def hide(self) -> None:
        """Make room for a line; the bar comes back when there is progress to show."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
