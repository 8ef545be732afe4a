"""SQLite as a store: its pragmas, its files, what it refuses, and places it cannot write to."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils
from making import begin, fill, read_all, record

from durproj.errors import DurprojError, NotFound, StoreDamaged, StoreDenied, StoreError, UsageError
from durproj.stores import connection
from durproj.stores.base import Run
from durproj.stores.examine import examine
from durproj.stores.journal import Journal
from durproj.stores.mounts import is_mounted, is_remote
from durproj.stores.sqlite import SqliteStore

ID = "projection/u1"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def filled(path):
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, ID, 20)
    return path


def test_what_a_dropped_workflow_took_is_free_and_can_be_given_back(path):
    with closing(SqliteStore.open_writer(path)) as store:
        for no in range(60):
            fill(store, f"projection/{no}", 300, batch=100)
        assert store.free_bytes() == 0
        for no in range(1, 60):
            store.drop_workflow(no)
        free = store.free_bytes()
        assert free > 0 == free % 4096
        store.compact()
        assert store.free_bytes() == 0
        assert Journal.open(store, "projection/59").steps == 300


def names(folder):
    return sorted(os.listdir(folder))


def pragma(store, name):
    return store._conn.execute(f"PRAGMA {name}").fetchone()[0]


# -- pragmas and files


@pytest.mark.parametrize(
    ("remote", "durability", "journal", "synchronous"),
    [
        (False, "step", "wal", 1),
        (False, "batch", "wal", 1),
        (False, "fsync", "wal", 2),
        (True, "step", "delete", 3),
        (True, "batch", "delete", 3),
        (True, "fsync", "delete", 3),
    ],
)
def test_each_durability_has_its_pragmas(
    path, monkeypatch, remote, durability, journal, synchronous
):
    monkeypatch.setattr(connection, "is_remote", lambda _: remote)
    with closing(SqliteStore.open_writer(path, durability)) as store:
        assert pragma(store, "journal_mode") == journal
        assert pragma(store, "synchronous") == synchronous
        assert pragma(store, "fullfsync") == 1
        assert pragma(store, "checkpoint_fullfsync") == 1
        assert pragma(store, "trusted_schema") == 0
        assert pragma(store, "cell_size_check") == 1
        assert pragma(store, "journal_size_limit") == 64 * 1024 * 1024
        fill(store, ID, 300)
    assert names(path.parent) == ["store.db"]
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_reader_cannot_write(filled):
    with closing(SqliteStore.open_reader(filled)) as store, pytest.raises(StoreDenied):
        store.save_run(Run("b", "1", {}))


def test_a_reader_never_makes_a_file(filled, tmp_path):
    with closing(SqliteStore.open_reader(filled)) as store:
        read_all(Journal.open(store, ID))
        assert names(tmp_path) == ["store.db"]
    with pytest.raises(NotFound, match="no such store"):
        SqliteStore.open_reader(tmp_path / "none.db")
    assert names(tmp_path) == ["store.db"]


def test_an_empty_file_is_a_store_not_yet_filled(path):
    path.touch()
    with pytest.raises(NotFound, match="empty"):
        SqliteStore.open_reader(path)
    assert path.read_bytes() == b""
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, ID, 3)


@pytest.mark.parametrize(
    "name",
    [
        "a?b#c%d e.db",
        "é 日本 😀.db",
        "%41.db",
        ":memory:",
        "x?mode=ro",
        "-db",
        "a;b'c\"d.db",
        "n\n.db",
    ],
)
def test_a_store_may_have_any_name(tmp_path, name):
    with closing(SqliteStore.open_writer(tmp_path / name)) as store:
        fill(store, ID, 3)
        assert {f"{name}-wal", f"{name}.lock"} < {*names(tmp_path)}
    assert names(tmp_path) == [name]
    with closing(SqliteStore.open_reader(tmp_path / name)) as store:
        assert Journal.open(store, ID).steps == 3


def test_a_store_may_have_a_name_that_is_no_text_and_a_path_any_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = Path(os.fsdecode(b"caf\xe9.db"))
    for form in (
        odd,
        Path("plain.db"),
        Path("..", tmp_path.name, "plain.db"),
        Path(f"/{tmp_path}/p.db"),
    ):
        with closing(SqliteStore.open_writer(form)) as store:
            begin(store, f"projection/{len(str(form))}").add(0, record(0))
        SqliteStore.open_reader(form).close()
    assert names(tmp_path) == sorted([str(odd), "plain.db", "p.db"])


def test_a_symlinked_store_keeps_its_files_beside_the_target(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "far" / "store.db")
    with closing(SqliteStore.open_writer(link)) as store:
        fill(store, ID, 3)
        assert names(tmp_path) == ["far", "link.db"]
    assert names(tmp_path / "far") == ["store.db"]
    link.unlink()
    link.symlink_to(tmp_path / "away" / "store.db")
    with pytest.raises(NotFound, match="away: no such folder"):
        SqliteStore.open_writer(link)


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /net rw,relatime shared:2 master:3 - nfs4 server:/x rw
31 30 8:2 / /net/local rw,relatime - xfs /dev/b rw
32 22 0:41 / /my\\040share rw,relatime - cifs //s/x rw
33 22 0:42 / /vm rw - virtiofs tag rw
34 22 0:43 / /fuse rw - fuse.sshfs me@host:/ rw
35 22 0:44 / /over rw - nfs a:/ rw
36 22 0:45 / /over rw - ext4 /dev/c rw
37 22 0:46 / /cage rw - fuse.lxcfs lxcfs rw
38 22 0:47 / /nine rw - 9p host rw
"""


