"""After an I/O error nothing more is written to a store, and its log of writes stays (P3)."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from making import begin, columns, fill, read_all, record

from durproj.errors import StoreError
from durproj.stores import connection
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

MORE = columns([record(step) for step in range(3, 103)])


class Disk:
    """A disk that fails where a statement begins with `at`, once, with an error of SQLite's of this code."""

    def __init__(self, monkeypatch) -> None:
        self.at, self.code, self.met = "", sqlite3.SQLITE_IOERR, 0
        disk, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def execute(self, sql, *values):
                if disk.at and sql.startswith(disk.at):
                    disk.at, disk.met = "", disk.met + 1
                    error = sqlite3.OperationalError("disk I/O error")
                    error.sqlite_errorcode = disk.code
                    raise error
                return super().execute(sql, *values)

        def connect_to(*args, **options):
            return connect(*args, factory=Connection, **options)

        monkeypatch.setattr(connection.sqlite3, "connect", connect_to)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.mark.parametrize("at", ["COMMIT", "INSERT INTO segment", "SELECT", "BEGIN"])
def test_after_an_io_error_nothing_is_written_and_the_log_of_writes_stays(disk, tmp_path, at):
    path = tmp_path / "store.db"
    store = SqliteStore.open_writer(path)
    journal = fill(store, "projection/u", 3)
    disk.at, disk.code = at, sqlite3.SQLITE_IOERR | 4 << 8  # of an fsync
    with pytest.raises(StoreError, match=r"store\.db: .*I/O error"):
        if at == "SELECT":
            store.head("projection/other")
        else:
            journal.append(3, MORE)
    assert disk.met == 1
    with pytest.raises(StoreError, match=r"store\.db: .*I/O error"):
        begin(store, "projection/other")
    with pytest.raises(StoreError, match=r"store\.db: .*I/O error"):
        store.heads().__next__()
    store.close()
    assert (tmp_path / "store.db-wal").stat().st_size
    with closing(SqliteStore.open_writer(path)) as again:
        assert len(read_all(Journal.open(again, "projection/u"))) == 3
        assert again.head("projection/other") is None
    assert not (tmp_path / "store.db-wal").exists()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY])
def test_after_another_error_it_goes_on(disk, tmp_path, code):
    with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
        journal = fill(store, "projection/u", 3)
        disk.at, disk.code = "COMMIT", code
        with pytest.raises(StoreError):
            journal.append(3, MORE)
        fill(store, "projection/other", 2)
    with closing(SqliteStore.open_reader(tmp_path / "store.db")) as store:
        found = {head.id: len(read_all(Journal.open(store, head.id))) for head in store.heads()}
    assert found == {"projection/u": 3, "projection/other": 2}
