"""Dropping what is no longer wanted: the oldest steps of workflows that have ended, and whole workflows."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from durproj.errors import NotFound, StoreError, UsageError
from durproj.events.cursor import Cursor
from durproj.events.spool import drop as drop_spool
from durproj.ids import split_id
from durproj.runtime.absent import no_key, no_workflow
from durproj.runtime.given import given_names
from durproj.runtime.observer import Stop
from durproj.runtime.request import spool_path
from durproj.stores.base import Head, Run
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

ALL_STEPS = 1 << 62

WORTHWHILE = 10
"""The file is made smaller by itself when at least one part in so many of it is free."""


def gc(
    ids: Iterable[str] | None = None,
    *,
    keys: Iterable[str] | None = None,
    name: str | None = None,
    older_than: str | timedelta | None = None,
    keep_last: int | None = None,
    drop: bool = False,
    vacuum: bool | None = None,
    dry_run: bool = False,
    store: str | Path = "durproj.db",
    wait_s: float = 0.0,
    stop: Stop | None = None,
) -> Iterator[dict[str, Any]]:
    """Drop what is no longer wanted, and tell of it: one record per workflow that loses anything, as it
    is done, then a summary. Nothing is done before the first record is asked for, and each workflow is
    done as a whole or not at all.

    ids, keys, name: of these workflows only; older_than: of those that were last written so long ago, such
    as `30d` or a timedelta. Workflows that `promote` has replaced are dropped wholly. Nothing else is,
    unless one of these is given: keep_last: of workflows that are resolved the newest so many steps stay
    (0: as few as can be; the state always stays; steps go in blocks of up to 256, so that a few more may
    stay); drop: the chosen workflows are dropped wholly, whatever their status.

    vacuum: give back what is free in the file (None: when that is a tenth of it); dry_run: only tell.
    wait_s: how long to wait for another writer; stop: ends it between two workflows.

    Raises UsageError, NotFound (no store, no such workflow), StoreBusy, StoreError, Interrupted;
    StoreDamaged for dropped steps that are not what was written.
    """
    asked = _Asked(
        given_names("ids", ids), given_names("keys", keys), name, _age(older_than), keep_last, drop
    )
    for id in asked.ids or ():
        split_id(id)
    if keep_last is not None and (drop or keep_last < 0):
        raise UsageError(
            f"keep_last is {keep_last}" + (", and all is to be dropped" if drop else ""),
            "give one of the two; as few steps as can be: 0",
        )
    if drop and not (asked.ids or asked.keys or name):
        raise UsageError(
            "it is not said which workflows are to be dropped", "name them by id, key or name"
        )
    return _collect(asked, Path(store), wait_s, stop or Stop(), vacuum=vacuum, dry_run=dry_run)


def _age(text: str | timedelta | None) -> timedelta | None:
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if not found:
        units = ", ".join(f"{unit} ({name})" for unit, name in UNITS.items())
        raise UsageError(
            f"{text!r} is no span of time", f"write a number and a unit, such as 30d: {units}"
        )
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _collect(
    asked: _Asked,
    path: Path,
    wait_s: float,
    stop: Stop,
    *,
    vacuum: bool | None,
    dry_run: bool,
) -> Iterator[dict[str, Any]]:
    if not path.exists():
        raise NotFound(f"{path}: no such store", "durproj run makes one")
    before = _size(path)
    opened = (
        SqliteStore.open_reader(path) if dry_run else SqliteStore.open_writer(path, wait_s=wait_s)
    )
    try:
        had = opened.free_bytes()
        collection = _Collection(opened, asked, dry_run=dry_run)
        for record in collection.records():
            yield record
            stop.check()
        if not dry_run:
            free = opened.free_bytes()
            freed = max(0, free - had)
            if vacuum or (vacuum is None and free * WORTHWHILE >= before):
                _compact(opened)
    finally:
        opened.close()
    summary = collection.summary()
    if not dry_run:
        summary["file"] = {"freed": freed, "before": before, "after": _size(path)}
    yield summary


def _compact(store: SqliteStore) -> None:
    try:
        store.compact()
    except StoreError as error:
        raise StoreError(
            f"what is named above is dropped, but the file is as large as before: {error.message}",
            "what is free in it is used again by the next runs;\n"
            "to make it smaller, make room for a copy of it: durproj gc --vacuum",
        ) from None


def _size(path: Path) -> int:
    return sum(os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name))


@dataclass
class _Asked:
    """Which workflows were chosen, and what is to become of them."""

    ids: list[str] | None
    keys: list[str] | None
    name: str | None
    older_than: timedelta | None
    keep_last: int | None
    drop: bool
    now: float = field(default_factory=time.time)

    def chosen(self, store: SqliteStore, head: Head) -> bool:
        """Whether the workflow of `head` is among those that were named, and old enough."""
        named = self.ids is None and self.keys is None
        named = named or head.id in (self.ids or ()) or head.key in (self.keys or ())
        if not named or self.name not in (None, head.name):
            return False
        if self.older_than is None:
            return True
        assert head.no is not None
        return store.updated_ms(head.no) <= (self.now - self.older_than.total_seconds()) * 1000


class _Collection:
    """One pass over the workflows of `store`."""

    def __init__(self, store: SqliteStore, asked: _Asked, *, dry_run: bool) -> None:
        self._store, self._asked, self._dry_run = store, asked, dry_run
        self._runs = {run.no: run for run in store.runs()}
        # Of each run: workflows that stay, and those that are still to be dropped.
        self._stay: Counter[int] = Counter()
        self._go: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._left: Counter[str] = Counter()

    def records(self) -> Iterator[dict[str, Any]]:
        """What becomes of each workflow that loses anything, as it is done."""
        self._look_over()
        for head in self._store.heads():
            if not self._asked.chosen(self._store, head):
                continue
            run = self._runs.get(head.run)
            record = (
                self._drop(head, run)
                if self._is_dropped(run)
                else None
                if self._asked.keep_last is None
                else self._trim(head, run, self._asked.keep_last)
            )
            if record:
                self._counts[record["what"]] += 1
                self._counts["steps"] += record["steps"]
                self._counts["bytes"] += record["bytes"]
                yield record

    def summary(self) -> dict[str, Any]:
        """What it came to. `left`: how many of the chosen workflows keep what they have, by the reason: they are `unfinished`;
        their steps tell events apart (`dedupe`); their events came `once`."""
        counts = {what: self._counts[what] for what in ("trimmed", "dropped", "steps", "bytes")}
        return {"type": "summary", **counts, "left": dict(self._left), "dry_run": self._dry_run}

    def _look_over(self) -> None:
        """Count what stays of each run. Raises NotFound for what was named and is not there."""
        ids, keys = set(self._asked.ids or ()), set(self._asked.keys or ())
        for head in self._store.heads():
            ids.discard(head.id)
            keys.discard(head.key)
            goes = self._is_dropped(self._runs.get(head.run))
            goes = goes and self._asked.chosen(self._store, head)
            (self._go if goes else self._stay)[head.run] += 1
        if ids:
            raise no_workflow(min(ids), self._store)
        if keys:
            raise no_key(min(keys), self._store)

    def _is_dropped(self, run: Run | None) -> bool:
        return self._asked.drop or (run is not None and "replaced_by" in run.options)

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
        return not self._stay[run] and not self._go[run]

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
    if run.options["kind"] != "fold":
        return 0
    behind = run.cursor is None or Cursor.from_dict(run.cursor).bytes != head.prefix_bytes
    if behind or not head.prefix_steps:
        return 1
    return journal.steps - head.prefix_steps + 1


def _comes_once(run: Run) -> bool:
    """Whether the events of `run` came in a way in which they will not come again."""
    return bool(run.options.get("continues") or (run.cursor or {}).get("origin"))


def _record(head: Head, what: str, steps: int, size: int) -> dict[str, Any]:
    return {"type": "gc", "id": head.id, "what": what, "steps": steps, "bytes": size}
