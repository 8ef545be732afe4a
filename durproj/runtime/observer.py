"""What a run tells while it goes on, and how it is told to stop. The engine itself never prints."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from durproj.errors import Interrupted
from durproj.events.event import Event
from durproj.stores.base import Head

if TYPE_CHECKING:
    from durproj.events.sequence.gaps import Gaps


@dataclass
class Counts:
    """What a fold came to: workflows, how many of them wait, parked, and their events.

    executed: as far as they are committed, skipped ones included. parked_before: those of the parked ones
    that were so before this fold; waiting: events behind those at which they wait, as far as the log was
    read. skipped, and unknown: as far as they were met, committed or not; unknown: events of types that the
    reducer does not know, by type. None where nobody asked for it: duplicates: events that were dropped as
    such; reordered: events that came later in the log than they were taken; gaps: what is irregular in their
    sequences; bad_lines: lines that are no events, and were left out.
    """

    projections: int = 0
    cached: int = 0
    executed: int = 0
    failed: int = 0
    parked: int = 0
    parked_before: int = 0
    waiting: int = 0
    skipped: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    duplicates: int | None = None
    reordered: int | None = None
    gaps: Gaps | None = None
    bad_lines: int | None = None

    @property
    def events(self) -> int:
        """All events that were dealt with; of a parked stream, also the one that it waits at."""
        return self.cached + self.executed + self.failed + self.parked

    @property
    def clean(self) -> bool:
        """Whether no event was skipped, no bad line left out, and no stream is parked."""
        return not (self.parked or self.skipped or self.bad_lines)

    def go_on(self, more: Counts) -> None:
        """Take in a further fold of the same input: what that has found cached may have been executed
        by those before it."""
        executed = self.executed + more.executed
        self.projections, self.parked = more.projections, more.parked
        self.parked_before, self.waiting = more.parked_before, more.waiting
        self.cached, self.executed = more.cached + more.executed - executed, executed
        self.failed += more.failed
        self.skipped += more.skipped
        self.bad_lines = (self.bad_lines or 0) + (more.bad_lines or 0)
        self.unknown += more.unknown
        # These are kept along with the cursor, and so are of all folds already.
        self.duplicates, self.reordered, self.gaps = more.duplicates, more.reordered, more.gaps

    def found(self) -> dict[str, Any]:
        """What was found of duplicates, order and gaps, as far as anybody asked, as JSON can carry it."""
        gaps = None if self.gaps is None else self.gaps.to_dict()
        every = {"duplicates": self.duplicates, "reordered": self.reordered, "gaps": gaps}
        return {name: value for name, value in every.items() if value is not None}

    def __iadd__(self, other: Counts) -> Self:
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if theirs is not None:
                setattr(self, name, theirs if mine is None else mine + theirs)
        return self

    def __isub__(self, other: Counts) -> Self:
        """Less the workflows and events of `other`."""
        for name in ("projections", "cached", "executed", "failed", "parked", "skipped"):
            setattr(self, name, getattr(self, name) - getattr(other, name))
        return self


class Observer(Protocol):
    """Told of a run as it happens. `wants_steps`: also of every step, cached ones included;
    `wants_all`: also of workflows in which there was nothing to do."""

    wants_steps: bool
    wants_all: bool

    def note(self, text: str) -> None:
        """Something the user should know, such as how the log was read."""

    def started(
        self, record: dict[str, Any], summary: Callable[[Any], str] | None, *, small: bool
    ) -> None:
        """A fold begins; `record` is its `run` line, `summary` its reducer's way to put a state in one
        line; `small`: the log is short enough to show every event."""

    def step(
        self,
        id: str,
        step: int,
        event: Event,
        source: Literal["cached", "executed"],
        attempts: int,
        state: Any,
    ) -> None:
        """A step is done: it is committed."""

    def skipped(
        self,
        id: str,
        step: int,
        event: Event,
        source: Literal["cached", "executed"],
        attempts: int,
        state: Any,
    ) -> None:
        """The same of a step that is the skip of its event; `state` is that before it."""

    def failed(
        self,
        id: str,
        step: int,
        event: Event | None,
        function: str,
        error: str,
        retry_s: float | None,
    ) -> None:
        """An attempt failed; `retry_s`: seconds until the next one, None when there is none."""

    def crashed(self, id: str, step: int, event: Event) -> None:
        """The process is about to die, as planned. Everything printed must leave now."""

    def expect(self, events: int) -> None:
        """There are `events` to deal with, now that the log has been indexed."""

    def progress(self, events: int) -> None:
        """`events` more have been dealt with."""

    def projection(self, head: Head, cached: int, executed: int) -> None:
        """A workflow has come as far as it comes in this run."""

    def following(self, counts: Counts, behind: int) -> None:
        """An input is followed: `counts` so far, and `behind` bytes of it are there to be read."""

    def counted(self, counts: Counts) -> None:
        """A fold is over, for better or worse."""


class Silent:
    """An observer that does nothing; base for those that want to hear of some things only."""

    wants_steps = False
    wants_all = False

    def note(self, text: str) -> None: ...
    def started(
        self, record: dict[str, Any], summary: Callable[[Any], str] | None, *, small: bool
    ) -> None: ...
    def step(
        self,
        id: str,
        step: int,
        event: Event,
        source: Literal["cached", "executed"],
        attempts: int,
        state: Any,
    ) -> None: ...
    def skipped(
        self,
        id: str,
        step: int,
        event: Event,
        source: Literal["cached", "executed"],
        attempts: int,
        state: Any,
    ) -> None: ...
    def failed(
        self,
        id: str,
        step: int,
        event: Event | None,
        function: str,
        error: str,
        retry_s: float | None,
    ) -> None: ...
    def crashed(self, id: str, step: int, event: Event) -> None: ...
    def expect(self, events: int) -> None: ...
    def progress(self, events: int) -> None: ...
    def projection(self, head: Head, cached: int, executed: int) -> None: ...
    def following(self, counts: Counts, behind: int) -> None: ...
    def counted(self, counts: Counts) -> None: ...


class Stop:
    """A request to stop: set `signum` (from a signal handler) and the step in hand is the last.

    interruptible: nothing is in hand but a wait for input, which may never end; the signal handler is
    to raise Interrupted itself then.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.interruptible = False

    def check(self) -> None:
        """Raise Interrupted if stopping was asked for."""
        if self.signum:
            raise Interrupted(self.signum)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a call that blocks until input comes. Raises Interrupted if stopping was asked for."""
        # The flag before the check: a signal between the two must not go unheard.
        self.interruptible = True
        try:
            self.check()
            yield
        finally:
            self.interruptible = False

    def sleep(self, seconds: float) -> None:
        """Sleep so long, whatever the wall clock does meanwhile, or until asked to stop."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(rest, 0.05))
