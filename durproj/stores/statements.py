"""SQL over one connection: transactions, statements, and their errors as durproj's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import count
from typing import Any, NoReturn

from durproj.errors import StoreDamaged, StoreError
from durproj.stores.failed import Failed, is_io_error
from durproj.stores.faults import FAULTS, Fault, translate
from durproj.stores.migrations import LACKING
from durproj.stores.packing import damaged

_UNIQUE = {"workflow": ("id",), "run": ("name", "identity")}
"""The columns of the first index of a table."""


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

    def _expect_all(self, table: str, met: int | None = None) -> None:
        """Raise StoreDamaged unless the table and its index have the same rows, and none beyond the `met` that were
        found: a damaged page can lose rows of either without a word, and a workflow that is not found would be
        begun anew. SQLite's quick check does not compare the two."""
        index = f"INDEXED BY sqlite_autoindex_{table}_1"
        same = " AND ".join(f"found.{each} = there.{each}" for each in ("no", *_UNIQUE[table]))
        ((there, found, indexed),) = self._read(
            f"SELECT count(*), total(EXISTS (SELECT 1 FROM {table} AS found {index} WHERE {same})),"
            f" (SELECT count(*) FROM {table} {index}) FROM {table} AS there NOT INDEXED"
        )
        if met is not None and met < there:
            raise damaged(self.location, f"rows of the table {table} are missing")
        if not there == indexed == found:
            raise StoreDamaged(
                f"{self.location}: the store is damaged: the table {table} and its index do not have the same"
                " rows",
                "restore the store from a backup; if durproj verify names only the index, rebuild it with REINDEX",
            )

    def _at_step(self, table: str, columns: str, no: int, step: int) -> list[Any]:
        """Rows of `attempt` or `crash` at a step, in their order. Raises StoreDamaged when some are missing."""
        where, others = "WHERE workflow = :no AND step = :step", ", NULL" * columns.count(",")
        sql = f"SELECT {columns} FROM {table} NOT INDEXED {where}"
        if self._has_twins:
            twin = f"{table} INDEXED BY {table}_twin"
            sql += f" UNION ALL SELECT count(*){others} FROM {twin} {where}"
        rows = self._read(sql, {"no": no, "step": step})
        if self._has_twins and rows.pop()[0] != len(rows):
            raise damaged(f"step {step} of workflow {no}", f"rows of the table {table} are missing")
        return rows

    @cached_property
    def _has_twins(self) -> bool:
        """Whether attempts and crash points are in an index besides: a damaged page can lose rows of either
        without a word, but not the same ones of both. Earlier versions have none."""
        (version,) = self._read("PRAGMA user_version")[0]
        return "attempt_twin" not in LACKING.get(version, ())

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
