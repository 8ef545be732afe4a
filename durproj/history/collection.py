"""One pass over the workflows of a store, in which some lose steps, or go."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durproj.errors import StoreDamaged
from durproj.events.cursor import Cursor
from durproj.events.spool import drop as drop_spool
from durproj.runtime.absent import no_key, no_name, no_workflow
from durproj.runtime.request import FORK, REPLACED_BY, spool_path
from durproj.stores.base import Head, Run
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

ALL_STEPS = 1 << 62


@dataclass
class Asked:
    """Which workflows were chosen, and what is to become of them."""

    ids: list[str] | None
    keys: list[str] | None
    name: str | None
    older_than: timedelta | None
    keep_last: int | None
    drop: bool
    now: float = field(default_factory=time.time)

    def chosen(self, head: Head) -> bool:
        """Whether the workflow of `head` is among those that were named, and old enough."""
        named = self.ids is None and self.keys is None
        named = named or head.id in (self.ids or ()) or head.key in (self.keys or ())
        if not named or self.name not in (None, head.name):
            return False
        if self.older_than is None:
            return True
        return head.updated_ms <= (self.now - self.older_than.total_seconds()) * 1000


class Collection:
    """One pass over the workflows of `store`."""

    def __init__(self, store: SqliteStore, asked: Asked, *, dry_run: bool) -> None:
        self._store, self._asked, self._dry_run = store, asked, dry_run
        self._runs = {run.no: run for run in store.runs()}
        # Of each run: workflows that stay, and those that are still to be dropped.
        self._stay: Counter[int] = Counter()
        self._go: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        # Whose they are is not known, so that no run is over while there are any.
        self._unknown: list[StoreDamaged] = []

    def records(self) -> Iterator[dict[str, Any]]:
        """What becomes of each workflow that loses anything, as it is done."""
        self._look_over()
        for error in self._unknown:
            yield self._counted(_damaged(None, error))
        for head in self._store.heads(damaged=[]):
            if not self._asked.chosen(head):
                continue
            try:
                record = self._collected(head)
            except StoreDamaged as error:
                self._stay[head.run] += 1
                record = _damaged(head.id, error)
            if record:
                yield self._counted(record)

    def _collected(self, head: Head) -> dict[str, Any] | None:
        run = self._runs.get(head.run)
        if self._is_dropped(run):
            return self._drop(head, run)
        keep_last = self._asked.keep_last
        return None if keep_last is None else self._trim(head, run, keep_last)

    def _counted(self, record: dict[str, Any]) -> dict[str, Any]:
        self._counts[record["what"]] += 1
        for unit in ("steps", "bytes"):
            self._counts[unit] += record[unit]
        return record

    def summary(self) -> dict[str, Any]:
        """What it came to. `left`: how many of the chosen workflows keep what they have, by the reason:
        they are `unfinished`; their steps tell events apart (`dedupe`); their events came `once`; there
        are too many in one `block`, of which some are to be kept."""
        units = ("trimmed", "dropped", "damaged", "steps", "bytes")
        counts = {what: self._counts[what] for what in units}
        return {"type": "summary", **counts, "left": dict(self._left), "dry_run": self._dry_run}

    @property
    def met_damage(self) -> bool:
        """Whether anything of the store was not what was written."""
        return self._counts["damaged"] > 0

    def _look_over(self) -> None:
        """Count what stays of each run. Raises NotFound for what was named and is not there."""
        ids, keys = set(self._asked.ids or ()), set(self._asked.keys or ())
        names = set() if self._asked.name is None else {self._asked.name}
        for head in self._store.heads(damaged=self._unknown):
            ids.discard(head.id)
            keys.discard(head.key)
            names.discard(head.name)
            goes = self._is_dropped(self._runs.get(head.run))
            goes = goes and self._asked.chosen(head)
            (self._go if goes else self._stay)[head.run] += 1
        if self._unknown:  # what was named may be what is damaged
            return
        if ids:
            raise no_workflow(min(ids), self._store)
        if keys:
            raise no_key(min(keys), self._store)
        if names:
            raise no_name(min(names), self._store)

    def _is_dropped(self, run: Run | None) -> bool:
        if run is None or FORK in run.options:
            return self._asked.drop
        return self._asked.drop or REPLACED_BY in run.options

    def _drop(self, head: Head, run: Run | None) -> dict[str, Any] | None:
        assert head.no is not None
        steps = Journal(self._store, head).steps - head.dropped
        size = self._store.bytes_before(head.no, ALL_STEPS)
        if run and self._stay[head.run] and _comes_once(run):
            self._left["once"] += 1
            return None
        if not self._dry_run:
            self._go[head.run] -= 1
            with self._store.transaction():
                self._store.drop_workflow(head.no)
                if run:
                    self._leave(run)
            if run and self._is_over(head.run):
                for path in run.options.get("inputs", ()):
                    drop_spool(spool_path(self._store.location, head.run, path))
        return _record(head, "dropped", steps, size)

    def _leave(self, run: Run) -> None:
        """One of the workflows of `run` is gone."""
        assert run.no is not None
        if self._is_over(run.no):
            self._store.drop_run(run.no)
        elif run.cursor:
            # It says that the workflow has what comes before.
            run.cursor = None
            self._store.save_run(run)

    def _is_over(self, run: int) -> bool:
        """Whether no workflow of the run is left."""
        return not (self._unknown or self._stay[run] or self._go[run])

    def _trim(self, head: Head, run: Run | None, keep_last: int) -> dict[str, Any] | None:
        if head.status != "resolved" or run is None:
            self._left["unfinished"] += 1
            return None
        if run.options.get("dedupe") == "id":
            self._left["dedupe"] += 1
            return None
        journal = Journal.open(self._store, head.id)
        if journal is None:  # another has dropped it, while this is but a dry run
            return None
        keep = max(keep_last, _needed(journal, run))
        at, head = journal.kept_by(keep), journal.head
        steps = at - head.dropped
        if not steps:
            if journal.steps - at > keep:
                self._left["block"] += 1
            return None
        assert head.no is not None
        size = self._store.bytes_before(head.no, at)
        if not self._dry_run:
            journal.trim(keep)
        return _record(head, "trimmed", steps, size) | {"kept_from": at}


def _needed(journal: Journal, run: Run) -> int:
    """How many of the newest steps going on with `run` takes. A program that has ended needs none. The next
    event of a stream may be compared with the last one before it; and where events are read from the
    run's cursor on, the steps made since are compared one by one."""
    head = journal.head
    if run.options.get("kind") != "fold":
        return 0
    behind = run.cursor is None or Cursor.from_dict(run.cursor).bytes != head.prefix_bytes
    if behind or not head.prefix_steps:
        return 1
    return journal.steps - head.prefix_steps + 1


def _comes_once(run: Run) -> bool:
    """Whether the events of `run` came in a way in which they will not come again."""
    return bool(run.options.get("continues") or (run.cursor or {}).get("origin"))


def _damaged(id: str | None, error: StoreDamaged) -> dict[str, Any]:
    """The record of a workflow that is not what was written; its id is not known where its head is not."""
    gone = {"steps": 0, "bytes": 0}
    return {"type": "gc", "id": id, "what": "damaged", **gone, "error": error.message}


def _record(head: Head, what: str, steps: int, size: int) -> dict[str, Any]:
    return {"type": "gc", "id": head.id, "what": what, "steps": steps, "bytes": size}
