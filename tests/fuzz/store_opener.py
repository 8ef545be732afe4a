"""Whatever is done to the file of a store, it is refused with an error of durproj's, or what is read from it
is what was written, but for a tail of an unfinished journal or of a torn log of writes.

An input is a list of harms to a sound store: its first byte says which store, and who opens it; then each
harm is a byte that says which, and what it takes.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from durproj.errors import DurprojError, NotFound, StoreError, UsageError
from durproj.stores import sqlite as store_in_sqlite
from durproj.stores.base import Attempt, Head, Run
from durproj.stores.journal import Journal
from durproj.stores.packing import Record, Records
from durproj.stores.sqlite import SqliteStore
from fuzz.fuzzing import fuzz

PAGE = 512
NOW_MS = 1_700_000_000_000
TABLES = ("run", "workflow", "step", "segment", "attempt", "past")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass(frozen=True)
class Sound:
    """A store's files by the ends of their names, and what is in it. torn: part of it is in a log of
    writes, of which damage may leave the beginning only. made: steps of a key, those that were dropped
    since included."""

    files: dict[str, bytes]
    heads: dict[str, Head]
    made: dict[str, list[Record]]
    attempts: dict[tuple[str, int], list[Attempt]]
    runs: dict[int | None, Run]
    torn: bool


@functools.cache
def sound(torn: bool) -> Sound:
    """A small store, always the same."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder, "store.db")
        with closing(sqlite3.connect(path)) as conn:
            conn.execute(f"PRAGMA page_size = {PAGE}")
            conn.execute("VACUUM")
        with mock.patch.object(store_in_sqlite, "_now_ms", return_value=NOW_MS):
            if not torn:
                with closing(SqliteStore.open_writer(path)) as store:
                    written = _write(store)
                return Sound({"": path.read_bytes()}, *written, torn=False)
            with closing(SqliteStore.open_writer(path)) as store:
                written = _write(store)
                return Sound(_files(path), *written, torn=True)


def _write(store: SqliteStore) -> tuple[Any, ...]:
    for run in (
        Run("projection", "x", {}),
        Run("other", "y", {}, {"bytes": 7, "lines": 1, "digest": "d", "workflows": 1, "steps": 1}),
    ):
        store.save_run(run)
        for key, batch, steps, status in (
            ("full", 260, 260, "resolved"),
            ("rows", 1, 5, "pending"),
            ("both", 9, 12, "rejected"),
            ("trimmed", 270, 270, "pending"),
        ):
            if run.name == "other" and key != "rows":
                continue
            journal = Journal(store, Head(f"{run.name}/{key}", run.name, key, run.no or 0))
            made = _made(journal.head.id, steps)
            for at in range(0, steps, batch):
                journal.append(at, Records(*map(list, zip(*made[at : at + batch], strict=True))))
            if status != "pending":
                journal.save(status, error=b"{}" if status == "rejected" else None)
            if key == "trimmed":
                journal.trim(8)
            assert journal.head.no is not None
            for attempt in (Attempt(1, "OSError", "no", 2), Attempt(3, "OSError", "no", None)):
                store.add_attempt(journal.head.no, steps, attempt)
    heads = {head.id: head for head in store.heads()}
    made = {id: _made(id, head.steps) for id, head in heads.items()}
    tries = {(id, h.steps): store.attempts(h.no, h.steps) for id, h in heads.items() if h.no}
    return heads, made, tries, {run.no: run for run in store.runs()}


def _made(id: str, steps: int) -> list[Record]:
    return [
        Record(b"{}", b'{"n":%d}' % n, b'{"sum":%d,"id":"%b"}' % (n, id.encode()))
        for n in range(steps)
    ]


def _files(path: Path) -> dict[str, bytes]:
    return {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}


def steps_of(store: SqliteStore, id: str) -> list[tuple[int, Record]] | None:
    """The steps of a workflow that are kept, with their numbers; None when there is no such workflow."""
    journal = Journal.open(store, id)
    if journal is None:
        return None
    return [step for start, records in journal.blocks() for step in enumerate(records, start)]


def check(data: bytes, read: Callable[..., Any] = steps_of) -> None:
    """One input. Raises AssertionError, or whatever else the store raised, when the invariant is broken.
    read: how a journal is read."""
    if not data:
        return
    truth = sound(bool(data[0] & 1))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder, "store.db")
        for end, blob in truth.files.items():
            path.with_name(path.name + end).write_bytes(blob)
        # Values first: what SQLite would write to a file that is broken already has nothing to tell.
        for harm in sorted(_harms(data[1:]), key=lambda harm: harm.func is not _cell):
            harm(path)
        open_store = SqliteStore.open_writer if data[0] & 2 else SqliteStore.open_reader
        try:
            store = open_store(path)
        except (StoreError, UsageError, NotFound):
            return
        with closing(store):
            _compare(store, truth, read)


