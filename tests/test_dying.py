"""What the tests compare stores by."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from dying import tables, write

import durproj


def test_no_table_of_a_store_is_left_out(tmp_path):
    log, store = tmp_path / "log", tmp_path / "s.db"
    write(log, [("a", 1), ("a", 2), ("a", 3)])
    durproj.fold(log, reducer="merge", store=store)
    before = tables(store)
    with closing(sqlite3.connect(store)) as conn:
        names = conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert {name for (name,) in names if not name.startswith("sqlite_")} == set(before)
    durproj.gc(keep_last=1, store=store)
    assert len(tables(store)["past"]) == len(before["past"]) + 1
