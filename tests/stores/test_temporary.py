"""Files that take another name once they are whole, and what killed processes leave of them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from durproj.stores.lock import Lock
from durproj.stores.temporary import file_for

BEGIN = """
import os, sys
from durproj.stores.temporary import file_for

path, *beside = sys.argv[1:]
with file_for(path) as (file, name):
    os.write(file, b"half")
    for end in beside:
        open(f"{name}{end}", "wb").close()
    print("begun", flush=True)
    sys.stdin.read()
"""


@contextmanager
def making(path, *beside):
    """A process that has begun such a file for `path`, with more beside it, and is killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN, path, *beside], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"begun\n"
        yield
        process.kill()


def files(folder):
    return sorted(os.listdir(folder))


def test_what_a_killed_process_left_goes_with_the_next_file_for_the_same_path(tmp_path):
    with making(tmp_path / "a", "-journal", "-wal", "-shm"):
        pass
    left = files(tmp_path)
    assert len(left) == 5
    with file_for(tmp_path / "b"):
        pass
    assert files(tmp_path) == left
    with file_for(tmp_path / "a") as (file, name):
        assert {f"{tmp_path}/{each}" for each in files(tmp_path)} == {name, f"{name}.lock"}
        assert os.fstat(file).st_mode & 0o777 == 0o600
        os.replace(name, tmp_path / "a")
    assert files(tmp_path) == ["a"]


def test_what_a_process_at_work_has_made_stays(tmp_path):
    with making(tmp_path / "a"):
        held = files(tmp_path)
        with file_for(tmp_path / "a"):
            assert len(files(tmp_path)) == 4
        assert files(tmp_path) == held


def test_nothing_else_is_taken_for_what_was_left(tmp_path):
    others = [
        ".durproj-12345678-x.tmp",
        ".durproj-12345678-x.tmp.lock",
        "a.tmp",
        ".durproj-mine.tmp",
    ]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(KeyError), file_for(tmp_path / "a"):
        raise KeyError
    assert files(tmp_path) == sorted(others)


def seize(monkeypatch, take, times):
    """So often `take` is given the name of a lock before it is locked."""
    lock, left = fcntl.flock, [None] * times

    def locked(file, how):
        if left:
            left.pop()
            take(os.readlink(f"/proc/self/fd/{file}"))
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", locked)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    "take",
    [os.unlink, lambda name: os.rename(name, f"{os.path.dirname(name)}/.nfs{os.urandom(4).hex()}")],
    ids=["gone", "gone but in use"],
)
def test_a_lock_that_another_process_removed_before_it_was_locked_is_none(
    take, times, tmp_path, monkeypatch
):
    seize(monkeypatch, take, times)
    with file_for(tmp_path / "a") as (_, name):
        assert Lock(name).held()
    assert not [file for file in files(tmp_path) if not file.startswith(".nfs")]


def test_who_never_gets_a_lock_does_without(tmp_path, monkeypatch):
    seize(monkeypatch, os.unlink, 1000)
    with file_for(tmp_path / "a") as (_, name):
        assert files(tmp_path) == [os.path.basename(name)]
    assert files(tmp_path) == []


def test_where_files_have_other_numbers_by_name_and_when_open_nothing_is_left(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("durproj.stores.temporary.is_named", lambda *_: False)
    with file_for(tmp_path / "a") as (_, name):
        assert files(tmp_path) == [os.path.basename(name), os.path.basename(f"{name}.lock")]
    assert files(tmp_path) == []


def test_a_link_is_not_taken_for_the_lock_of_what_was_left(tmp_path):
    with making(tmp_path / "a"):
        pass
    (lock,) = tmp_path.glob("*.lock")
    lock.unlink()
    mine = tmp_path / "mine"
    mine.write_bytes(b"")
    lock.symlink_to(mine)
    there = files(tmp_path)
    with file_for(tmp_path / "a"):
        pass
    assert files(tmp_path) == there


def refusing(monkeypatch, end):
    """Nothing whose name ends so can be removed."""
    unlink = os.unlink

    def unlinked(path):
        if path.endswith(end):
            raise PermissionError(path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlinked)


def test_what_cannot_be_removed_keeps_its_lock(tmp_path):
    with pytest.MonkeyPatch.context() as patch, file_for(tmp_path / "a"):
        refusing(patch, ".tmp")
        there = files(tmp_path)
    assert len(there) == 2
    with file_for(tmp_path / "a"):
        assert not {*there} & {*files(tmp_path)}
    assert files(tmp_path) == []


def test_a_lock_that_cannot_be_removed_is_no_failure_of_what_has_taken_its_place(
    tmp_path, monkeypatch
):
    refusing(monkeypatch, ".lock")
    with file_for(tmp_path / "a") as (_, name):
        os.replace(name, tmp_path / "a")
    assert files(tmp_path) == [os.path.basename(f"{name}.lock"), "a"]
