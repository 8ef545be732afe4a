"""The schema's versions: `schema.sql` is the current one, MIGRATIONS lead to it from any earlier one.

The version is SQLite's `user_version`. A new store gets the current schema at once; the suite proves
that migrating an old store ends in the same schema.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

APPLICATION_ID = 0x64757270
"""`durp`, in SQLite's header, tells a store from other databases."""

SCHEMA_VERSION = 4

OLDEST_VERSION = 2
"""Version 1 was never released: its hashes were others."""

_PAST = """
CREATE TABLE past (
  workflow INTEGER PRIMARY KEY REFERENCES workflow (no),
  id TEXT NOT NULL,
  steps INTEGER NOT NULL CHECK (steps >= 0),
  hash BLOB NOT NULL,
  inputs BLOB NOT NULL,
  seal BLOB NOT NULL
) STRICT;
"""

MIGRATIONS: Mapping[int, str] = {
    2: _PAST,
    # Made anew, to stand after the view: see whole.py.
    3: f"""
ALTER TABLE past RENAME TO former;
{_PAST}INSERT INTO past SELECT * FROM former;
DROP TABLE former;
CREATE INDEX attempt_twin ON attempt (workflow, step, attempt);
CREATE INDEX crash_twin ON crash (workflow, step);
""",
}
"""By the version they start from: the SQL that leads to the next one."""

LACKING: Mapping[int, frozenset[str]] = {
    2: frozenset({"past", "attempt_twin", "crash_twin"}),
    3: frozenset({"attempt_twin", "crash_twin"}),
}
"""By the earlier versions that are read as they are: the tables and indexes that they have not."""

STAND_INS: Mapping[str, str] = {
    "past": "CREATE TEMP TABLE past (workflow INTEGER PRIMARY KEY, id, steps, hash, inputs, seal)"
}
"""By what a store has not: an empty table that a reader has in its place."""


def apply(conn: sqlite3.Connection) -> None:
    """Bring the store behind `conn` to SCHEMA_VERSION, in one transaction. The caller holds the
    store's lock, so nobody else does the same."""
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    conn.execute("BEGIN IMMEDIATE")
    try:
        if version == 0:
            conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            _execute_all(conn, _schema())
        else:
            for start in range(version, SCHEMA_VERSION):
                _execute_all(conn, MIGRATIONS[start])
        conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        conn.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors have rolled it back already
            conn.execute("ROLLBACK")
        raise


@cache
def expected_schema() -> dict[tuple[str, str], str]:
    """(type, name) → SQL of every table and view of a store, as SQLite itself writes it down."""
    conn = sqlite3.connect(":memory:")
    try:
        conn.executescript(_schema())
        rows = conn.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {(kind, name): sql for kind, name, sql in rows}
    finally:
        conn.close()


def acts(kind: str, sql: str | None) -> bool:
    """Whether what is in a schema does something when its table is read or written: a trigger, or an index of
    more than columns."""
    columns, _, more = str(sql).partition("(")[2].partition(")")
    plain = not more.strip() and all(map(_is_column, columns.split(",")))
    return kind == "trigger" or (kind == "index" and sql is not None and not plain)


def _is_column(text: str) -> bool:
    """Whether that names a column, and maybe an order."""
    name, *order = text.split() or [""]
    return name.strip('"`[]').isidentifier() and " ".join(order).upper() in ("", "ASC", "DESC")


def _schema() -> str:
    with open(os.path.join(os.path.dirname(__file__), "schema.sql"), encoding="utf-8") as script:
        return script.read()


def _execute_all(conn: sqlite3.Connection, script: str) -> None:
    # executescript() would commit the transaction this runs in.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            conn.execute(statement)
            statement = ""
    conn.execute(statement)
