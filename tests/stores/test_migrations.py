"""Schema versions: an old store is brought up to date wholly or not at all, a later one is refused."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import environment
from making import fill, make_version_2, make_version_3, read_all

from durproj.errors import StoreError, UsageError
from durproj.stores import connection, migrations
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

# A later version as it might come: a new table, a new index and data moved along.
TO_LATER = """
CREATE TABLE label (
  workflow INTEGER PRIMARY KEY,
  text TEXT NOT NULL -- a comment; with a semicolon
) STRICT;
INSERT INTO label SELECT no, 'of ' || id FROM workflow;
"""
LABEL = TO_LATER[1 : TO_LATER.index("INSERT")]


def schema(path):
    with closing(sqlite3.connect(path)) as conn:
        return set(conn.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def version(path):
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute("PRAGMA user_version").fetchone()[0]


@pytest.fixture
def old(tmp_path):
    """A store of the present version, with something in it."""
    path = tmp_path / "store.db"
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, "projection/u1", 300)
    return path


@pytest.fixture
def present():
    return migrations.SCHEMA_VERSION


def become_later(patch, script=TO_LATER):
    """Let durproj be of a later version, whose schema has one more table."""
    before, later = migrations._schema(), migrations.SCHEMA_VERSION + 1
    patch.setattr(migrations, "MIGRATIONS", {**migrations.MIGRATIONS, later - 1: script})
    patch.setattr(migrations, "_schema", lambda: before + LABEL)
    for module in (migrations, connection):
        patch.setattr(module, "SCHEMA_VERSION", later)
    migrations.expected_schema.cache_clear()


@pytest.fixture
def later(monkeypatch, present):
    become_later(monkeypatch)
    yield present + 1
    monkeypatch.undo()
    migrations.expected_schema.cache_clear()


def test_the_migrations_lead_from_the_first_version_to_the_present_one(present):
    assert sorted(migrations.MIGRATIONS) == list(range(migrations.OLDEST_VERSION, present))


def test_a_new_store_has_the_schema_of_schema_sql(old, present):
    assert version(old) == present
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.executescript(migrations._schema())
        made = set(conn.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql NOTNULL"))
    assert schema(old) == made
    with closing(sqlite3.connect(old)) as conn:
        assert conn.execute("PRAGMA application_id").fetchone()[0] == migrations.APPLICATION_ID


def test_a_migrated_store_has_the_schema_of_a_new_one_and_its_content(old, tmp_path, later):
    with closing(SqliteStore.open_writer(old)) as store:
        journal = Journal.open(store, "projection/u1")
        assert len(read_all(journal)) == 300
        labels = store._conn.execute("SELECT workflow, text FROM label").fetchall()
    assert labels == [(journal.head.no, "of projection/u1")]
    assert version(old) == later
    SqliteStore.open_writer(tmp_path / "new.db").close()
    assert schema(old) == schema(tmp_path / "new.db")
    with closing(SqliteStore.open_reader(old)) as store:
        assert Journal.open(store, "projection/u1").steps == 300


def test_a_reader_does_not_migrate_and_says_what_does(old, present, later):
    with pytest.raises(UsageError, match="earlier durproj") as caught:
        SqliteStore.open_reader(old)
    assert "resume" in caught.value.hint
    assert version(old) == present


@pytest.mark.parametrize(
    "script", [TO_LATER + "INSERT INTO nowhere VALUES (1);\n", TO_LATER + "INSERT INTO nowhere"]
)
def test_a_migration_that_fails_leaves_the_old_version(old, present, script):
    before = schema(old)
    with pytest.MonkeyPatch.context() as patch:
        become_later(patch, script)
        with pytest.raises(StoreError):
            SqliteStore.open_writer(old)
    migrations.expected_schema.cache_clear()
    assert version(old) == present
    assert schema(old) == before
    with closing(SqliteStore.open_reader(old)) as store:
        assert Journal.open(store, "projection/u1").steps == 300


MIGRATE_AND_DIE = """
import os, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_migrations
from durproj.stores.sqlite import SqliteStore
import durproj.stores.migrations as migrations
import pytest

class Dying:
    def __init__(self, conn, at): self.conn, self.at = conn, at
    def __getattr__(self, name): return getattr(self.conn, name)
    def execute(self, sql):
        self.at -= 1
        if self.at < 0: os.kill(os.getpid(), signal.SIGKILL)
        return self.conn.execute(sql)

