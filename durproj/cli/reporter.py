"""What the user sees of a run: an Observer that prints."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from durproj.cli.progress import Bar, Status
from durproj.events.event import Event
from durproj.history.standing import projection_record
from durproj.render import Screen, Span, failed_line, in_short, number, shortened, step_line
from durproj.runtime.observer import Counts
from durproj.stores.base import Head

SHOWN = 20
"""At most so many projections are listed one by one to a person, and as many parked ones."""

SHOWN_TYPES = 10
"""At most so many unknown types, the most frequent ones."""

WIDEST_ID = 40
"""Longer ids stand out of their column."""


class Reporter:
    """Prints a run as it goes on, to a person or, with `--json`, line by line to a program."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._style = screen.style
        self._summary: Callable[[Any], str] | None = None
        self._began = time.monotonic()
        self._heads: list[tuple[Head, int, int]] = []
        self._last_id = ""
        self._held: list[tuple[str, tuple[Span, ...]]] = []
        self._bar: Bar | None = None
        self._status: Status | None = None
        self._follows = False
        self._input = ""
        self.store = ""
        self.counts = Counts()
        self.wants_steps = False
        self.wants_all = self._style.json

    def note(self, text: str) -> None:
        self._hide_bar()
        self._screen.note(text)

    def started(
        self, record: dict[str, Any], summary: Callable[[Any], str] | None, *, small: bool
    ) -> None:
        self._summary = summary
        self.store, self._input = record["store"], record["input"]
        self._follows = "follow" in record
        small = small and not self._follows
        self.wants_steps = self._style.verbose or (
            small and not self._style.json and not self._style.quiet
        )
        if self._style.json:
            self._screen.record({"type": "run", "v": 1, **record})
        stream = None if self.wants_steps or self._style.json else self._screen.progress_stream()
        self._bar = Bar(self._screen, stream) if stream else None
        shows = self._follows and not self._style.json
        status_stream = self._screen.progress_stream() if shows else None
        self._status = Status(self._screen, status_stream) if status_stream else None

    def step(self, *told: Any) -> None:
        self._step(*told, skipped=False)

    def skipped(self, *told: Any) -> None:
        self._step(*told, skipped=True)

    def _step(
        self,
        id: str,
        step: int,
        event: Event,
        source: Literal["cached", "executed"],
        attempts: int,
        state: Any,
        *,
        skipped: bool,
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
                    **({"skipped": True} if skipped else {}),
                }
            )
            return
        cached = source == "cached"
        spans = step_line(
            *(step, event.type),
            cached=cached,
            skipped=skipped,
            attempts=attempts,
            state=state,
            summary=self._summary,
        )
        self._held.append((id, spans))
        # Of a run that is refused before it does anything, the refusal is all there is to say.
        if not cached or self._style.verbose:
            self._show_steps()

    def _show_steps(self) -> None:
        held, self._held = self._held, []
        for id, spans in held:
            self._head_line(id)
            self._line(*spans)

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
            self._show_steps()
            self._head_line(id)
            self._line(*failed_line(step, event.type, error))
        if retry_s is not None:
            wait = f"{retry_s:g}"
            self._hide_bar()
            self._screen.flush()
            self._screen.plain_note(
                f"Runtime. Function '{function}' failed with '{error}' (retrying in {wait} secs)"
            )

    def crashed(self, id: str, step: int, event: Event) -> None:
        if self._style.json:
            self._screen.record({"type": "crash", "id": id, "step": step, "planned": True})
        elif self.wants_steps:
            self._show_steps()
            self._head_line(id)
            self._line(*failed_line(step, event.type, "planned crash"))
        self._hide_bar()
        self._screen.flush()
        done = f"{kept(step)} checkpointed" if step else "nothing is checkpointed yet"
        self._screen.note(f"{id}: crashed at event {step:02d}, as planned; {done}", "yellow")
        self._screen.note(f"go on with: {self.way_on}")

    @property
    def way_on(self) -> str:
        """How to go on with this run when something has stopped it."""
        if self._follows:
            return "the same command"
        if not self.store:  # nothing is recorded yet
            return "the same command, given the same input"
        if "-" in self._input.split(" "):
            again = "or the same command, given the same input"
            return f"{resume_command(self.store)}  (with what has come so far)\n{again}"
        return resume_command(self.store)

    def following(self, counts: Counts, behind: int) -> None:
        # From here on, what nothing came to is no news.
        self.wants_all = False
        self._hide_bar()
        self._bar = None
        self._screen.flush()
        if self._status:
            self._status.show(counts, behind)

    def expect(self, events: int) -> None:
        if self._bar:
            self._bar.total = events

    def progress(self, events: int) -> None:
        if self._bar:
            self._bar.advance(events)

    def projection(self, head: Head, cached: int, executed: int) -> None:
        if self._style.json:
            self._screen.record(projection_record(head, cached, executed))
        elif not self._follows and len(self._heads) < (
            2 * SHOWN if head.status == "parked" else SHOWN
        ):
            self._heads.append((head, cached, executed))

    def counted(self, counts: Counts) -> None:
        self._hide_bar()
        self.counts += counts
        heads, self._heads = self._heads, []
        # A fold tells of its counts as it unwinds: before an error, only what is new is worth a line.
        if sys.exc_info()[0] is not None:
            heads = [entry for entry in heads if entry[2] or entry[0].status == "rejected"]
            if not (heads or counts.executed):
                self._held = []
                return
        self._show_steps()
        if sys.exc_info()[0] is None:
            self._note_found(counts)
        if self._style.json or not (heads or counts.events):
            return
        if self._follows:
            self._totals(counts)
            return
        if self._last_id:
            self._line()
        if len(heads) == 1 and counts.projections == 1:
            self._one(*heads[0])
        else:
            self._list(heads)
            if counts.projections > SHOWN and heads:
                command = command_for(self.store, "list")
                self._line((f"  … of {counts.projections:,}; all of them: {command}", "dim"))
        if len(heads) != 1 or counts.projections != 1 or not counts.clean:
            self._totals(counts)
        if counts.unknown:
            self._line((f"unknown types: {_most_common(counts.unknown)}", "yellow"))
        if counts.parked:
            command = command_for(self.store, "parked", "list")
            self.note(f"{number(counts.parked, 'stream')} parked; which, and why: {command}")

    def close(self, exit_code: int) -> None:
        """The last line of `--json`."""
        self._hide_bar()
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
                    **({"unknown": dict(counts.unknown.most_common())} if counts.unknown else {}),
                    **counts.found(),
                    "exit": exit_code,
                    "timing": {"seconds": round(time.monotonic() - self._began, 3)},
                }
            )

    def _note_found(self, counts: Counts) -> None:
        if counts.reordered:
            self._screen.note(f"out of order in the log: {number(counts.reordered, 'event')}")
        if counts.gaps:
            self._screen.note(f"gaps in the sequence: {counts.gaps.describe()}")

    def _one(self, head: Head, cached: int, executed: int) -> None:
        """The one projection there was, whole."""
        tint = status_color(head.status)
        self._line(
            (head.id, "bold"),
            ("  ", ""),
            (head.status, tint),
            (_done(head, cached, executed), ""),
            (_dropped(self.counts), ""),
        )
        if head.status == "parked":
            self._line((f"  {_why(head)}", "red"))
        if head.state is not None:
            self._screen.document(projection_record(head, cached, executed)["state"])

    def _list(self, heads: list[tuple[Head, int, int]]) -> None:
        """One line for each, in columns as long as ids are of a length that allows for it."""
        width = min(max((len(head.id) for head, _, _ in heads), default=0), WIDEST_ID)
        done = [_done(head, cached, executed) for head, cached, executed in heads]
        wide = max(map(len, done), default=0)
        for (head, _, _), text in zip(heads, done, strict=True):
            state = projection_record(head, 0, 0)["state"]
            short = "" if head.state is None else in_short(state, self._summary)
            self._line(
                (f"  {head.id:<{width}}", "bold"),
                (f"  {head.status:<8}", status_color(head.status)),
                (f"{text:<{wide}}  ", ""),
                (_why(head), "red") if head.status == "parked" else (short, "dim"),
            )

    def _totals(self, counts: Counts) -> None:
        what = f"{number(counts.projections, 'projection')}, {number(counts.events, 'event')}: "
        seconds = time.monotonic() - self._began
        self._line(
            (f"{what}{counts.executed:,} executed, {counts.cached:,} cached", "bold"),
            (f", {counts.failed:,} failed" if counts.failed else "", "red"),
            (f", {counts.parked:,} parked" if counts.parked else "", "red"),
            (f", {counts.skipped:,} skipped" if counts.skipped else "", "red"),
            (_dropped(counts), ""),
            ("" if self._style.stable else f" in {seconds:.1f} s", "dim"),
        )

    def _head_line(self, id: str) -> None:
        if id != self._last_id:
            self._line((id, "bold"))
            self._last_id = id

    def _line(self, *spans: Span) -> None:
        if not self._style.json:
            self._screen.line(*spans)

    def _hide_bar(self) -> None:
        if self._bar:
            self._bar.hide()
        if self._status:
            self._status.hide()


