"""Copying a SQLite store while it may be written to.

A store that is in WAL is copied as of one instant: its writer goes on meanwhile. Without WAL (nobody is
writing just now, or the filesystem is shared) a reader stands in a writer's way, so that the copy is made
a few pages at a time, and begun anew when something was written in between.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from durproj.errors import NotFound, StoreBusy, StoreError, UsageError
from durproj.events.inputs import named
from durproj.stores.connection import connect_reader
from durproj.stores.faults import FAULTS, not_copied
from durproj.stores.lock import Lock
from durproj.stores.temporary import replacing

PAGES = 2_000
"""So many pages are copied while a writer waits."""

TRIES = 10
"""So often a copy that others have made worthless is begun anew."""


class _Written(Exception):
    """Something was written to the store while it was copied."""


def copy_store(
    source: Path, dest: Path, check: Callable[[Path], None], *, force: bool = False
) -> None:
    """Make `dest` a copy of the store at `source`, as of one instant: one file, complete before it takes
    its name, and on the disk. `check` is given the copy before that; what it raises ends it. `force`: it
    may take the place of another file, which is to be none of the store's own.

    Raises NotFound, UsageError (a `dest` that is there), StoreBusy, StoreDamaged, StoreDenied, StoreError.
    """
    _check_dest(dest, force=force)
    with closing(connect_reader(source)) as conn:
        with named(str(source)):
            # Of what is read-only, too, a copy can go on.
            mode = source.stat().st_mode & 0o777 | 0o600
        free = partial(_check_dest, dest, force=force)
        with _locked(dest), replacing(dest, free, StoreError, mode) as new:
            _copy(conn, source, Path(new))
            check(Path(new))


def _check_dest(dest: Path, *, force: bool) -> None:
    if os.path.isdir(dest):
        raise UsageError(f"{dest} is a folder", "name a file in it, such as backup.db")
    if not os.path.isdir(dest.parent):
        raise NotFound(f"{dest.parent}: no such folder", "make it first, or name another file")
    if not force and os.path.lexists(dest):
        raise UsageError(f"{dest} is there already", "name another file, or replace it: --force")
    check_beside(dest)


def check_beside(path: str | Path) -> None:
    """Raise UsageError when a journal with content is there that SQLite would take for that of a new file
    at `path`."""
    for end in ("-wal", "-journal"):
        # An empty one is what a database leaves that empties its journals (journal_mode = TRUNCATE).
        with suppress(OSError):
            if os.lstat(f"{path}{end}").st_size:
                raise UsageError(
                    f"{path}{end} exists: it holds changes not yet merged into a database of that name",
                    "SQLite would merge them into the new one; name another file, or remove it if that "
                    "database is gone",
                )


@contextmanager
def _locked(dest: Path) -> Iterator[None]:
    """Nobody else makes a copy there, or writes to a store that is there."""
    lock = Lock(dest)
    try:
        lock.acquire()
    except StoreBusy:
        raise StoreBusy(
            f"{dest} is in use by {lock.holder() or 'another process'}", "name another file"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _copy(conn: sqlite3.Connection, source: Path, new: Path) -> None:
    """Copy the store behind `conn`, which is at `source`, to the empty file `new`."""
    for _ in range(TRIES):
        try:
            with closing(sqlite3.connect(new, isolation_level=None)) as target:
                target.execute("PRAGMA synchronous = OFF")
                _copy_once(conn, target)
                # In a WAL the copy would be more files than one.
                target.execute("PRAGMA journal_mode = DELETE")
        except _Written:
            continue
        except FAULTS as error:
            raise not_copied(error, str(source), str(new.parent)) from None
        return
    raise StoreBusy(
        f"{source} kept changing: copying was started {TRIES} times",
        "on a shared filesystem a store can be copied only while nobody writes to it: pause the run",
    )


def _copy_once(conn: sqlite3.Connection, target: sqlite3.Connection) -> None:
    conn.execute(
        "SELECT count(*) FROM sqlite_schema"
    ).fetchone()  # the mode is that of the last read
    if conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        # Within a transaction it is one state that is copied, whatever is committed meanwhile.
        conn.execute("BEGIN")
        try:
            conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            conn.backup(target, pages=-1)
        finally:
            conn.execute("ROLLBACK")
        return
    rest: int | None = None

    def progress(_status: int, remaining: int, _total: int) -> None:
        nonlocal rest
        if rest is not None and remaining > rest:
            raise _Written
        rest = remaining

    conn.backup(target, pages=PAGES, progress=progress, sleep=0.01)
