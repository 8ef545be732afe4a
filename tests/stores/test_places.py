"""SQLite in places that are hard to live in: read-only folders, hot journals, a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from conftest import environment
from making import columns, fill, read_all, record

from durproj.stores import connection
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

ID = "projection/u1"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def names(folder):
    return sorted(os.listdir(folder))


READ = """
import os, sys
from contextlib import closing
from pathlib import Path
import durproj.zstd
from durproj.errors import DurprojError
from durproj.stores.journal import Journal
from durproj.stores.migrations import expected_schema
from durproj.stores.sqlite import SqliteStore
expected_schema()
if os.getuid() == 0:  # once all is imported: Python itself may be out of reach for nobody
    os.setgid(65534)
    os.setuid(65534)
opening = getattr(SqliteStore, sys.argv[2])
try:
    with closing(opening(Path(sys.argv[1]))) as store:
        print(Journal.open(store, "projection/u1").steps)
except DurprojError as error:
    print(error.exit_code, type(error).__name__)
"""


@pytest.fixture
def apart():
    """A folder that other users can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


def as_nobody(path, opening="open_reader"):
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), opening],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def left_by_a_killed_writer(folder, ends, durability="step"):
    """A store of 300 steps in `folder`, as it is while a writer is at work, with files `ends`."""
    with tempfile.TemporaryDirectory() as elsewhere:
        store = SqliteStore.open_writer(Path(elsewhere, "store.db"), durability)
        fill(store, ID, 300)
        for end in ends:
            shutil.copyfile(f"{elsewhere}/store.db{end}", f"{folder}/store.db{end}")
            os.chmod(f"{folder}/store.db{end}", 0o444)
        store.close()
    return Path(folder, "store.db")


@pytest.mark.parametrize("ends", [("",), ("", "-wal", "-shm"), ("", "-wal")])
def test_a_store_in_a_read_only_folder_can_be_read(apart, ends):
    path = left_by_a_killed_writer(apart, ends) if ends != ("",) else apart / "store.db"
    if ends == ("",):
        with closing(SqliteStore.open_writer(path)) as store:
            fill(store, ID, 300)
    os.chmod(path, 0o444)
    os.chmod(apart, 0o555)
    before = names(apart)
    assert as_nobody(path) == "300"
    assert names(apart) == before
    assert as_nobody(path, "open_writer") == "77 StoreDenied"


def test_a_link_to_a_store_in_a_read_only_folder_leads_to_its_wal_too(apart):
    far = apart / "far"
    far.mkdir()
    left_by_a_killed_writer(far, ("", "-wal"))
    (apart / "near").mkdir()
    link = apart / "near" / "link.db"
    link.symlink_to(far / "store.db")
    os.chmod(far, 0o555)
    assert as_nobody(link) == "300"


def test_a_wal_store_without_its_wal_in_a_read_only_folder_is_what_was_checkpointed(apart):
    path = left_by_a_killed_writer(apart, ("",))
    os.chmod(apart, 0o555)
    # Nothing was: the header alone says so, and no half of anything is shown.
    assert as_nobody(path) in {"66 NotFound", "2 UsageError", "74 StoreDamaged"}


def test_files_and_folders_without_permission_are_denied(apart):
    path = left_by_a_killed_writer(apart, ("", "-wal"))
    os.chmod(path, 0o600)
    assert as_nobody(path) == "77 StoreDenied"
    os.chmod(path, 0o644)
    os.chmod(apart, 0o700)
    assert as_nobody(path) == "77 StoreDenied"
    assert as_nobody(path, "open_writer") == "77 StoreDenied"


def test_a_read_only_file_in_a_folder_of_ones_own_is_read_and_not_written(apart):
    path = apart / "store.db"
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, ID, 300)
    os.chmod(path, 0o444)
    os.chmod(apart, 0o777)
    assert as_nobody(path) == "300"
    assert as_nobody(path, "open_writer") == "77 StoreDenied"
    assert names(apart) == ["store.db"]


def test_a_store_with_a_hot_rollback_journal_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "is_remote", lambda _: True)
    work, left = tmp_path / "work", tmp_path / "left"
    work.mkdir()
    left.mkdir()
    store = SqliteStore.open_writer(work / "store.db")
    fill(store, ID, 20)
    store._conn.execute("PRAGMA cache_size = 1")
    # What is killed in the middle of a transaction, some of whose pages are written already.
    with pytest.raises(ZeroDivisionError), store.transaction():
        Journal.open(store, ID).append(20, columns([record(step) for step in range(20, 24)]))
        fill(store, "projection/u2", 200)
        for end in ("", "-journal"):
            shutil.copyfile(work / f"store.db{end}", left / f"store.db{end}")
        raise ZeroDivisionError
    store.close()
    path = left / "store.db"
    with closing(SqliteStore.open_reader(path)) as store:
        assert Journal.open(store, ID).steps == 20
        assert store.head("projection/u2") is None
    with closing(SqliteStore.open_writer(path)) as store:
        assert Journal.open(store, ID).steps == 20


# -- a full disk


FILL_UP = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from making import begin, columns, record
from durproj.errors import StoreError
from durproj.stores.sqlite import SqliteStore
store = SqliteStore.open_writer(Path(sys.argv[1]), sys.argv[3])
journal = begin(store)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
step = 0
try:
    while True:
        if sys.argv[4] == "one":
            journal.add(step, record(step, 2000))
            step += 1
        else:
            journal.append(step, columns([record(step + n, 2000) for n in range(30)]))
            step += 30
except StoreError as error:
    print(step, error.exit_code, store._conn.in_transaction, flush=True)
store.close()
"""


@pytest.mark.parametrize("how", ["one", "many"])
@pytest.mark.parametrize("durability", ["step", "fsync"])
def test_a_full_disk_loses_nothing_that_was_acknowledged(path, durability, how):
    command = [sys.executable, "-c", FILL_UP, str(path), os.path.dirname(__file__), durability, how]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    steps, code, open_still = done.stdout.split()
    assert (code, open_still) == ("74", "False")
    assert int(steps) > 10
    with closing(SqliteStore.open_reader(path)) as store:
        assert Journal.open(store, ID).steps == int(steps)
    with closing(SqliteStore.open_writer(path)) as store:
        journal = Journal.open(store, ID)
        for step in range(int(steps), int(steps) + 50):
            journal.add(step, record(step, 2000))
        wanted = [record(step, 2000) for step in range(int(steps) + 50)]
        assert read_all(Journal.open(store, ID)) == wanted
    assert names(path.parent) == ["store.db"]
