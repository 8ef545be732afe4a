"""SQL over one connection: transactions, statements, and their errors as durproj's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, NoReturn

from durproj.errors import StoreDamaged, StoreError
from durproj.stores.connection import FAULTS, Fault, translate
from durproj.stores.failed import Failed, is_io_error
from durproj.stores.migrations import LACKING
from durproj.stores.packing import damaged

_NOT_INDEXED = (
    "SELECT count(*) FROM workflow AS there NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM workflow AS found"
    " INDEXED BY sqlite_autoindex_workflow_1 WHERE found.id = there.id AND found.no = there.no)"
)


def expect_indexed(conn: sqlite3.Connection | Failed, location: str) -> None:
    """Raise StoreDamaged when ids do not lead to all workflows: those that are not found would be begun
    anew. SQLite's quick check does not compare a table with its index. Raises what SQLite does."""
    (lost,) = conn.execute(_NOT_INDEXED).fetchone()
    if lost:
        raise StoreDamaged(
            f"{location}: the store is damaged: the index of ids leads past {lost:,} of the workflows",
            "restore the store from a backup, or have SQLite make the index anew (REINDEX)",
        )


_TWINS = {"attempt": "attempt_twin", "crash": "crash_twin"}
"""Tables, and the indexes that have their keys again. A damaged page can lose rows of either without a
word, but not the same ones of both."""


class Statements:
    """Statements on `conn`. `location`: what errors call the database; `alone`: nobody else writes to it.

    Transactions may be nested: the outermost one counts.
    """

    def __init__(self, conn: sqlite3.Connection, location: str, *, alone: bool) -> None:
        self.location = location
        self._conn: sqlite3.Connection | Failed = conn
        self._alone = alone
        self._open = False
        self._doomed = False
        self._numbers: dict[str, count[int]] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        if self._open:
            try:
                yield
            except BaseException:
                self._doomed = True
                raise
            return
        self._write("BEGIN IMMEDIATE")
        self._open, self._doomed = True, False
        try:
            yield
            if self._doomed:
                raise StoreError(f"{self.location}: a part of the transaction failed")
            self._write("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._open = False

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside is as of one instant."""
        if self._alone or self._conn.in_transaction:  # nobody else writes; it is in a snapshot
            yield
            return
        self._write("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def free_bytes(self) -> int:
        """How many bytes of the file are free for what comes."""
        free, page = (
            self._read(f"PRAGMA {name}")[0][0] for name in ("freelist_count", "page_size")
        )
        return int(free * page)

    def expect_whole(self) -> None:
        """Raise StoreDamaged unless SQLite finds its pages in order, and nothing in an index that is not in
        its table. This takes reading all of the file."""
        (complaint,) = self._read("PRAGMA integrity_check(1)")[0]
        if complaint != "ok":
            raise damaged(self.location, ascii(complaint))

    def compact(self) -> None:
        """Give what is free of the file back (VACUUM). All or nothing, like a transaction; it takes room
        for a copy of the file. Raises StoreError when there is none."""
        self._write("VACUUM")

    def _next(self, table: str) -> int:
        """The number of the next row; it is chosen here because the seal covers it."""
        if table not in self._numbers:
            (last,) = self._read(f"SELECT coalesce(max(no), 0) FROM {table}")[0]
            self._numbers[table] = count(last + 1)
        return next(self._numbers[table])

    def _expect_all(self, table: str, met: int) -> None:
        """Raise StoreDamaged when the table's index has more entries than the `met` rows that were found:
        a damaged page can lose rows without a word."""
        sql = f"SELECT count(*) FROM {table} INDEXED BY sqlite_autoindex_{table}_1"
        if met < self._read(sql)[0][0]:
            raise damaged(self.location, f"rows of the table {table} are missing")

    def _at_step(self, table: str, columns: str, no: int, step: int) -> list[Any]:
        """Rows of `attempt` or `crash` at a step, in their order. Raises StoreDamaged when some are missing."""
        index, where = _TWINS[table], "WHERE workflow = ? AND step = ?"
        with self.snapshot():
            rows = self._read(f"SELECT {columns} FROM {table} NOT INDEXED {where}", (no, step))
            (version,) = self._read("PRAGMA user_version")[0]
            if index not in LACKING.get(version, ()):
                sql = f"SELECT count(*) FROM {table} INDEXED BY {index} {where}"
                if self._read(sql, (no, step))[0][0] != len(rows):
                    raise damaged(
                        f"step {step} of workflow {no}", f"rows of the table {table} are missing"
                    )
        return rows

    def _write(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._conn.execute(sql, values)
        except FAULTS as error:
            self._raise(error)

    def _read(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        try:
            return self._conn.execute(sql, values).fetchall()
        except FAULTS as error:
            self._raise(error)

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # after some errors SQLite has done it already
            self._conn.execute("ROLLBACK")
        if self._conn.in_transaction:
            self._conn.close()  # what it wrote from now on would never be committed

    def _raise(self, error: Fault) -> NoReturn:
        conn = self._conn
        if self._alone and is_io_error(error) and isinstance(conn, sqlite3.Connection):
            self._conn = Failed(conn, error)
        raise translate(error, self.location) from None
