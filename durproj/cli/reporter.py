"""What the user sees of a run: an Observer that prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from durproj.events.event import Event
from durproj.history.standing import projection_record
from durproj.render import Screen, Span, failed_line, in_short, step_line
from durproj.runtime.observer import Counts
from durproj.stores.base import Head

SHOWN = 20
"""At most so many projections are listed one by one to a person."""

PATIENCE_S = 0.5
"""A bar for less would only flicker."""


class Reporter:
    """Prints a run as it goes on, to a person or, with `--json`, line by line to a program."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._style = screen.style
        self._summary: Callable[[Any], str] | None = None
        self._began = time.monotonic()
        self._heads: list[tuple[Head, int, int]] = []
        self._last_id = ""
        self._bar: Bar | None = None
        self.store = ""
        self.counts = Counts()
        self.wants_steps = False
        self.wants_all = self._style.json

    def note(self, text: str) -> None:
        self._screen.note(text)

    def started(
        self, record: dict[str, Any], summary: Callable[[Any], str] | None, *, small: bool
    ) -> None:
        self._summary = summary
        self.store = record["store"]
        self.wants_steps = self._style.verbose or (
            small and not self._style.json and not self._style.quiet
        )
        if self._style.json:
            self._screen.record({"type": "run", "v": 1, **record})
        stream = None if self.wants_steps or self._style.json else self._screen.progress_stream()
        self._bar = Bar(self._screen, stream) if stream else None

    def step(
        self,
        id: str,
        step: int,
        event: Event,
        source: Literal["cached", "executed"],
        attempts: int,
        state: Any,
    ) -> None:
        if self._style.json:
            shown = {"id": event.id, "type": event.type}
            self._screen.record(
                {
                    "type": "step",
                    "id": id,
                    "step": step,
                    "event": shown,
                    "source": source,
                    "attempts": attempts,
                }
            )
            return
        self._head_line(id)
        cached = source == "cached"
        spans = step_line(
            step, event.type, cached=cached, attempts=attempts, state=state, summary=self._summary
        )
        self._screen.line(*spans)

    def failed(
        self,
        id: str,
        step: int,
        event: Event | None,
        function: str,
        error: str,
        retry_s: float | None,
    ) -> None:
        if self.wants_steps and event is not None and not self._style.json:
            self._head_line(id)
            self._line(*failed_line(step, event.type, error))
        if retry_s is not None:
            wait = f"{retry_s:g}"
            self._screen.flush()
            self._screen.plain_note(
                f"Runtime. Function '{function}' failed with '{error}' (retrying in {wait} secs)"
            )

    def crashed(self, id: str, step: int, event: Event) -> None:
        if self._style.json:
            self._screen.record({"type": "crash", "id": id, "step": step, "planned": True})
        elif self.wants_steps:
            self._head_line(id)
            self._line(*failed_line(step, event.type, "planned crash"))
        self._screen.flush()
        done = f"steps 0 to {step - 1} are checkpointed" if step else "nothing is checkpointed yet"
        self._screen.note(f"{id}: crashed at event {step:02d}, as planned; {done}", "yellow")
        self._screen.note(f"go on with: {resume_command(self.store)}")

    def expect(self, events: int) -> None:
        if self._bar:
            self._bar.total = events

    def progress(self, events: int) -> None:
        if self._bar:
            self._bar.advance(events)

    def projection(self, head: Head, cached: int, executed: int) -> None:
        if self._style.json:
            self._screen.record(projection_record(head, cached, executed))
        elif len(self._heads) <= SHOWN:
            self._heads.append((head, cached, executed))

    def counted(self, counts: Counts) -> None:
        if self._bar:
            self._bar.close()
        self.counts += counts
        if self._style.json:
            return
        if len(self._heads) == 1 and counts.projections == 1:
            self._one(*self._heads[0])
        else:
            for head, cached, executed in self._heads[:SHOWN]:
                self._line(
                    ("  ", ""),
                    *self._standing(head, cached, executed),
                    ("  ", ""),
                    *self._state(head),
                )
            if counts.projections > SHOWN and self._heads:
                self._line((f"  … of {counts.projections:,}; all of them: durproj list", "dim"))
            self._totals(counts)
        self._heads = []

    def close(self, exit_code: int) -> None:
        """The last line of `--json`."""
        if self._bar:
            self._bar.close()
        if self._style.json:
            counts = self.counts
            self._screen.record(
                {
                    "type": "summary",
                    "projections": counts.projections,
                    "events": counts.events,
                    "cached": counts.cached,
                    "executed": counts.executed,
                    "failed": counts.failed,
                    "parked": counts.parked,
                    "skipped": counts.skipped,
                    "exit": exit_code,
                    "timing": {"seconds": round(time.monotonic() - self._began, 3)},
                }
            )

    def _one(self, head: Head, cached: int, executed: int) -> None:
        """The one projection there was, whole."""
        if self.wants_steps and self._last_id:
            self._line()
        self._line(*self._standing(head, cached, executed))
        if head.state is not None:
            self._screen.document(projection_record(head, cached, executed)["state"])

    def _standing(self, head: Head, cached: int, executed: int) -> tuple[Span, ...]:
        color = {"resolved": "green", "rejected": "red"}.get(head.status, "yellow")
        what = (
            f"{executed:,} executed, {cached:,} cached"
            if executed
            else f"nothing to do, {cached:,} cached"
        )
        return (
            (head.id, "bold"),
            ("  ", ""),
            (head.status, color),
            (f"  {head.steps:,} steps ({what})", ""),
        )

    def _state(self, head: Head) -> tuple[Span, ...]:
        if head.state is None:
            return ()
        return ((in_short(projection_record(head, 0, 0)["state"], self._summary), "dim"),)

    def _totals(self, counts: Counts) -> None:
        self._line(
            (f"{counts.projections:,} projections, {counts.events:,} events: ", "bold"),
            (f"{counts.executed:,} executed, {counts.cached:,} cached", "bold"),
            (f", {counts.failed} failed" if counts.failed else "", "red"),
            (
                f" in {time.monotonic() - self._began:.1f} s" if not self._style.stable else "",
                "dim",
            ),
        )

    def _head_line(self, id: str) -> None:
        if id != self._last_id:
            self._line((id, "bold"))
            self._last_id = id

    def _line(self, *spans: Span) -> None:
        if not self._style.json:
            self._screen.line(*spans)


class Bar:
    """A progress bar, drawn at most ten times a second and only once the run has taken a while."""

    def __init__(self, screen: Screen, stream: Any) -> None:
        self._screen, self._stream = screen, stream
        self._next = time.monotonic() + PATIENCE_S
        self._done = 0
        self._progress: Any = None
        self.total: int | None = None

    def advance(self, events: int) -> None:
        self._done += events
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.1
        if self._progress is None:
            self._progress, self._task = self._screen.progress_bar(self._stream)
        self._progress.update(self._task, completed=self._done, total=self.total, refresh=True)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def resume_command(store: str) -> str:
    """The command that goes on with an interrupted run over `store`."""
    return "durproj resume" if store == "durproj.db" else f"durproj resume --store {store}"