def _done(head: Head, cached: int, executed: int) -> str:
    """How much of a workflow there is, and what this run did of it."""
    idle = not executed and head.status == "resolved"
    what = "nothing to do" if idle else f"{executed:,} executed"
    return f"  {number(head.steps, 'step')} ({what}, {cached:,} cached)"


def _why(head: Head) -> str:
    """Where a parked workflow waits, and for what error."""
    error = projection_record(head, 0, 0)["error"]
    return f"at step {error['step']:,}: {shortened(described(error), 100)}"


def described(error: dict[str, str]) -> str:
    """`Kind: message`, or the kind alone."""
    return f"{error['kind']}: {error['message']}" if error["message"] else error["kind"]


def _most_common(unknown: Counter[str]) -> str:
    shown = [f"{name} {count:,}" for name, count in unknown.most_common(SHOWN_TYPES)]
    rest = len(unknown) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _dropped(counts: Counts) -> str:
    """How many duplicates were dropped, if any."""
    return f", {number(counts.duplicates, 'duplicate')} dropped" if counts.duplicates else ""


def status_color(status: str) -> str:
    """The color that tells one status from another at a glance."""
    return {"resolved": "green", "rejected": "red"}.get(status, "yellow")


def kept(steps: int) -> str:
    """`step 0 is`, `steps 0 to 4 are`: the first `steps` of a workflow, at least one."""
    return "step 0 is" if steps == 1 else f"steps 0 to {steps - 1:,} are"


def command_for(store: str, *words: str) -> str:
    """The durproj command that does `words` with `store`."""
    named = os.environ.get("DURPROJ_STORE") or "durproj.db"
    return shlex.join(["durproj", *words, *([] if store == named else ["--store", store])])


def resume_command(store: str) -> str:
    """The command that goes on with an interrupted run over `store`."""
    return command_for(store, "resume")
