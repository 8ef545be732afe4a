"""What the user sees of a run: an Observer that prints."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

from durproj.cli.outcome import most_common, one, table, totals
from durproj.cli.progress import Bar, Status
from durproj.events.event import Event
from durproj.history.standing import projection_record
from durproj.render import Screen, Span, failed_line, step_line
from durproj.runtime.observer import Counts
from durproj.stores.base import Head
from durproj.wording import number

SHOWN = 20
"""At most so many projections are listed one by one to a person, and as many parked ones."""


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
        done = f"{kept(0, step)} checkpointed" if step else "nothing is checkpointed yet"
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
        if self._bar:
            self._bar.hide()
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
        self._report(heads, counts)
        if counts.parked:
            self._note_parked(counts)

    def _report(self, heads: list[tuple[Head, int, int]], counts: Counts) -> None:
        """Print what a fold came to, for people."""
        if self._style.json or not (heads or counts.events):
            return
        if self._follows:
            self._total(counts)
            return
        if self._last_id:
            self._line()
        if len(heads) == 1 and counts.projections == 1:
            self._one(*heads[0])
        else:
            for spans in table(heads, self._summary):
                self._line(*spans)
            if counts.projections > SHOWN and heads:
                command = command_for(self.store, "list")
                self._line((f"  … of {counts.projections:,}; all of them: {command}", "dim"))
        if len(heads) != 1 or counts.projections != 1 or not counts.clean:
            self._total(counts)
        if counts.unknown:
            self._line((f"unknown types: {most_common(counts.unknown)}", "yellow"))

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
                    **({"waiting": counts.waiting} if counts.waiting else {}),
                    **({"unknown": dict(counts.unknown.most_common())} if counts.unknown else {}),
                    **counts.found(),
                    **({"bad_lines": counts.bad_lines} if counts.bad_lines else {}),
                    "exit": exit_code,
                    "timing": {"seconds": round(time.monotonic() - self._began, 3)},
                }
            )

    def _note_found(self, counts: Counts) -> None:
        if counts.reordered:
            self._screen.note(f"out of order in the log: {number(counts.reordered, 'event')}")
        if counts.gaps:
            self._screen.note(f"gaps in the sequence: {counts.gaps.describe()}")

    def _note_parked(self, counts: Counts) -> None:
        """Say, with `-q` as well, that streams wait: what comes to them is not folded."""
        before = counts.parked_before
        if before == counts.parked:
            what = f"{number(before, 'stream is', 'streams are')} parked since before"
        else:
            what = f"{number(counts.parked, 'stream')} parked" + (
                f", {before:,} of them since before" if before else ""
            )
        command = command_for(self.store, "parked", "list")
        self._hide_bar()
        self._screen.warning(f"{what}; which, and why: {command}")

    def _one(self, head: Head, cached: int, executed: int) -> None:
        """The one projection there was, whole."""
        for spans in one(head, cached, executed, self.counts):
            self._line(*spans)
        if head.state is not None:
            self._screen.document(projection_record(head, cached, executed)["state"])

    def _total(self, counts: Counts) -> None:
        seconds = None if self._style.stable else time.monotonic() - self._began
        self._line(*totals(counts, seconds))

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


def kept(first: int, steps: int) -> str:
    """`step 0 is`, `steps 0 to 4 are`: those of the `steps` of a workflow from `first` on, at least one."""
    return f"step {first:,} is" if steps - first == 1 else f"steps {first:,} to {steps - 1:,} are"


def command_for(store: str, *words: str) -> str:
    """The durproj command that does `words` with `store`."""
    named = os.environ.get("DURPROJ_STORE") or "durproj.db"
    return shlex.join(["durproj", *words, *([] if store == named else ["--store", store])])


def resume_command(store: str) -> str:
    """The command that goes on with an interrupted run over `store`."""
    return command_for(store, "resume")
