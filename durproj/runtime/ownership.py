"""Whose a workflow is: what the streams of one fold share, and what it takes over from other runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from durproj.errors import TooManyErrors
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.runtime.commits import Commits
from durproj.runtime.known import applied, count_unknown
from durproj.runtime.observer import Observer, Stop
from durproj.runtime.recording import step_meta
from durproj.runtime.request import Request
from durproj.runtime.setup import finish
from durproj.stores.base import Head, Run, Store
from durproj.wording import number


@dataclass
class Fold:
    """What the streams of one fold share.

    reduce: what takes a state over an event; types: those that it knows, where the others are to be
    counted; unknown: these, by type; errors: how many events were parked or skipped.
    """

    request: Request
    store: Store
    run: Run
    envelope: Envelope
    observer: Observer
    stop: Stop
    meta: bytes = field(init=False)
    reduce: Callable[[Any, Event], Any] = field(init=False)
    types: frozenset[str] | None = field(init=False)
    unknown: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    commits: Commits = field(init=False)

    def __post_init__(self) -> None:
        self.commits = Commits(self.store, self.request.durability)
        strict = self.request.strict_types
        self.reduce = applied(self.request.reducer, strict=strict)
        self.types = None if strict else self.request.reducer.types
        self.meta = step_meta("apply_event", self.request.reducer.fingerprint)

    def skip_meta(self, kind: str, message: str) -> bytes:
        """The meta of a step that is the skip of its event, for this error."""
        by, skipped = self.request.reducer.fingerprint, {"kind": kind, "message": message}
        return step_meta("apply_event", by, skipped=skipped)

    def count_unknown(self, events: Sequence[Event]) -> None:
        """Count those of `events`, just executed, that the reducer does not know."""
        if self.types is not None:
            count_unknown(self.unknown, self.request.reducer, events)

    def count_error(self) -> None:
        """Another event was parked or skipped. Raises TooManyErrors when that is one too many."""
        self.errors += 1
        most = self.request.max_errors
        if most is not None and self.errors > most:
            raise TooManyErrors(
                f"{number(self.errors, 'event')} failed for good, and --max-errors is {most:,}",
                "what was finished is kept",
            )

    def owns(self, head: Head, prefix: tuple[int, int]) -> bool:
        """Whether `head` says already what `claim` would write down."""
        return (head.run, head.prefix_bytes, head.prefix_steps) == (self.run.no, *prefix)

    def claim(self, head: Head, prefix: tuple[int, int]) -> None:
        """Write down that the workflow is this run's, and `prefix`: how many of its steps come from
        how many bytes of the input. The cursor of the run that it leaves counted on it, and is void."""
        if head.no is None or self.owns(head, prefix):
            return
        assert self.run.no is not None
        with self.store.transaction():
            former = self.store.run(head.run) if head.run != self.run.no else None
            head.run, head.prefix_bytes, head.prefix_steps = self.run.no, *prefix
            self.store.save_head(head)
            if former:
                self._took_from(former)

    def drop(self, head: Head) -> None:
        """Drop a workflow of another run, to fold it anew."""
        assert head.no is not None
        with self.store.transaction():
            former = self.store.run(head.run)
            self.store.drop_workflow(head.no)
            if former:
                self._took_from(former)

    def _took_from(self, former: Run) -> None:
        """A workflow is `former`'s no more. When it was the last, and all that `former` stands for
        is in this fold, nothing of `former` is left to do."""
        assert former.no is not None
        keys, theirs = self.request.keys, former.options.get("keys")
        covered = keys is None or (theirs is not None and set(theirs) <= set(keys))
        over = (
            not former.complete
            and covered
            and self.request.only is None
            and not self.store.has_workflows(former.no)
        )
        if over or former.cursor:
            # Of a pipe it says what of the spool is folded, whoever's that is.
            if not former.options.get("continues"):
                former.cursor = None
            if over:
                finish(former)
            self.store.save_run(former)
