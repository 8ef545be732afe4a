"""Where a copy of a store does not fit, that place is named, and not the store, which is as it was."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile

import pytest
from dying import trail, write

import durproj
from durproj import StoreError
from durproj.stores import connection, copying


@pytest.fixture
def store(tmp_path):
    write(tmp_path / "log.jsonl", [(f"u{n}", n) for n in range(4)])
    durproj.fold(tmp_path / "log.jsonl", reducer=trail, store=tmp_path / "store.db")
    return tmp_path / "store.db"


@pytest.fixture
def full(tmp_path, monkeypatch):
    """Two folders, of which the first is for temporary files, and neither has room for a copy."""
    folders = tmp_path / "temporary", tmp_path / "other"
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders[0]))
    monkeypatch.setattr("durproj.exports.chosen.FEW", 1)
    connect, copy_once = connection._connect, copying._copy_once
    opened = []

    def connected(path, *query):
        opened.append(conn := connect(path, *query))
        if path.parent in folders:
            conn.execute("PRAGMA max_page_count = 2")
        return conn

    def copied(conn, target):
        target.execute("PRAGMA max_page_count = 2")
        copy_once(conn, target)

    monkeypatch.setattr(connection, "_connect", connected)
    monkeypatch.setattr(copying, "_copy_once", copied)
    yield folders
    for conn in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            conn.execute("SELECT 1")


def test_the_folder_that_is_full_is_named(store, full):
    temporary, other = full
    elsewhere = "make room there, or name a place with more"
    for copied, place, hint in [
        (lambda: durproj.backup(other / "a.db", store=store), other, elsewhere),
        (lambda: durproj.export(other / "a.jsonl", store=store), other, elsewhere),
        (
            lambda: list(durproj.export_records(store=store)),
            temporary,
            "make room there, or set TMPDIR to a folder with more",
        ),
    ]:
        with pytest.raises(StoreError) as refused:
            copied()
        no_room = f"{place}: the disk is full: there is no room for a copy of {store}"
        assert (refused.value.message, refused.value.hint) == (no_room, hint)
        assert os.listdir(place) == []


def test_so_it_is_where_a_store_is_read_that_nobody_may_write_to(store, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    read_only = connection.sqlite3.OperationalError("attempt to write a readonly database")
    read_only.sqlite_errorcode = connection.sqlite3.SQLITE_READONLY_ROLLBACK
    (tmp_path / "store.db-journal").write_bytes(b"x" * 600)

    def copyfile(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    with pytest.raises(StoreError) as refused:
        connection._connect_read_only_place(store, read_only)
    assert refused.value.message.startswith(f"{folder}: the disk is full: there is no room")