@pytest.mark.parametrize(
    ("place", "remote"),
    [
        ("/home/me/store.db", False),
        ("/store.db", False),
        ("/net/store.db", True),
        ("/net/deep/er/store.db", True),
        ("/network/store.db", False),
        ("/net/local/store.db", False),
        ("/my share/store.db", True),
        ("/vm/store.db", True),
        ("/fuse/store.db", True),
        ("/over/store.db", False),
        ("/cage/store.db", False),
        ("/nine/a/store.db", True),
    ],
)
def test_filesystems_whose_memory_is_not_shared_are_known(tmp_path, place, remote):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert is_remote(Path(place), mounts) is remote


def test_where_there_is_no_table_of_mounts_every_place_is_local(tmp_path):
    assert not is_remote(tmp_path, tmp_path / "none")
    assert not is_mounted(tmp_path, tmp_path / "none")


def test_a_file_that_is_a_mount_of_its_own_is_known_and_refused(tmp_path, monkeypatch):
    path = tmp_path / "a b" / "s\\.db"
    path.parent.mkdir()
    path.touch()
    shown = str(path).replace("\\", "\\134").replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"{MOUNTS}70 20 8:1 /s.db {shown} rw - ext4 /dev/sda1 rw\n")
    assert is_mounted(path, mounts)
    assert is_mounted(path.parent / ".." / "a b" / path.name, mounts)
    assert not is_mounted(path.parent, mounts)
    assert not is_mounted(path.with_name("s"), mounts)
    monkeypatch.setattr(connection, "is_mounted", lambda place: is_mounted(place, mounts))
    for opening in (SqliteStore.open_writer, SqliteStore.open_reader):
        with pytest.raises(UsageError, match="mounted there as a single file") as caught:
            opening(path)
        assert "mount its folder" in caught.value.hint
    assert os.listdir(path.parent) == [path.name]


# -- what is refused


def in_sqlite(path, script):
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(script)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
REFUSED_SCHEMAS = {
    "a view in place of a table": (
        f"DROP TABLE crash; CREATE VIEW crash (workflow) AS {ENDLESS}", StoreDamaged),
    "another view in place of ours": (
        f"DROP VIEW projections; CREATE VIEW projections AS {ENDLESS}", StoreDamaged),
    "a trigger on a table": (
        "CREATE TRIGGER t AFTER INSERT ON step BEGIN DELETE FROM segment; END", StoreDamaged),
    "a trigger on the view": (
        "CREATE TRIGGER t INSTEAD OF INSERT ON projections BEGIN DELETE FROM step; END",
        StoreDamaged),
    "a further column": ("ALTER TABLE step ADD COLUMN x TEXT", StoreDamaged),
    "a generated column": ("ALTER TABLE step ADD COLUMN x BLOB AS (zeroblob(1000000000))", StoreDamaged),
    "a missing table": ("DROP TABLE attempt", StoreDamaged),
    "another application": ("PRAGMA application_id = 7", UsageError),
    "no application": ("PRAGMA application_id = 0", UsageError),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED_SCHEMAS)
def test_a_store_that_is_not_as_we_make_them_is_refused(filled, what):
    script, error = REFUSED_SCHEMAS[what]
    in_sqlite(filled, script)
    before = filled.read_bytes()
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(error):
            opening(filled)
    assert names(filled.parent) == ["store.db"]
    if error is UsageError:
        assert filled.read_bytes() == before


def test_a_database_of_somebody_else_is_refused_and_left_alone(path):
    in_sqlite(path, "CREATE TABLE mine (x)")
    before = path.read_bytes()
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(UsageError, match="not a durproj store"):
            opening(path)
    assert path.read_bytes() == before


def test_tables_views_and_indexes_of_the_user_are_no_obstacle(filled):
    in_sqlite(
        filled,
        "CREATE TABLE notes (text); INSERT INTO notes VALUES ('kept');"
        " CREATE VIEW waiting AS SELECT id FROM projections WHERE status = 'pending';"
        " CREATE INDEX by_status ON workflow (status);"
        " CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END",
    )
    with closing(SqliteStore.open_writer(filled)) as store:
        Journal.open(store, ID).add(20, record(20))
    with closing(sqlite3.connect(filled)) as conn:
        assert conn.execute("SELECT * FROM notes").fetchall() == [("kept",)]
        assert conn.execute("SELECT * FROM waiting").fetchall() == [(ID,)]