def _compare(store: SqliteStore, truth: Sound, read: Callable[..., Any]) -> None:
    told: list[DurprojError] = []

    def ask(question: Callable[..., Any], *args: Any) -> Any:
        """The answer; None when it is a StoreError instead. Any other error is a fault."""
        try:
            return question(*args)
        except (StoreError, NotFound) as error:
            told.append(error)

    listed = ask(lambda: [*store.heads()])
    if not truth.torn:
        # After damage has been told of, SQLite may show the rest of it as nothing.
        gone = {*truth.heads} - {head.id for head in listed or ()}
        assert told or not gone, f"gone without a word: {gone}"
        for head in listed or ():
            assert _alike(head, truth.heads[head.id]), (
                f"another head of {head.id} in the list: {head}"
            )
    for id, made in truth.made.items():
        head = ask(store.head, id)
        assert truth.torn or not head or _alike(head, truth.heads[id]), (
            f"another head of {id}: {head}"
        )
        found = ask(read, store, id)
        if found is not None:
            dropped = found[0][0] if truth.torn and found else truth.heads[id].dropped
            assert found == [*enumerate(made)][dropped : dropped + len(found)], f"{id}: other steps"
            whole = truth.torn or dropped + len(found) == len(made)
            assert whole or truth.heads[id].status == "pending", f"{id}: steps are missing"
        for (of, step), attempts in truth.attempts.items():
            tries = ask(store.attempts, truth.heads[id].no, step) if of == id else None
            assert tries is None or tries == attempts[: len(tries)], f"{id}: other attempts"
    for no, run in truth.runs.items():
        found = ask(store.run, no)
        assert truth.torn or found in (None, run), f"run {no}: {found}"


def _alike(head: Head, written: Head) -> bool:
    """Whether they are the same. That a head's past is gone shows when its steps are read."""
    return head == written or head == replace(written, past=None)


# -- harms


def _harms(data: bytes) -> Iterator[functools.partial[None]]:
    at = 0
    while at < len(data):
        kind = data[at] % len(HARMS)
        form, make = HARMS[kind]
        size = struct.calcsize(form)
        taken = data[at + 1 : at + 1 + size]
        if len(taken) < size:
            return
        values = struct.unpack(form, taken)
        at += 1 + size
        if form.endswith("B") and make in (_overwrite, _cell):
            more = values[-1] & 31
            values = (*values[:-1], values[-1], data[at : at + more])
            at += more
        yield functools.partial(make, *values)


def _target(path: Path, which: int) -> Path:
    wal = path.with_name(path.name + "-wal")
    return wal if which & 1 and wal.exists() else path


def _change(path: Path, harm: Callable[[bytearray], None]) -> None:
    blob = bytearray(path.read_bytes())
    if len(blob) >= PAGE:
        harm(blob)
        path.write_bytes(blob)


def _overwrite(which: int, at: int, _size: int, what: bytes, path: Path) -> None:
    def harm(blob: bytearray) -> None:
        start = at % len(blob)
        blob[start : start + len(what)] = what[: len(blob) - start]

    _change(_target(path, which), harm)


def _flip(which: int, at: int, bit: int, path: Path) -> None:
    def harm(blob: bytearray) -> None:
        blob[at % len(blob)] ^= 1 << (bit & 7)

    _change(_target(path, which), harm)


def _header(which: int, page: int, at: int, value: int, path: Path) -> None:
    """A byte of where a page says what is in it."""

    def harm(blob: bytearray) -> None:
        start = page * PAGE % len(blob)
        blob[min(len(blob) - 1, start + at % 40 + (60 if start == 0 else 0))] = value

    _change(_target(path, which), harm)


def _copy_page(which: int, one: int, other: int, path: Path) -> None:
    def harm(blob: bytearray) -> None:
        pages = max(1, len(blob) // PAGE)
        source, target = one % pages * PAGE, other % pages * PAGE
        blob[target : target + PAGE] = blob[source : source + PAGE]

    _change(_target(path, which), harm)


def _zero_page(which: int, page: int, path: Path) -> None:
    def harm(blob: bytearray) -> None:
        target = page % max(1, len(blob) // PAGE) * PAGE
        blob[target : target + PAGE] = bytes(PAGE)

    _change(_target(path, which), harm)


def _cut(which: int, size: int, path: Path) -> None:
    """The end taken away. Up to a byte is left out: that is an empty database to SQLite, so a new store."""

    def harm(blob: bytearray) -> None:
        del blob[2 + size % len(blob) :]

    _change(_target(path, which), harm)


def _cell(table: int, row: int, column: int, kind: int, what: bytes, path: Path) -> None:
    """A cell of another value, or of another row's."""
    name = TABLES[table % len(TABLES)]
    value: Any = [
        None,
        int.from_bytes(what[:8], "big", signed=True),
        what.decode(errors="replace"),
        what,
    ][kind >> 5 & 3]
    with (
        suppress(sqlite3.Error, UnicodeDecodeError, IndexError),
        closing(sqlite3.connect(path)) as conn,
    ):
        conn.execute("PRAGMA ignore_check_constraints = 1")
        info = conn.execute(f"PRAGMA table_info({name})").fetchall()
        (rows,) = conn.execute(f"SELECT count(*) FROM {name}").fetchone()
        if not rows or not info:
            return
        pk = ", ".join(f'"{each[1]}"' for each in info if each[5])
        changed = f'"{info[column % len(info)][1]}"'
        if kind & 128 and what:
            sql = f"SELECT {changed} FROM {name} LIMIT 1 OFFSET ?"
            value = conn.execute(sql, (what[0] % rows,)).fetchall()[0][0]
        place = f"({pk}) = (SELECT {pk} FROM {name} LIMIT 1 OFFSET ?)"
        conn.execute(f"UPDATE {name} SET {changed} = ? WHERE {place}", (value, row % rows))
        conn.commit()


HARMS: tuple[tuple[str, Callable[..., None]], ...] = (
    (">BHB", _overwrite),
    (">BHB", _flip),
    (">BBBB", _header),
    (">BBB", _copy_page),
    (">BB", _zero_page),
    (">BH", _cut),
    (">BBBB", _cell),
)


if __name__ == "__main__":
    fuzz("fuzz.store_opener", "durproj.stores")
