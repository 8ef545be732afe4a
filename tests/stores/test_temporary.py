"""Files that take another name once they are whole, and what killed processes leave of them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

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
