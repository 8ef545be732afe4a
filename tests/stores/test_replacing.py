"""What is written whole and then takes a name, be it a copy of a store, an export or a report: one way of doing
it, and one of failing at it."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from dying import trail, write

import durproj
from durproj import OutputFailed, StoreDenied, StoreError

WRITERS = {
    "backup": (lambda store, to: durproj.backup(to, store=store, force=True), StoreError),
    "export": (
        lambda store, to: durproj.export(to, store=store, format="jsonl", force=True),
        OutputFailed,
    ),
    "report": (lambda store, to: durproj.report("projection/u1", to, store=store), OutputFailed),
}
OLD = b"<html>the one before"


@pytest.fixture
def store(tmp_path):
    write(tmp_path / "log.jsonl", [("u1", 1), ("u1", 2)])
    durproj.fold(tmp_path / "log.jsonl", reducer=trail, store=tmp_path / "store.db")
    return tmp_path / "store.db"


@pytest.fixture
def to(tmp_path):
    (tmp_path / "made").mkdir()
    path = tmp_path / "made" / "it"
    path.write_bytes(OLD)
    path.chmod(0o400)
    return path


def failing(monkeypatch, call, number, of):
    """What `call` is asked to do for `of`, a file or a folder, fails with this error."""
    plain = getattr(os, call)

    def called(*args, **how):
        status = os.fstat(args[0]) if isinstance(args[0], int) else os.stat(args[0])
        if stat.S_ISDIR(status.st_mode) == (of == "folder"):
            raise OSError(number, os.strerror(number))
        return plain(*args, **how)

    monkeypatch.setattr(os, call, called)


@pytest.mark.parametrize("how", WRITERS)
@pytest.mark.parametrize(
    ("call", "number", "of"),
    [
        ("fchmod", errno.EPERM, "file"),
        ("fsync", errno.EIO, "file"),
        ("fsync", errno.EIO, "folder"),
        ("replace", errno.ENOSPC, "file"),
        ("replace", errno.EACCES, "file"),
    ],
)
def test_what_the_system_refuses_is_told_and_nothing_has_changed(
    how, call, number, of, store, to, monkeypatch
):
    make, kind = WRITERS[how]
    failing(monkeypatch, call, number, of)
    with pytest.raises(StoreDenied if number in (errno.EPERM, errno.EACCES) else kind) as refused:
        make(store, to)
    assert refused.value.message == f"{to}: cannot be written: {os.strerror(number)}"
    assert (to.read_bytes(), os.listdir(to.parent)) == (OLD, ["it"])


@pytest.mark.parametrize("how", WRITERS)
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_where_folders_cannot_be_synced_it_is_made_all_the_same(
    how, number, store, to, monkeypatch
):
    make, _ = WRITERS[how]
    failing(monkeypatch, "fsync", number, "folder")
    make(store, to)
    assert to.read_bytes() != OLD
    assert os.listdir(to.parent) == ["it"]


@pytest.mark.parametrize("how", ["export", "report"])
def test_it_has_the_permissions_of_the_file_whose_place_it_takes(how, store, to):
    make, _ = WRITERS[how]
    make(store, to)
    assert stat.S_IMODE(to.stat().st_mode) == 0o400
    to.unlink()
    mask = os.umask(0o027)
    try:
        make(store, to)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(to.stat().st_mode) == 0o640
