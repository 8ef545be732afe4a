"""What SQLite itself says of a file: before the past is changed, and by who only looks."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from making import make_version_3

import durproj as library
from durproj.errors import StoreDamaged
from durproj.stores.connection import connect_reader
from durproj.stores.examine import examine
from durproj.stores.inventory import take_inventory
from durproj.stores.whole import complaints

PAGE = 4096

CHANGES = {
    "rewind": lambda store: library.rewind("projection/u1", 3, store=store),
    "fork": lambda store: library.fork("projection/u1", "other", store=store),
    "promote": lambda store: library.promote("next", "projection", store=store),
    "gc": lambda store: library.gc(keep_last=0, store=store),
}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "s.db"
    library.fold(store=path)
    library.fold(store=path, name="next")
    return path


def root_of(path, name):
    with closing(sqlite3.connect(path)) as conn:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        return conn.execute(sql, (name,)).fetchone()[0]


def free_a_used_page(path):
    """Let the list of free pages have one page, on which rows are."""
    blob = bytearray(path.read_bytes())
    trunk, live = len(blob) // PAGE + 1, root_of(path, "workflow")
    blob[28:32] = trunk.to_bytes(4, "big")
    blob[32:40] = trunk.to_bytes(4, "big") + (2).to_bytes(4, "big")
    blob += (0).to_bytes(4, "big") + (1).to_bytes(4, "big") + live.to_bytes(4, "big")
    path.write_bytes(blob.ljust(trunk * PAGE, b"\0"))


def empty_an_index(path):
    with path.open("r+b") as file:
        file.seek((root_of(path, "sqlite_autoindex_workflow_1") - 1) * PAGE)
        file.write(b"\x0a\0\0\0\0\x10\0\0" + bytes(PAGE - 8))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("harm", [free_a_used_page, empty_an_index])
@pytest.mark.parametrize("old", [False, True], ids=["present", "version 3"])
def test_what_changes_the_past_looks_first(store, change, harm, old):
    if old:
        make_version_3(store)
    harm(store)
    before = store.read_bytes()[PAGE:]
    with pytest.raises(StoreDamaged, match="the store is damaged"):
        CHANGES[change](store)
    assert store.read_bytes()[PAGE:] == before


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_sound_is_changed(store, change):
    before = tables(store)
    CHANGES[change](store)
    assert tables(store) != before


def tables(path):
    with closing(sqlite3.connect(path)) as conn:
        return list(conn.iterdump())


def test_the_past_of_an_earlier_version_is_not_moved_to_damaged_pages(store):
    make_version_3(store)
    free_a_used_page(store)
    before = store.read_bytes()[PAGE:]
    with pytest.raises(StoreDamaged):
        library.fold(store=store)
    assert store.read_bytes()[PAGE:] == before


@pytest.mark.parametrize("harm", [free_a_used_page, empty_an_index])
def test_who_only_looks_finds_it_too(store, harm):
    harm(store)
    assert len(take_inventory(store).damage) == 1
    error = examine(store).error
    assert isinstance(error, StoreDamaged)
    assert error.hint.endswith("if only an index is named, rebuild it with REINDEX")


def test_views_of_the_user_hide_nothing_from_who_writes(store, tmp_path):
    """Which of all tables and views SQLite goes through first depends on their number and names."""
    for number in range(1, 13):
        with closing(sqlite3.connect(store)) as conn:
            conn.execute(f'CREATE VIEW "my ""{number}""" AS SELECT {number}')
        broken = shutil.copy(store, tmp_path / "broken.db")
        free_a_used_page(broken)
        with pytest.raises(StoreDamaged):
            library.rewind("projection/u1", 3, store=broken)
        with closing(sqlite3.connect(broken)) as conn:
            assert conn.execute(f'SELECT * FROM "my ""{number}"""').fetchall() == [(number,)]


@pytest.mark.parametrize(
    "own",
    [
        "CREATE INDEX own_index ON own (norm(x))",
        "CREATE INDEX own_index ON own (x COLLATE turned)",
    ],
    ids=["function", "order"],
)
def test_a_table_of_the_user_that_only_they_can_read_is_left_out(store, own, tmp_path):
    with closing(sqlite3.connect(store)) as conn:
        conn.create_function("norm", 1, str, deterministic=True)
        conn.create_collation("turned", lambda one, other: (one < other) - (one > other))
        conn.execute("CREATE TABLE own (x)")
        conn.executemany("INSERT INTO own VALUES (?)", [("a",), ("b",)])
        conn.execute(own)
        conn.commit()
    assert examine(store).error is None
    *_, summary = library.verify(store=store)
    assert summary["exit"] == 0
    library.backup(tmp_path / "copy.db", store=store)
    assert library.rewind("projection/u1", 3, store=store) == 4
    broken = shutil.copy(store, tmp_path / "broken.db")
    empty_an_index(broken)
    with closing(connect_reader(broken)) as conn:
        assert complaints(conn)
