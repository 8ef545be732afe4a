"""The SQLite store: the contract of base.py in SQL. See schema.sql for the tables."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, get_args

from durproj import codec
from durproj.errors import StoreDamaged, UsageError
from durproj.stores.base import Attempt, Durability, Head, Row, Run
from durproj.stores.connection import connect_reader, connect_writer, finish_writer
from durproj.stores.faults import FAULTS, translate
from durproj.stores.lock import Lock
from durproj.stores.packing import Record, Segment, seal
from durproj.stores.packing import damaged as damage
from durproj.stores.sealed import (
    HEAD,
    HEADS,
    RUN,
    attempts_of,
    columns_of,
    head_of,
    row_of,
    run_of,
    segment_of,
)
from durproj.stores.statements import Statements

_SEGMENT = 'start, steps, "full", seed, hash, packed'


class SqliteStore(Statements):
    """A store in one SQLite file. `open_writer` for the one process that writes, `open_reader` for
    any number that read meanwhile."""

    def __init__(self, conn: sqlite3.Connection, path: Path, lock: Lock | None) -> None:
        super().__init__(conn, str(path), alone=lock is not None)
        self._lock = lock
        self._indexed = False

    @classmethod
    def open_writer(
        cls,
        path: Path,
        durability: Durability = "step",
        wait_s: float = 0.0,
        *,
        whole: bool = False,
    ) -> Self:
        """Open `path` for writing, making it when it is not there. whole: all of it is read first.

        Raises StoreBusy when another process still writes to it after `wait_s` seconds, UsageError
        for a durability that there is not; with `whole`, StoreDamaged unless all of it is in order.
        """
        if durability not in get_args(Durability):
            raise UsageError(
                f"{durability!r} is not a durability",
                "take one of " + ", ".join(get_args(Durability)),
            )
        lock = Lock(path)
        try:
            lock.acquire(wait_s)
            return cls(connect_writer(path, durability, whole=whole), path, lock)
        except FAULTS as error:
            lock.release()
            raise translate(error, str(path)) from None
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open_reader(cls, path: Path) -> Self:
        """Open `path` for reading only. Raises NotFound when there is no store."""
        try:
            return cls(connect_reader(path), path, None)
        except FAULTS as error:
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

    # -- workflows

    def head(self, id: str) -> Head | None:
        rows = self._read(f"{HEADS} WHERE workflow.id = ?", (id,))
        if not rows and not self._lock:
            # Damage must not hide it from who looks for it: heads() verifies all of them.
            return next((head for head in self.heads() if head.id == id), None)
        if not rows and not self._indexed:
            self._expect_all("workflow")
            self._indexed = True  # nobody else writes from here on
        head = head_of(rows[0]) if rows else None
        if head and head.id != id:
            raise damage(f"workflow {id!r}", "the index leads to another")
        return head

    def numbered(self, no: int) -> Head | None:
        rows = self._read(f"{HEADS} WHERE no = ?", (no,))
        return head_of(rows[0]) if rows else None

    def heads(
        self,
        name: str | None = None,
        run: int | None = None,
        damaged: list[StoreDamaged] | None = None,
    ) -> Iterator[Head]:
        number = met = 0
        while rows := self._heads_after(number, met, damaged):
            met += len(rows)
            for row in rows:
                if row[0] <= number:
                    raise damage(self.location, "the workflows are out of order")
                number = row[0]
                # Chosen here, not in SQL: a damaged head must not be passed over.
                try:
                    head = head_of(row)
                except StoreDamaged as error:
                    if damaged is None:
                        raise
                    damaged.append(error)
                    continue
                if name in (None, head.name) and run in (None, head.run):
                    yield head

    def _heads_after(self, number: int, met: int, damaged: list[StoreDamaged] | None) -> list[Any]:
        """The next rows; `met`: how many there were before. After the last one, that none was missed."""
        with self.snapshot():
            rows = self._read(f"{HEADS} WHERE no > ? ORDER BY no LIMIT 500", (number,))
            try:
                if not rows:
                    self._expect_all("workflow", met)
            except StoreDamaged as error:
                if damaged is None:
                    raise
                damaged.append(error)
            return rows

    def has_workflows(self, run: int) -> bool:
        # From the newest on, for it is from the oldest on that another run takes them over.
        sql = "SELECT 1 FROM workflow WHERE run = ? ORDER BY no DESC LIMIT 1"
        # Damage must not hide one: heads() verifies all of them.
        return bool(self._read(sql, (run,))) or any(True for _ in self.heads(run=run))

    def save_head(self, head: Head) -> None:
        head.updated_ms = _now_ms()
        if head.no is None:
            no = self._next("workflow")
            sql = f"INSERT INTO workflow ({HEAD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            self._write(sql, columns_of(no, head))
            head.no = no
        else:
            # What names a workflow is left out, so that its index is left alone.
            sql = (
                "UPDATE workflow SET run = ?, status = ?, steps = ?, state = ?, error = ?,"
                " prefix_bytes = ?, prefix_steps = ?, hash = ?, updated_ms = ?, seal = ? WHERE no = ?"
            )
            self._write(sql, (*columns_of(head.no, head)[4:], head.no))

    def save_past(self, head: Head) -> None:
        past, no = head.past, head.no
        assert no is not None
        with self.transaction():
            sql = (
                "UPDATE workflow SET id = ?, name = ?, key = ?, run = ?, status = ?, steps = ?, state = ?,"
                " error = ?, prefix_bytes = ?, prefix_steps = ?, hash = ?, updated_ms = ?, seal = ?"
                " WHERE no = ?"
            )
            self._write(sql, (*columns_of(no, head)[1:], no))
            if past is None:
                self._write("DELETE FROM past WHERE workflow = ?", (no,))
            else:
                sql = (
                    "INSERT OR REPLACE INTO past (workflow, id, steps, hash, inputs, seal)"
                    " VALUES (?, ?, ?, ?, ?, ?)"
                )
                self._write(sql, (no, *past, seal(no, *past)))

    def drop_workflow(self, no: int) -> None:
        with self.transaction():
            for table in ("step", "segment", "attempt", "crash", "past"):
                self._write(f"DELETE FROM {table} WHERE workflow = ?", (no,))
            self._write("DELETE FROM workflow WHERE no = ?", (no,))

    # -- checkpoints

    def rows(self, no: int, first: int = 0) -> list[Row]:
        sql = "SELECT step, meta, input, output, hash FROM step WHERE workflow = ? AND step >= ? ORDER BY step"
        return [row_of(no, row) for row in self._read(sql, (no, first))]

    def last_row(self, no: int) -> Row | None:
        sql = "SELECT step, meta, input, output, hash FROM step WHERE workflow = ? ORDER BY step DESC LIMIT 1"
        rows = self._read(sql, (no,))
        return row_of(no, rows[0]) if rows else None

    def segment(self, no: int, step: int | None = None) -> Segment | None:
        sql = f"SELECT {_SEGMENT} FROM segment WHERE workflow = ? AND start <= ? ORDER BY start DESC LIMIT 1"
        rows = self._read(sql, (no, 2**62 if step is None else step))
        return segment_of(no, rows[0]) if rows else None

    def add_row(self, no: int, step: int, record: Record, hash: bytes) -> None:
        self._write(
            "INSERT INTO step (workflow, step, meta, input, output, at_ms, hash)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (no, step, *record, _now_ms(), hash),
        )

    def add_segment(self, no: int, segment: Segment) -> None:
        self._write(
            'INSERT INTO segment (workflow, at_ms, start, steps, "full", seed, hash, packed)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (no, _now_ms(), *segment),
        )

    def drop_steps(self, no: int, first: int) -> None:
        self._write("DELETE FROM step WHERE workflow = ? AND step >= ?", (no, first))
        self._write("DELETE FROM segment WHERE workflow = ? AND start >= ?", (no, first))

    def drop_steps_before(self, no: int, first: int) -> None:
        for table in ("step", "attempt", "crash"):
            self._write(f"DELETE FROM {table} WHERE workflow = ? AND step < ?", (no, first))
        self._write("DELETE FROM segment WHERE workflow = ? AND start < ?", (no, first))

    def bytes_before(self, no: int, first: int) -> int:
        sql = (
            "SELECT (SELECT coalesce(sum(length(meta) + length(input) + length(output)), 0) FROM step"
            " WHERE workflow = :no AND step < :first)"
            " + (SELECT coalesce(sum(length(packed) * min(steps, :first - start) / steps), 0)"
            " FROM segment WHERE workflow = :no AND start < :first)"
        )
        return int(self._read(sql, {"no": no, "first": first})[0][0])

    # -- attempts and crash points

    def attempts(self, no: int, step: int) -> list[Attempt]:
        columns = "attempt, at_ms, kind, message, retry_ms, seal"
        return attempts_of(no, step, self._at_step("attempt", columns, no, step))

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
        return bool(self._at_step("crash", "1", no, step))

    def add_crash(self, no: int, step: int) -> None:
        self._write(
            "INSERT INTO crash (workflow, step, at_ms) VALUES (?, ?, ?)", (no, step, _now_ms())
        )

    def drop_attempts(self, no: int, first: int) -> None:
        self._write("DELETE FROM attempt WHERE workflow = ? AND step >= ?", (no, first))
        self._write("DELETE FROM crash WHERE workflow = ? AND step >= ?", (no, first))

    # -- runs

    def find_run(self, name: str, identity: str) -> Run | None:
        found = (run for run in self.runs() if (run.name, run.identity) == (name, identity))
        return next(found, None)

    def run(self, no: int) -> Run | None:
        # There are few, and among all of them none is missed for a damaged number or index.
        return next((run for run in self.runs() if run.no == no), None)

    def runs(self) -> list[Run]:
        with self.snapshot():
            rows = self._read(f"SELECT {RUN} FROM run ORDER BY updated_ms, no")
            self._expect_all("run", len(rows))
        return [run_of(row) for row in rows]

    def save_run(self, run: Run) -> None:
        no = run.no or self._next("run")
        # The order of runs is that of saving, whatever the clock does.
        last = self._read("SELECT coalesce(max(updated_ms), 0) FROM run")[0][0]
        run.updated_ms = max(_now_ms(), last + 1)
        options = codec.encode(run.options).decode()
        cursor = None if run.cursor is None else codec.encode(run.cursor).decode()
        columns = (no, run.name, run.identity, options, cursor, int(run.complete), run.updated_ms)
        values = (*columns, seal(*columns))
        if run.no is None:
            self._write(f"INSERT INTO run ({RUN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            run.no = no
        else:
            sql = (
                "UPDATE run SET name = ?, identity = ?, options = ?, cursor = ?, complete = ?,"
                " updated_ms = ?, seal = ? WHERE no = ?"
            )
            self._write(sql, (*values[1:], no))

    def drop_run(self, no: int) -> None:
        self._write("DELETE FROM run WHERE no = ?", (no,))


def _now_ms() -> int:
    return int(time.time() * 1000)
