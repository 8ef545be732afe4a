"""Dropping what is no longer wanted: the oldest steps of workflows that have ended, and whole workflows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from durproj.errors import StoreError, UsageError
from durproj.history.changing import changing
from durproj.history.collection import Asked, Collection
from durproj.ids import split_id
from durproj.runtime.given import given_names
from durproj.runtime.observer import Stop
from durproj.stores.sqlite import SqliteStore

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Progress = Callable[[dict[str, Any]], None]

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
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Drop what is no longer wanted, and tell of it: one record per workflow that loses anything or that
    is damaged, which stays as it is, then a summary. Each workflow is done as a whole or not at all.

    ids, keys, name: of these workflows only; older_than: of those that were last written so long ago, such
    as `30d` or a timedelta, by a run or a user. Workflows that `promote` has replaced are dropped wholly.
    Nothing else is, unless one of these is given: keep_last: of workflows that are resolved the newest so
    many steps stay (0: as few as can be; the state always stays; steps go in blocks of up to 256, so that
    a few more may stay); drop: the chosen workflows are dropped wholly, whatever their status.

    vacuum: give back what is free in the file (None: when that is a tenth of it; never of a store that
    is damaged, where it could hide what is missing); dry_run: only tell. wait_s: how long to wait for
    another writer; progress: told each record as soon as it is done; stop: ends it between two
    workflows.

    Raises UsageError, NotFound (no store, no such workflow), StoreBusy, StoreError (StoreDamaged: of a
    store whose very pages are damaged nothing is dropped), Interrupted.
    """
    asked = Asked(
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
    records = []
    for record in _collect(
        asked, Path(store), wait_s, stop or Stop(), vacuum=vacuum, dry_run=dry_run
    ):
        records.append(record)
        if progress:
            progress(record)
    return records


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
    asked: Asked,
    path: Path,
    wait_s: float,
    stop: Stop,
    *,
    vacuum: bool | None,
    dry_run: bool,
) -> Iterator[dict[str, Any]]:
    before = _size(path)
    store = closing(SqliteStore.open_reader(path)) if dry_run else changing(path, wait_s)
    with store as opened:
        had = opened.free_bytes()
        collection = Collection(opened, asked, dry_run=dry_run)
        for record in collection.records():
            yield record
            stop.check()
        if not dry_run:
            free = opened.free_bytes()
            freed = max(0, free - had)
            wanted = vacuum or (vacuum is None and free * WORTHWHILE >= before)
            # It makes the indexes anew, from which alone it may be known that rows are missing.
            if wanted and not collection.met_damage:
                _compact(opened)
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
