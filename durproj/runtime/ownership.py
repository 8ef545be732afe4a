"""Whose a workflow is: what the streams of one fold share, and what it takes over from other runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from durproj.events.envelope import Envelope
from durproj.runtime.commits import Commits
from durproj.runtime.observer import Observer, Stop
from durproj.runtime.recording import step_meta
from durproj.runtime.request import Request
from durproj.runtime.setup import finish
from durproj.stores.base import Head, Run, Store


@dataclass
class Fold:
    """What the streams of one fold share."""

    request: Request
    store: Store
    run: Run
    envelope: Envelope
    observer: Observer
    stop: Stop
    commits: Commits
    meta: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.meta = step_meta("apply_event", self.request.reducer.fingerprint)

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
        keys, theirs = self.request.keys, former.options["keys"]
        covered = keys is None or (theirs is not None and set(theirs) <= set(keys))
        over = (
            not former.complete
            and covered
            and self.request.only is None
            and not self.store.has_workflows(former.no)
        )
        if over or former.cursor:
            former.cursor = None
            if over:
                finish(former)
            self.store.save_run(former)
