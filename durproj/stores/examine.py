"""Looking a SQLite store over: what `doctor` reports."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from durproj.errors import DurprojError
from durproj.stores.connection import connect_reader
from durproj.stores.faults import FAULTS, translate
from durproj.stores.journal import Journal
from durproj.stores.lock import Lock
from durproj.stores.mounts import is_remote
from durproj.stores.sqlite import SqliteStore
from durproj.stores.whole import complaints, damaged_pages

# Two connections that write or checkpoint at the same instant can corrupt a WAL before these versions
# (sqlite.org/wal.html, "WAL-reset bug"); 3.44.6 and 3.50.7 have the fix as well.
_FIXED = (3, 51, 3)
_BACKPORTS = {(3, 44): 6, (3, 50): 7}


@dataclass
class Examination:
    """What was found. `error` is what makes the store unusable, None when it is sound."""

    path: Path
    bytes: int = 0
    journal: str = ""
    schema: int = 0
    holder: str = ""
    held_since: str = ""
    tables: dict[str, int] = field(default_factory=dict)
    workflows: dict[str, int] = field(default_factory=dict)
    unfinished: int = 0
    error: DurprojError | None = None
    remarks: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """As JSON can carry it, without `held_since`, which a clock told."""
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "journal": self.journal,
            "schema": self.schema,
            "held_by": self.holder or None,
            "tables": self.tables,
            "workflows": self.workflows,
            "unfinished": self.unfinished,
            "error": None if self.error is None else self.error.message,
        }


def examine(path: Path) -> Examination:
    """Look the store at `path` over: SQLite's own check, the seals of all heads, the hashes of the
    newest block of every unfinished workflow. Reads only; never raises for what it finds."""
    found = Examination(path, bytes=sum(_size(Path(f"{path}{end}")) for end in ("", "-wal")))
    lock = Lock(path)
    if lock.held():
        found.holder, _, found.held_since = lock.holder().partition(" since ")
        found.holder = found.holder or "a process"
    if is_remote(path):
        found.remarks.append(
            "the store is on a network filesystem: durproj uses a rollback journal there"
        )
    try:
        with closing(connect_reader(path)) as conn:
            _check_sqlite(conn, path, found)
        store = SqliteStore.open_reader(path)
        try:
            _check_workflows(store, found)
        finally:
            store.close()
    except DurprojError as error:
        found.error = error
    except FAULTS as error:
        found.error = translate(error, str(path))
    return found


def sqlite_version() -> str:
    """The version of the SQLite library in use."""
    return sqlite3.sqlite_version


def sqlite_remark() -> str:
    """What is to be known about this SQLite, if anything."""
    version = sqlite3.sqlite_version_info
    fixed = version >= _FIXED or version[2] >= _BACKPORTS.get(version[:2], 1 << 30)
    if fixed:
        return ""
    return (
        f"SQLite {sqlite3.sqlite_version} can corrupt a store that two programs write to at the same time;"
        " durproj never does, so let no other program write to its stores"
    )


def _check_sqlite(conn: sqlite3.Connection, path: Path, found: Examination) -> None:
    import sqlite_utils

    found.journal = conn.execute("PRAGMA journal_mode").fetchone()[0]
    found.schema = conn.execute("PRAGMA user_version").fetchone()[0]
    if said := complaints(conn):
        raise damaged_pages(str(path), said)
    db = sqlite_utils.Database(conn, execute_plugins=False)
    found.tables = {table.name: table.count for table in db.tables}


def _check_workflows(store: SqliteStore, found: Examination) -> None:
    statuses: Counter[str] = Counter()
    for head in store.heads():
        statuses[head.status] += 1
        if head.status != "resolved" and (journal := Journal.open(store, head.id)):
            journal.last_output()
    found.workflows = dict(sorted(statuses.items()))
    found.unfinished = sum(not run.complete for run in store.runs())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