plain = migrations.apply
import durproj.stores.connection as connection
connection.apply = lambda conn: plain(Dying(conn, int(sys.argv[3])))
with pytest.MonkeyPatch.context() as patch:
    test_migrations.become_later(patch)
    SqliteStore.open_writer(Path(sys.argv[1]))
"""


def test_a_migration_that_is_killed_leaves_the_old_version_until_it_is_done(old, present):
    before, folder, ended = schema(old), os.path.dirname(__file__), []
    for at in range(20):
        paths = f"{environment()['PYTHONPATH']}:{os.path.dirname(folder)}"
        command = [sys.executable, "-c", MIGRATE_AND_DIE, str(old), folder, str(at)]
        done = subprocess.run(command, env=environment(PYTHONPATH=paths), check=False)
        ended.append(done.returncode)
        if done.returncode == 0:
            break
        assert done.returncode == -9
        assert version(old) == present
        assert schema(old) == before
        with closing(SqliteStore.open_reader(old)) as store:
            assert len(read_all(Journal.open(store, "projection/u1"))) == 300
    # PRAGMA, BEGIN, two statements, the version, COMMIT: killed before each of them.
    assert ended[:6] == [-9] * 6
    assert ended[-1] == 0
    assert version(old) == present + 1


def test_a_store_of_a_later_version_is_refused_and_left_alone(old, present, durproj):
    with closing(sqlite3.connect(old)) as conn:
        conn.execute(f"PRAGMA user_version = {present + 1}")
    before = old.read_bytes()
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(UsageError, match="later durproj"):
            opening(old)
    ended = durproj("list", "--store", old)
    assert ended.code == 2
    assert "upgrade durproj" in ended.err
    assert old.read_bytes() == before


def test_a_store_from_before_the_first_release_is_refused_and_left_alone(old, tmp_path, durproj):
    (tmp_path / "log").write_text('{"key":"u1","type":"T"}\n')
    with closing(sqlite3.connect(old)) as conn:
        conn.execute(f"PRAGMA user_version = {migrations.OLDEST_VERSION - 1}")
    before = old.read_bytes()
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(UsageError, match="before its first release") as caught:
            opening(old)
        assert caught.value.hint == "fold the log again into another --store"
    for command in (["list"], ["doctor"], ["resume"], ["run", "log"]):
        ended = durproj(*command, "--store", old)
        assert ended.code == 2
        assert f"before its first release (schema {migrations.OLDEST_VERSION - 1})" in ended.err
        assert "fold the log again into another --store" in ended.err
    assert old.read_bytes() == before


@pytest.mark.parametrize("odd", [0, -1, -(2**31)])
def test_a_store_of_no_version_is_damaged(old, odd):
    with closing(sqlite3.connect(old)) as conn:
        conn.execute(f"PRAGMA user_version = {odd}")
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(StoreError, match="schema version"):
            opening(old)


EARLIER = pytest.mark.parametrize(
    ("make", "number"), [(make_version_2, 2), (make_version_3, 3)], ids=["2", "3"]
)


@EARLIER
def test_an_earlier_store_is_brought_up_to_date(old, tmp_path, make, number):
    make(old)
    assert version(old) == number
    with closing(SqliteStore.open_writer(old)) as store:
        journal = Journal.open(store, "projection/u1")
        journal.save("resolved")
        assert journal.trim(10) == 290
    SqliteStore.open_writer(tmp_path / "new.db").close()
    assert schema(old) == schema(tmp_path / "new.db")


@EARLIER
def test_an_earlier_store_is_read_as_it_is(old, tmp_path, durproj, make, number):
    make(old)
    before = old.read_bytes()
    with closing(SqliteStore.open_reader(old)) as store:
        assert len(read_all(Journal.open(store, "projection/u1"))) == 300
    with closing(connection.connect_copy(old)) as conn:
        assert conn.execute("SELECT count(*) FROM past").fetchone() == (0,)
    reads = ["list", "verify", "doctor", "gc --keep-latest --dry-run"]
    for command in reads:
        done = durproj(*command.split(), "--store", old)
        assert (done.code, "earlier" in done.err) == (0, False), done.err
    copy = tmp_path / "copy.db"
    assert durproj("backup", copy, "--store", old).code == 0
    assert (version(copy), schema(copy)) == (number, schema(old))
    assert old.read_bytes() == before
    # What it says of itself is no less guarded.
    with closing(sqlite3.connect(old)) as conn:
        conn.execute("ALTER TABLE run RENAME TO other")
    with pytest.raises(StoreError, match="not durproj's"):
        SqliteStore.open_reader(old)
