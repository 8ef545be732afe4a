"""Rows as a table of a SQLite database, beside whatever else the database holds.

Columns are INTEGER (0 and 1 for false and true), REAL and TEXT; lists and what is of several kinds is JSON
in TEXT. SQL does not tell `Open` from `open`: the second of two such columns is called `open_2`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from durproj import codec
from durproj.errors import DurprojError, OutputFailed, StoreBusy, StoreDenied, UsageError
from durproj.exports.table import Column, Row
from durproj.stores.copying import check_beside

MOST_COLUMNS = 2_000
"""SQLite's own limit, unless it is built otherwise."""

WAIT_S = 30.0
"""How long to wait for another process that writes to the database, in seconds."""

_TYPES = {"integer": int, "boolean": int, "real": float}
_KEYS = ("_id", "_step")


def check(path: str, table: str, *, force: bool) -> None:
    """Raise UsageError when `table` cannot be made in the file at `path`, be it that the file would be a new
    one beside the journal of another; what there is may be replaced with `force`."""
    if table.lower().startswith("sqlite_"):
        raise UsageError(f"{table} is reserved for SQLite's own use", "name another with --table")
    if os.path.exists(path):
        with _transaction(path) as conn:
            _check_table(conn, path, table, force=force)
    else:
        check_beside(path)


def write(
    path: str, table: str, columns: Sequence[Column], rows: Iterable[Row], *, force: bool
) -> None:
    """Make `table` with `rows`, in one transaction. Raises UsageError, StoreBusy, OutputFailed."""
    from sqlite_utils import Database
    from sqlite_utils.db import quote_identifier

    names = distinct([column.name for column in columns])
    types = {
        name: _TYPES.get(column.kind, str) for name, column in zip(names, columns, strict=True)
    }
    with _transaction(path) as conn:
        _check_table(conn, path, table, force=force)
        conn.execute(f"DROP TABLE IF EXISTS {quote_identifier(table)}")
        database = Database(conn, recursive_triggers=False, execute_plugins=False)
        database.table(table).create(types, pk=tuple(key for key in _KEYS if key in types))
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {quote_identifier(table)} VALUES ({marks})"
        conn.executemany(sql, map(_values_of(columns), rows))


def distinct(names: Sequence[str]) -> list[str]:
    """`names` as SQL tells them apart."""
    taken = {name.lower() for name in names}
    met: set[str] = set()
    found = []
    for name in names:
        given, number = name, 1
        while name.lower() in met or (number > 1 and name.lower() in taken):
            number += 1
            name = f"{given}_{number}"  # noqa: PLW2901
        met.add(name.lower())
        found.append(name)
    return found


@contextmanager
def _transaction(path: str) -> Iterator[sqlite3.Connection]:
    """A connection to the file at `path` in a transaction, which an error undoes, or being killed."""
    if os.path.exists(path) and os.path.getsize(path) == 1:
        raise _no_database(path)  # SQLite takes such a file, and no other, for an empty one
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=WAIT_S)) as conn:
            conn.execute("PRAGMA trusted_schema = 0")
            conn.execute("BEGIN IMMEDIATE")
            yield conn
            conn.execute("COMMIT")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _translated(error, path) from None


def _check_table(conn: sqlite3.Connection, path: str, table: str, *, force: bool) -> None:
    sql = "SELECT type FROM sqlite_schema WHERE name = ? COLLATE NOCASE"
    kinds = {kind for (kind,) in conn.execute(sql, (table,))}
    if kinds - {"table"}:
        raise UsageError(f"{path}: {table} is a {kinds.pop()} there", "name another with --table")
    if kinds and not force:
        raise UsageError(
            f"{path}: there is a table {table} already",
            "replace it with --force, or name another with --table",
        )


def _values_of(columns: Sequence[Column]) -> Callable[[Row], list[Any]]:
    plain = [(column.name, column.kind in ("json", "list")) for column in columns]

    def values(row: Row) -> list[Any]:
        found = []
        for name, as_json in plain:
            value = row.get(name)
            found.append(codec.to_json(value) if as_json and value is not None else value)
        return found

    return values


def _translated(error: sqlite3.Error | UnicodeDecodeError, path: str) -> DurprojError:
    code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"{path}: {error}", "another process writes to the database; try again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StoreDenied(f"{path}: {error}", "the database and its folder must be writable")
    if code == sqlite3.SQLITE_NOTADB:
        return _no_database(path)
    if code == sqlite3.SQLITE_FULL:
        return OutputFailed(f"{path}: the disk is full", "the database is as it was")
    return OutputFailed(f"{path}: {error}", "the database is as it was")


def _no_database(path: str) -> UsageError:
    return UsageError(f"{path}: not a SQLite database", "name another file with --to")
