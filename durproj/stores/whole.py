"""SQLite's own check of a whole file: that its pages are in order, and in every index what is in its table.
It knows nothing of what the values ought to be; seals and hashes do."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from durproj.errors import StoreDamaged
from durproj.stores.migrations import expected_schema

_CACHE_KIB = 64 * 1024


def complaints(conn: sqlite3.Connection, most: int = 1) -> list[str]:
    """The first `most` things that SQLite finds wrong, none when all is well. Raises what SQLite does."""
    # An index is compared with its table in the index's order, which is all over the file.
    conn.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    try:
        found = conn.execute(f"PRAGMA integrity_check({most})").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR:
            raise
        # A user's own table or index beside ours may need a function or an order that only they have.
        found = [row for table in _tables(conn) for row in _check(conn, table)]
    finally:
        conn.execute("PRAGMA cache_size = -2000")
    return [text for (text,) in found if text != "ok"][:most]


def expect_whole(conn: sqlite3.Connection, location: str) -> None:
    """Raise StoreDamaged when SQLite finds anything wrong, before any of it is written to. Raises what SQLite
    does."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        # With a view among what it goes through first, SQLite leaves the list of free pages out
        # (sqlite3BtreeIntegrityCheck takes its root, 0, for the sign of a partial check).
        for (name,) in conn.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'view'"
        ).fetchall():
            conn.execute(f"DROP VIEW {_quoted(name)}")
        found = complaints(conn)
    finally:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
    if found:
        raise damaged_pages(location, found)


def damaged_pages(location: str, found: Sequence[str]) -> StoreDamaged:
    """The error for what SQLite said of the file, whose words may quote anything."""
    return StoreDamaged(
        f"{location}: the store is damaged: {'; '.join(map(ascii, found))}",
        "restore the store from a backup; if only an index is named, rebuild it with REINDEX",
    )


def _tables(conn: sqlite3.Connection) -> list[str]:
    there = {
        name for (name,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    return sorted(name for kind, name in expected_schema() if kind == "table" and name in there)


def _check(conn: sqlite3.Connection, table: str) -> list[tuple[str]]:
    return conn.execute(f"PRAGMA integrity_check({_quoted(table)})").fetchall()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