@pytest.mark.parametrize(
    "on_ours",
    [
        "TRIGGER acting AFTER INSERT ON workflow BEGIN DELETE FROM step; END",
        "INDEX acting ON workflow (lower(id))",
        "INDEX acting ON workflow (id, steps + 1)",
        "INDEX acting ON workflow (id GLOB key)",
        "INDEX acting ON workflow (id) WHERE abs(steps) > 1",
    ],
)
def test_what_does_more_with_our_tables_than_asked_for_is_refused(filled, on_ours):
    in_sqlite(filled, f"CREATE {on_ours}")
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(StoreDamaged, match="the schema is not durproj's: acting"):
            opening(filled)


@pytest.mark.parametrize("columns", ["status", '"status" DESC, [steps]', "status asc,\n steps"])
def test_an_index_of_the_user_on_columns_of_ours_is_no_obstacle(filled, columns):
    in_sqlite(filled, f"CREATE INDEX by_status ON workflow ({columns})")
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        opening(filled).close()


def test_a_store_with_two_names_is_refused(filled):
    os.link(filled, filled.with_name("other.db"))
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(UsageError, match="2 names"):
            opening(filled.with_name("other.db"))


def test_what_is_no_file_is_no_store(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "folder"):
        for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
            with pytest.raises(UsageError, match="not a file"):
                opening(tmp_path / name)
    assert names(tmp_path) == ["fifo", "folder"]


# -- readers and a writer at work


def test_a_reader_does_not_hold_a_writer_up(path):
    with closing(SqliteStore.open_writer(path)) as store:
        store._conn.execute("PRAGMA busy_timeout = 0")
        journal = fill(store, ID, 3)
        with closing(SqliteStore.open_reader(path)) as reader, reader.snapshot():
            assert reader.head(ID).steps == 1
            for step in range(3, 600):
                journal.add(step, record(step))
            assert reader.head(ID).steps == 1
        assert store.head(ID).steps == 512


def too_late(*_):
    raise AssertionError("it waited for the reader")


def test_a_writer_closes_at_once_while_somebody_reads_and_all_is_there(path, request):
    before = signal.signal(signal.SIGALRM, too_late)
    request.addfinalizer(lambda: signal.signal(signal.SIGALRM, before))
    store = SqliteStore.open_writer(path)
    fill(store, ID, 3)
    with closing(SqliteStore.open_reader(path)) as reader, reader.snapshot():
        assert reader.head(ID) is not None
        Journal.open(store, ID).add(3, record(3))
        # Whatever waits for the reader would wait for ever: it is this very thread.
        signal.alarm(20)
        store.close()
        signal.alarm(0)
    with closing(SqliteStore.open_reader(path)) as reader:
        assert Journal.open(reader, ID).steps == 4
    with closing(SqliteStore.open_writer(path)) as store:
        assert Journal.open(store, ID).steps == 4
    assert names(path.parent) == ["store.db"]


# -- the view for everybody


def projections(path):
    with closing(sqlite3.connect(path)) as conn:
        plain = conn.execute("SELECT id, status, steps, state FROM projections ORDER BY id")
        rows = plain.fetchall()
        db = sqlite_utils.Database(conn, execute_plugins=False)
        assert [
            (row["id"], row["status"], row["steps"], row["state"])
            for row in db["projections"].rows_where(order_by="id")
        ] == rows
    return rows


@pytest.mark.parametrize("steps", [1, 2, 20, 255, 256, 257, 300])
def test_the_view_shows_the_newest_state_in_the_middle_of_a_run_and_after_it(path, steps):
    store = SqliteStore.open_writer(path)
    journal = fill(store, ID, steps)
    newest = record(steps - 1)[2].decode()
    # As another program sees it while the writer is at work, or was killed.
    assert projections(path) == [(ID, "pending", steps, newest)]
    journal.save("rejected", error=b'{"step":1}')
    assert projections(path) == [(ID, "rejected", steps, newest)]
    journal.add(steps, record(steps))
    journal.save("resolved", state=b'"the result"')
    assert projections(path) == [(ID, "resolved", steps + 1, '"the result"')]
    store.close()
    assert projections(path) == [(ID, "resolved", steps + 1, '"the result"')]
    with closing(SqliteStore.open_writer(path)) as store:
        Journal.open(store, ID).rewind(1)
    assert projections(path) == [(ID, "pending", 1, record(0)[2].decode())]


# -- errors


def test_after_a_store_is_closed_its_verbs_are_errors_of_ours(path):
    store = SqliteStore.open_writer(path)
    store.close()
    for verb in (lambda: store.head(ID), store.runs, lambda: store.save_run(Run("a", "1", {}))):
        with pytest.raises(StoreError):
            verb()


def test_examining_reports_what_it_finds_and_never_raises(filled, tmp_path):
    found = examine(filled)
    assert found.error is None
    assert found.workflows == {"pending": 1}
    for name in ("none.db", "no/where.db"):
        assert isinstance(examine(tmp_path / name).error, DurprojError)
    in_sqlite(filled, "UPDATE step SET output = x'00' WHERE step = 7")
    assert isinstance(examine(filled).error, StoreDamaged)
    with closing(SqliteStore.open_writer(tmp_path / "held.db")):
        assert f"process {os.getpid()}" in examine(tmp_path / "held.db").holder
