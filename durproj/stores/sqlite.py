"""The SQLite store: the contract of base.py in SQL. See schema.sql for the tables."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from durproj import codec
from durproj.stores.base import Attempt, Durability, Head, Row, Run
from durproj.stores.connection import connect_reader, connect_writer, finish_writer, translate
from durproj.stores.lock import Lock
from durproj.stores.packing import Record, Segment, damaged, seal

_HEAD = (
    "no, id, name, key, run, status, steps, state, error, prefix_bytes, prefix_steps, hash, seal"
)
_RUN = "no, name, identity, options, cursor, complete, updated_ms, seal"
_SEGMENT = 'start, steps, "full", seed, hash, packed'


class SqliteStore:
    """A store in one SQLite file. `open_writer` for the one process that writes, `open_reader` for
    any number that read meanwhile."""

    def __init__(self, conn: sqlite3.Connection, path: Path, lock: Lock | None) -> None:
        self.location = str(path)
        self._conn = conn
        self._lock = lock
        self._depth = 0

    @classmethod
    def open_writer(
        cls, path: Path, durability: Durability = "step", wait_s: float = 0.0
    ) -> SqliteStore:
        """Open `path` for writing, making it when it is not there.

        Raises StoreBusy when another process still writes to it after `wait_s` seconds.
        """
        lock = Lock(path)
        lock.acquire(wait_s)
        try:
            return cls(connect_writer(path, durability), path, lock)
        except sqlite3.Error as error:
            lock.release()
            raise translate(error, str(path)) from None
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open_reader(cls, path: Path) -> SqliteStore:
        """Open `path` for reading only. Raises NotFound when there is no store."""
        try:
            return cls(connect_reader(path), path, None)
        except sqlite3.Error as error:
            raise translate(error, str(path)) from None

    def close(self) -> None:
        """Let go of the store. Nothing is lost if this is never called."""
        if self._lock is None:
            self._conn.close()
            return
        try:
            finish_writer(self._conn)
        finally:
            self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. Transactions may be nested; the outermost one counts."""
        if self._depth:
            yield
            return
        self._write("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            self._depth = 0
            self._write("COMMIT")
        except BaseException:
            self._depth = 0
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
            raise

    # -- workflows

    def head(self, id: str) -> Head | None:
        rows = self._read(f"SELECT {_HEAD} FROM workflow WHERE id = ?", (id,))
        return _head(rows[0]) if rows else None

    def heads(self, name: str | None = None, run: int | None = None) -> Iterator[Head]:
        number = 0
        while rows := self._read(
            f"SELECT {_HEAD} FROM workflow WHERE no > ? AND (?2 IS NULL OR name = ?2)"
            " AND (?3 IS NULL OR run = ?3) ORDER BY no LIMIT 500",
            (number, name, run),
        ):
            yield from map(_head, rows)
            number = rows[-1][0]

    def totals(self, run: int) -> tuple[int, int]:
        rows = self._read(
            "SELECT count(*), coalesce(sum(steps), 0) FROM workflow WHERE run = ?", (run,)
        )
        return rows[0][0], rows[0][1]

    def save_head(self, head: Head) -> None:
        state = None if head.state is None else head.state.decode()
        error = None if head.error is None else head.error.decode()
        columns = (head.id, head.name, head.key, head.run, head.status, head.steps, state, error)
        values = (
            *columns,
            _now_ms(),
            head.prefix_bytes,
            head.prefix_steps,
            head.hash,
            _head_seal(head),
        )
        if head.no is None:
            sql = (
                "INSERT INTO workflow (id, name, key, run, status, steps, state, error, updated_ms,"
                " prefix_bytes, prefix_steps, hash, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            )
            head.no = self._write(sql, values).lastrowid
        else:
            sql = (
                "UPDATE workflow SET id = ?, name = ?, key = ?, run = ?, status = ?, steps = ?,"
                " state = ?, error = ?, updated_ms = ?, prefix_bytes = ?, prefix_steps = ?, hash = ?,"
                " seal = ? WHERE no = ?"
            )
            self._write(sql, (*values, head.no))

    def drop_workflow(self, no: int) -> None:
        with self.transaction():
            for table in ("step", "segment", "attempt", "crash"):
                self._write(f"DELETE FROM {table} WHERE workflow = ?", (no,))
            self._write("DELETE FROM workflow WHERE no = ?", (no,))

    # -- checkpoints

    def rows(self, no: int, first: int = 0) -> list[Row]:
        sql = "SELECT step, meta, input, output, hash FROM step WHERE workflow = ? AND step >= ? ORDER BY step"
        return [Row(row[0], Record(*row[1:4]), row[4]) for row in self._read(sql, (no, first))]

    def last_row(self, no: int) -> Row | None:
        sql = "SELECT step, meta, input, output, hash FROM step WHERE workflow = ? ORDER BY step DESC LIMIT 1"
        rows = self._read(sql, (no,))
        return Row(rows[0][0], Record(*rows[0][1:4]), rows[0][4]) if rows else None

    def segment(self, no: int, step: int | None = None) -> Segment | None:
        sql = f"SELECT {_SEGMENT} FROM segment WHERE workflow = ? AND start <= ? ORDER BY start DESC LIMIT 1"
        rows = self._read(sql, (no, 2**62 if step is None else step))
        return Segment(rows[0][0], rows[0][1], bool(rows[0][2]), *rows[0][3:]) if rows else None

    def add_row(self, no: int, step: int, record: Record, hash: bytes) -> None:
        try:
            self._conn.execute(
                "INSERT INTO step (workflow, step, meta, input, output, at_ms, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (no, step, *record, int(time.time() * 1000), hash),
            )
        except sqlite3.Error as error:
            self._raise(error)

    def add_segment(self, no: int, segment: Segment) -> None:
        self._write(
            'INSERT INTO segment (workflow, at_ms, start, steps, "full", seed, hash, packed)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (no, _now_ms(), *segment),
        )

    def drop_steps(self, no: int, first: int) -> None:
        self._write("DELETE FROM step WHERE workflow = ? AND step >= ?", (no, first))
        self._write("DELETE FROM segment WHERE workflow = ? AND start >= ?", (no, first))

    # -- attempts and crash points

    def attempts(self, no: int, step: int) -> list[Attempt]:
        sql = (
            "SELECT at_ms, kind, message, retry_ms, attempt, seal FROM attempt"
            " WHERE workflow = ? AND step = ? ORDER BY attempt"
        )
        rows = self._read(sql, (no, step))
        for *columns, number, mark in rows:
            if mark != seal(no, step, number, *columns):
                raise damaged(f"attempt {number} of step {step}", "the seal does not match")
        return [Attempt(*row[:4]) for row in rows]

    def add_attempt(self, no: int, step: int, attempt: Attempt) -> None:
        with self.transaction():
            sql = (
                "SELECT coalesce(max(attempt), 0) + 1 FROM attempt WHERE workflow = ? AND step = ?"
            )
            number = self._read(sql, (no, step))[0][0]
            self._write(
                "INSERT INTO attempt (workflow, step, attempt, at_ms, kind, message, retry_ms, seal)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (no, step, number, *attempt, seal(no, step, number, *attempt)),
            )

    def crashed(self, no: int, step: int) -> bool:
        return bool(self._read("SELECT 1 FROM crash WHERE workflow = ? AND step = ?", (no, step)))

    def add_crash(self, no: int, step: int) -> None:
        self._write(
            "INSERT INTO crash (workflow, step, at_ms) VALUES (?, ?, ?)", (no, step, _now_ms())
        )

    def drop_attempts(self, no: int, first: int) -> None:
        self._write("DELETE FROM attempt WHERE workflow = ? AND step >= ?", (no, first))
        self._write("DELETE FROM crash WHERE workflow = ? AND step >= ?", (no, first))

    # -- runs

    def find_run(self, name: str, identity: str) -> Run | None:
        rows = self._read(
            f"SELECT {_RUN} FROM run WHERE name = ? AND identity = ?", (name, identity)
        )
        return _run(rows[0]) if rows else None

    def run(self, no: int) -> Run | None:
        rows = self._read(f"SELECT {_RUN} FROM run WHERE no = ?", (no,))
        return _run(rows[0]) if rows else None

    def runs(self) -> list[Run]:
        return [_run(row) for row in self._read(f"SELECT {_RUN} FROM run ORDER BY updated_ms, no")]

    def save_run(self, run: Run) -> None:
        run.updated_ms = max(_now_ms(), run.updated_ms + 1)
        options = codec.encode(run.options).decode()
        cursor = None if run.cursor is None else codec.encode(run.cursor).decode()
        columns = (run.name, run.identity, options, cursor, int(run.complete), run.updated_ms)
        values = (*columns, seal(*columns))
        if run.no is None:
            sql = (
                "INSERT INTO run (name, identity, options, cursor, complete, updated_ms, seal)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)"
            )
            run.no = self._write(sql, values).lastrowid
        else:
            sql = (
                "UPDATE run SET name = ?, identity = ?, options = ?, cursor = ?, complete = ?,"
                " updated_ms = ?, seal = ? WHERE no = ?"
            )
            self._write(sql, (*values, run.no))

    def drop_run(self, no: int) -> None:
        self._write("DELETE FROM run WHERE no = ?", (no,))

    # -- plumbing

    def _write(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._conn.execute(sql, values)
        except sqlite3.Error as error:
            self._raise(error)

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._conn.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._raise(error)

    def _raise(self, error: sqlite3.Error) -> NoReturn:
        raise translate(error, self.location) from None


def _now_ms() -> int:
    return int(time.time() * 1000)


def _head_seal(head: Head) -> bytes:
    return seal(
        *(head.id, head.name, head.key, head.run, head.status, head.steps, head.state, head.error),
        *(head.prefix_bytes, head.prefix_steps, head.hash),
    )


def _head(row: tuple[Any, ...]) -> Head:
    no, id, name, key, run, status, steps, state, error, prefix_bytes, prefix_steps, hash, mark = (
        row
    )
    state = None if state is None else state.encode()
    error = None if error is None else error.encode()
    head = Head(
        id, name, key, run, status, steps, state, error, hash, prefix_bytes, prefix_steps, no
    )
    if mark != _head_seal(head):
        raise damaged(f"workflow {id!r}", "the seal of its head does not match")
    return head


def _run(row: tuple[Any, ...]) -> Run:
    no, name, identity, options, cursor, complete, updated_ms, mark = row
    if mark != seal(name, identity, options, cursor, complete, updated_ms):
        raise damaged(f"run {no}", "its seal does not match")
    cursor = None if cursor is None else codec.decode(cursor.encode())
    return Run(
        name, identity, codec.decode(options.encode()), cursor, bool(complete), no, updated_ms
    )
