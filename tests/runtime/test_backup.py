"""A copy of a store is whole and of one instant, whoever writes to the store and whoever is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from conftest import environment, start
from dying import inputs, journals, stream, trail, write

import durproj
from durproj import NotFound, StoreBusy, StoreDamaged, StoreError, UsageError
from durproj.stores import copying
from durproj.stores.connection import connect_writer
from durproj.stores.lock import Lock

SLOW = """
def slow(state, event):
    x = state["trail"]
    for _ in range(6000):
        x = (x * 31 + event.body["v"]) % 1000003
    return {"n": state["n"] + 1, "trail": x}

slow.initial = {"n": 0, "trail": 7}
"""
EVENTS = [(f"u{i * i % 7}", i) for i in range(1500)]


@pytest.fixture
def store(tmp_path):
    write(tmp_path / "log.jsonl", EVENTS)
    durproj.fold(
        tmp_path / "log.jsonl", reducer=trail, store=tmp_path / "store.db", durability="batch"
    )
    return tmp_path / "store.db"


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_a_copy_is_a_store_like_the_one_it_was_made_of(store, tmp_path):
    store.chmod(0o640)
    (tmp_path / "copies").mkdir()
    before, content = files(tmp_path), store.read_bytes()
    made = durproj.backup(tmp_path / "copies" / "a.db", store=store)
    copy = tmp_path / "copies" / "a.db"
    assert made == {
        "type": "backup",
        "store": str(store),
        "to": str(copy),
        "bytes": copy.stat().st_size,
        "workflows": 4,
        "unfinished": 0,
        "left_out": [],
    }
    assert journals(copy) == journals(store)
    assert copy.stat().st_mode & 0o777 == 0o640
    assert (files(tmp_path), files(copy.parent)) == (before, {"a.db"})
    assert store.read_bytes() == content
    # Not in WAL, which would need more files than one.
    assert copy.read_bytes()[18:20] == b"\x01\x01"


def test_a_store_that_is_open_for_writing_is_copied_without_what_is_not_committed(store, tmp_path):
    with closing(connect_writer(store, "step")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("DELETE FROM workflow")
        durproj.backup(tmp_path / "a.db", store=store)
        conn.execute("ROLLBACK")
    assert journals(tmp_path / "a.db") == journals(store)
    assert files(tmp_path) >= {"a.db"}
    assert not {"a.db-wal", "a.db-shm"} & files(tmp_path)


def test_it_finishes_while_every_step_is_committed(store, tmp_path):
    """A copy that is begun anew at every commit would never end."""
    written, ended = threading.Event(), threading.Event()

    def write_on():
        with closing(connect_writer(store, "step")) as conn:
            conn.execute("CREATE TABLE more (n)")
            conn.execute("INSERT INTO more VALUES (zeroblob(12000000))")
            written.set()
            while not ended.is_set():
                conn.execute("INSERT INTO more VALUES (zeroblob(100))")

    writer = threading.Thread(target=write_on)
    writer.start()
    written.wait()
    try:
        for n in range(5):
            durproj.backup(tmp_path / f"{n}.db", store=store)
    finally:
        ended.set()
        writer.join()
    for n in range(5):
        assert journals(tmp_path / f"{n}.db") == journals(store)


def test_without_wal_a_copy_is_begun_anew_when_somebody_writes_and_given_up_in_the_end(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(copying, "PAGES", 1)
    content = journals(store)
    with closing(sqlite3.connect(store, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("CREATE TABLE more (n)")
        times = []

        def connect(path):
            conn = connecting(path)

            class Watched:
                def __getattr__(self, name):
                    return getattr(conn, name)

                def backup(self, target, *, progress, **how):
                    def watched(*state):
                        if (state[1] == state[2] - 2) and len(times) < wanted:
                            times.append(state)
                            writer.execute("INSERT INTO more VALUES (zeroblob(100))")
                        progress(*state)

                    conn.backup(target, progress=watched, **how)

            return Watched()

        connecting = copying.connect_reader
        monkeypatch.setattr(copying, "connect_reader", connect)
        wanted = 3
        durproj.backup(tmp_path / "a.db", store=store)
        assert len(times) == 3
        assert journals(tmp_path / "a.db") == content
        wanted, times = 1000, []
        with pytest.raises(StoreBusy, match="kept changing: copying was started 10 times"):
            durproj.backup(tmp_path / "b.db", store=store)
    assert not [name for name in files(tmp_path) if name.startswith("b.db")]


@pytest.mark.parametrize("force", [False, True])
def test_another_file_is_replaced_only_when_asked_for(store, tmp_path, force):
    (tmp_path / "a.db").write_text("mine")
    if force:
        durproj.backup(tmp_path / "a.db", store=store, force=True)
        assert journals(tmp_path / "a.db") == journals(store)
        return
    with pytest.raises(UsageError, match="is there already"):
        durproj.backup(tmp_path / "a.db", store=store)
    assert (tmp_path / "a.db").read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "store.db",
        "x/../store.db",
        "link.db",
        "store.db-wal",
        "store.db.lock",
        "store.db.live-x#synced",
    ],
)
def test_the_store_itself_is_never_replaced(store, tmp_path, name, force):
    (tmp_path / "x").mkdir()
    (tmp_path / "link.db").symlink_to("store.db")
    (tmp_path / "store.db.live-x#synced").touch()
    before, content = files(tmp_path), store.read_bytes()
    with pytest.raises(UsageError, match="the store: it is left as it is"):
        durproj.backup(tmp_path / name, store=store, force=force)
    assert (files(tmp_path), store.read_bytes()) == (before, content)


@pytest.mark.parametrize("name", ["log.jsonl", "link.jsonl", "hard.jsonl", "r.py"])
def test_nothing_that_the_store_was_folded_from_is_replaced(tmp_path, name):
    write(tmp_path / "log.jsonl", EVENTS[:9])
    (tmp_path / "r.py").write_text(SLOW)
    (tmp_path / "link.jsonl").symlink_to("log.jsonl")
    os.link(tmp_path / "log.jsonl", tmp_path / "hard.jsonl")
    store = tmp_path / "store.db"
    durproj.fold(tmp_path / "log.jsonl", reducer=f"{tmp_path}/r.py:slow", store=store)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(UsageError, match="folded as projection: it is left as it is"):
        durproj.backup(tmp_path / name, store=store, force=True)
    assert (tmp_path / name).read_bytes() == before


def test_what_a_store_of_that_name_left_behind_is_not_taken_for_a_part_of_the_copy(store, tmp_path):
    (tmp_path / "a.db-wal").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"a\.db-wal exists"):
        durproj.backup(tmp_path / "a.db", store=store, force=True)
    shutil.copy(store, tmp_path / "b.db")
    lock = Lock(tmp_path / "b.db")
    lock.acquire()
    with pytest.raises(StoreBusy, match="in use by process"):
        durproj.backup(tmp_path / "b.db", store=store, force=True)
    lock.release()


def test_places_where_nothing_can_be_made_are_refused(store, tmp_path):
    (tmp_path / "folder").mkdir()
    for dest, error in {
        tmp_path / "folder": UsageError,
        tmp_path / "none" / "a.db": NotFound,
        "": UsageError,
    }.items():
        with pytest.raises(error):
            durproj.backup(dest, store=store, force=True)
    with pytest.raises(NotFound, match="no such store"):
        durproj.backup(tmp_path / "a.db", store=tmp_path / "none.db")
    assert "none.db" not in files(tmp_path)


@pytest.mark.parametrize(
    "damage",
    ["UPDATE workflow SET state = '{}' WHERE no = 2", "UPDATE past SET steps = 3"],
)
def test_a_damaged_store_gives_no_copy(store, tmp_path, damage):
    durproj.gc(keep_last=10, store=store)
    with closing(sqlite3.connect(store)) as conn:
        conn.execute(damage)
        conn.commit()
    (tmp_path / "a.db").write_text("the last one that was sound")
    before = files(tmp_path)
    with pytest.raises(StoreDamaged, match="damaged, so it was not copied"):
        durproj.backup(tmp_path / "a.db", store=store, force=True)
    assert files(tmp_path) == before
    assert (tmp_path / "a.db").read_text() == "the last one that was sound"


@pytest.mark.parametrize("force", [False, True])
def test_no_file_but_the_copy_is_touched(store, tmp_path, force):
    """What is named as a backup of old was made beside it, too."""
    names = [f"a.db.new{end}" for end in ("", "-wal", "-shm", "-journal")]
    for name in names:
        (tmp_path / name).write_text("mine")
    durproj.backup(tmp_path / "a.db", store=store, force=force)
    assert [(tmp_path / name).read_text() for name in names] == ["mine"] * 4
    durproj.backup(tmp_path / "b", store=store)
    shutil.move(store, tmp_path / "b.new")
    durproj.backup(tmp_path / "b", store=tmp_path / "b.new", force=True)
    assert journals(tmp_path / "b") == journals(tmp_path / "b.new")


@pytest.mark.parametrize("column", ["packed", "hash", "seed"])
def test_a_flipped_bit_in_an_old_block_of_a_finished_workflow_gives_no_copy(tmp_path, column):
    events, store, copy = [("a", n) for n in range(600)], tmp_path / "s.db", tmp_path / "a.db"
    write(tmp_path / "log.jsonl", events)
    durproj.fold(tmp_path / "log.jsonl", reducer=trail, store=store, durability="batch")
    durproj.backup(copy, store=store)
    sound = copy.read_bytes()
    with closing(sqlite3.connect(store)) as conn:
        (bits,) = conn.execute(f"SELECT {column} FROM segment WHERE start = 0").fetchone()
        bits = bits[:9] + bytes([bits[9] ^ 4]) + bits[10:]
        conn.execute(f"UPDATE segment SET {column} = ? WHERE start = 0", (bits,))
        conn.commit()
    before = files(tmp_path)
    with pytest.raises(StoreDamaged) as refused:
        durproj.backup(copy, store=store, force=True)
    said = refused.value.message
    assert f"{store}: the store is damaged, so it was not copied:" in said
    assert "projection/a" in said
    assert ".tmp" not in said
    assert (copy.read_bytes(), files(tmp_path)) == (sound, before)


def test_a_page_that_is_torn_out_gives_no_copy(store, tmp_path):
    content = bytearray(store.read_bytes())
    content[4096 * 2 : 4096 * 6] = b"\xa5" * 4096 * 4
    store.write_bytes(content)
    with pytest.raises(StoreError):
        durproj.backup(tmp_path / "a.db", store=store)
    assert not [name for name in files(tmp_path) if name.startswith("a.db")]


def test_copies_of_pipes_are_named_as_left_out(tmp_path):
    lines = b"".join(b'{"user":"a","type":"T","n":%d}\n' % n for n in range(50))
    args = ["run", "-", "--reducer", "counts", "--crash", "20", "-q"]
    command = [sys.executable, "-m", "durproj", *args]
    subprocess.run(command, input=lines, cwd=tmp_path, env=environment(), check=False, timeout=60)
    made = durproj.backup(tmp_path / "a.db", store=tmp_path / "durproj.db")
    assert made["unfinished"] == 1
    assert made["left_out"] == [str(tmp_path / "durproj.db.input-1")]
    with pytest.raises(UsageError, match="give it the same input again"):
        durproj.resume(store=tmp_path / "a.db")


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["step", "batch"])
def test_copies_made_while_a_run_is_killed_and_resumed_all_resume_to_its_end(
    tmp_path, durproj, durability
):
    (tmp_path / "slow.py").write_text(SLOW)
    write(tmp_path / "log.jsonl", EVENTS)
    chance = random.Random(3)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    how = {"folder": tmp_path, "stderr": subprocess.PIPE, **quiet}
    args = ["run", "log.jsonl", "--reducer", "slow.py:slow", "--durability", durability, "-q"]
    copies, at_work, killed = [], 0, 0
    for round in range(30):
        run = start(*args, **how)
        while run.poll() is None and chance.random() < 0.7:
            time.sleep(chance.uniform(0, 0.2))
            copy = tmp_path / f"copy{round}-{len(copies)}.db"
            backup = start("backup", copy.name, **how)
            if chance.random() < 0.3:  # killed, a copy is whole or not there
                time.sleep(chance.uniform(0, 0.2))
                backup.kill()
                killed += 1
            error = backup.communicate()[1].decode()
            if copy.exists():
                copies.append(copy)
                at_work += run.poll() is None
            else:
                none = "no such store" in error or "the store is empty" in error
                assert backup.returncode == -signal.SIGKILL or none, error
        if run.poll() is None:
            run.kill()
        run.communicate()
        if run.returncode == 0 and round > 5:
            break
    else:
        assert durproj(*args).code == 0
    assert at_work
    assert not [name for name in files(tmp_path) if name.endswith(".tmp")] or killed
    end = journals(tmp_path / "durproj.db")
    for copy in copies:
        for id, journal in journals(copy).items():
            lines = inputs(journal)
            assert lines == stream(EVENTS, id.partition("/")[2])[: len(lines)]
    for copy in chance.sample(copies, min(3, len(copies))):
        assert durproj(*args, "--store", copy.name).code == 0
        assert journals(copy) == end
