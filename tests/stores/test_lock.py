"""P6: one writer per store, and whoever comes second is told who is first or waits."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import environment
from making import begin, fill, record

from durproj.errors import NotFound, StoreBusy, StoreDenied, StoreError
from durproj.stores.lock import Lock
from durproj.stores.sqlite import SqliteStore

HOLD = """
import sys
from pathlib import Path
from durproj.stores.sqlite import SqliteStore
store = SqliteStore.open_writer(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
store.close()
"""


def start(code, path):
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def holder(tmp_path):
    """A process that holds the store until a line is written to it."""
    with start(HOLD, tmp_path / "store.db") as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def held_by(pid):
    since = r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    return f"process {pid} on {re.escape(socket.gethostname())} {since}"


def test_the_second_writer_is_told_who_holds_the_store_and_since_when(tmp_path, holder):
    with pytest.raises(StoreBusy) as caught:
        SqliteStore.open_writer(tmp_path / "store.db")
    assert caught.value.exit_code == 75
    who = held_by(holder.pid)
    assert re.fullmatch(f"the store is in use by {who}", caught.value.message)
    assert caught.value.hint == "wait for it, or give --wait SECONDS"


def test_the_command_line_is_told_so_too(tmp_path, holder, durproj):
    ended = durproj("run", "--store", "store.db")
    assert ended.code == 75
    assert f"process {holder.pid} on" in ended.err


def test_a_reader_is_not_held_up_by_the_holder(tmp_path, holder):
    with closing(SqliteStore.open_reader(tmp_path / "store.db")) as store:
        assert store.runs() == []


def test_who_waits_gets_the_store_when_it_is_let_go(tmp_path, holder, durproj):
    with subprocess.Popen(
        [sys.executable, "-m", "durproj", "run", "--wait", "60", "--store", "store.db"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
        holder.communicate("go\n")
        out, err = waiting.communicate()
        assert (waiting.returncode, b"Alice" in out) == (0, True), err


def test_the_lock_of_a_killed_holder_is_free_at_once(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "store.db.lock").exists()
    assert not Lock(tmp_path / "store.db").held()
    with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
        fill(store, "projection/u1", 3)


def test_what_a_killed_holder_has_forked_does_not_hold_the_store(tmp_path):
    forking = HOLD.replace(
        "print(", "import os\nif os.fork() == 0: os.read(0, 1), os._exit(0)\nprint("
    )
    with start(forking, tmp_path / "store.db") as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy):
            SqliteStore.open_writer(tmp_path / "store.db")
        holder.kill()
        holder.wait()  # its child reads on
        SqliteStore.open_writer(tmp_path / "store.db").close()


@pytest.mark.parametrize("relative", [False, True])
def test_a_symlink_to_the_store_meets_the_same_lock(tmp_path, holder, relative, monkeypatch):
    (tmp_path / "deep").mkdir()
    link = tmp_path / "deep" / "link.db"
    link.symlink_to(Path("..", "store.db") if relative else tmp_path / "store.db")
    monkeypatch.chdir(tmp_path / "deep")
    for name in (link, Path("link.db"), Path("..", "deep", "link.db")):
        with pytest.raises(StoreBusy, match=f"process {holder.pid}"):
            SqliteStore.open_writer(name)


def test_the_lock_file_is_there_while_the_lock_is_held_and_gone_after(tmp_path):
    lock = Lock(tmp_path / "store.db")
    lock.acquire()
    assert lock.path == tmp_path / "store.db.lock"
    assert lock.path.exists()
    assert lock.held()
    assert re.fullmatch(held_by(os.getpid()), lock.holder())
    lock.release()
    assert not lock.held()
    assert os.listdir(tmp_path) == []
    lock.release()
    lock.acquire()
    lock.release()


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    holder, next_one, third = (Lock(tmp_path / "store.db") for _ in range(3))
    holder.acquire()
    plain = os.open

    def open_and_see_the_holder_go(*args):
        fd = plain(*args)
        holder.release()
        return fd

    monkeypatch.setattr(os, "open", open_and_see_the_holder_go)
    next_one.acquire()
    with pytest.raises(StoreBusy):
        third.acquire()
    next_one.release()


@pytest.mark.parametrize("size", [1, 2, 100, 5_000])
def test_a_store_that_cannot_be_opened_is_not_left_locked(tmp_path, size):
    path = tmp_path / "store.db"
    path.write_bytes(b"n" * size)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            SqliteStore.open_writer(path)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore.open_reader(path)
    assert os.listdir(tmp_path) == ["store.db"]
    assert path.read_bytes() == b"n" * size


def test_one_process_cannot_write_to_a_store_twice(tmp_path):
    path = tmp_path / "store.db"
    with closing(SqliteStore.open_writer(path)), pytest.raises(StoreBusy, match=str(os.getpid())):
        SqliteStore.open_writer(path)
    with closing(SqliteStore.open_writer(path)) as store:
        begin(store).add(0, record(0))


def test_a_lock_file_is_never_followed_elsewhere(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "store.db.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError, match=os.strerror(errno.ELOOP)):
        SqliteStore.open_writer(tmp_path / "store.db")
    assert (tmp_path / "precious").read_text() == "kept"


def test_the_file_of_a_lock_that_a_fork_lets_go_of_stays(tmp_path):
    lock = Lock(tmp_path / "store.db")
    lock.forget()
    lock.acquire()
    lock.forget()
    assert not lock.held()
    lock.release()
    assert lock.path.exists()
    lock.acquire()
    lock.release()


def test_others_may_read_who_holds_the_lock_and_not_write(tmp_path):
    lock = Lock(tmp_path / "store.db")
    mask = os.umask(0)
    try:
        lock.acquire()
    finally:
        os.umask(mask)
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o644
    lock.release()


def test_a_lock_whose_file_somebody_removed_can_be_given_up(tmp_path):
    lock = Lock(tmp_path / "store.db")
    lock.acquire()
    lock.path.unlink()
    lock.release()
    assert os.listdir(tmp_path) == []


def test_what_stood_in_the_lock_file_before_is_gone(tmp_path):
    lock = Lock(tmp_path / "store.db")
    lock.path.write_bytes(b"{" * 500)
    lock.acquire()
    assert f"process {os.getpid()} on" in lock.holder()
    lock.path.write_bytes(b"{")
    with pytest.raises(StoreBusy, match=r"^the store is in use by another process\n"):
        Lock(tmp_path / "store.db").acquire()
    lock.release()


def refusing(code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        (errno.EACCES, StoreDenied, "the store's folder must be writable"),
        (errno.EROFS, StoreDenied, "the store's folder must be writable"),
        (errno.EIO, StoreError, ""),
    ],
)
def test_a_lock_file_that_cannot_be_made_is_named_with_the_reason(
    tmp_path, monkeypatch, code, kind, hint
):
    lock = Lock(tmp_path / "store.db")
    monkeypatch.setattr(os, "open", refusing(code))
    with pytest.raises(StoreError) as caught:
        lock.acquire()
    assert type(caught.value) is kind
    assert caught.value.message == f"{lock.path}: {os.strerror(code)}"
    assert (caught.value.hint or "") == hint


def test_on_a_full_disk_a_lock_has_no_name_and_is_held(tmp_path, monkeypatch):
    lock = Lock(tmp_path / "store.db")
    monkeypatch.setattr(os, "pwrite", refusing(errno.ENOSPC))
    lock.acquire()
    assert (lock.held(), lock.holder()) == (True, "")
    lock.release()


def test_where_files_cannot_be_locked_no_store_is_written(tmp_path, monkeypatch):
    lock, opened = Lock(tmp_path / "store.db"), len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
    with pytest.raises(StoreError) as caught:
        lock.acquire()
    assert caught.value.message == f"{lock.path}: cannot be locked: {os.strerror(errno.ENOLCK)}"
    assert len(os.listdir("/proc/self/fd")) == opened


def test_a_lock_file_with_any_content_says_nothing(tmp_path):
    lock = Lock(tmp_path / "store.db")
    for content in (b"", b"{", b"[]", b'{"pid":1}', b"\xff\xfe", b"null"):
        lock.path.write_bytes(content)
        assert lock.holder() == ""


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NotFound) as caught:
        SqliteStore.open_writer(tmp_path / "away" / "store.db")
    assert caught.value.message == f"{tmp_path / 'away'}: no such folder"
    assert caught.value.hint == "make it first, or give another --store"
    with pytest.raises(NotFound, match="no such store"):
        SqliteStore.open_reader(tmp_path / "away" / "store.db")
    assert os.listdir(tmp_path) == []


def test_looking_at_a_lock_does_not_take_it(tmp_path, holder):
    lock = Lock(tmp_path / "store.db")
    assert lock.held()
    holder.communicate("go\n")
    assert not lock.held()


@pytest.fixture
def kept(monkeypatch):
    """Names are never removed."""

    def unlink(path, **_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(os, "unlink", unlink)
    monkeypatch.setattr(Path, "unlink", unlink)


def test_a_lock_whose_file_cannot_be_removed_is_given_up_all_the_same(tmp_path, kept):
    for _ in range(2):
        with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
            with pytest.raises(StoreBusy, match=f"process {os.getpid()}"):
                SqliteStore.open_writer(tmp_path / "store.db")
            store.runs()
    lock = Lock(tmp_path / "store.db")
    assert lock.path.exists()
    assert not lock.held()
    # The name that it holds is that of who has it next.
    with start(HOLD, tmp_path / "store.db") as next_one:
        assert next_one.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy, match=f"process {next_one.pid}"):
            lock.acquire()
        next_one.communicate("go\n")
    assert not lock.path.exists()


def test_what_made_an_opening_fail_is_told_and_not_that_the_lock_file_stays(tmp_path, kept):
    path = tmp_path / "store.db"
    path.write_bytes(b"n" * 5_000)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            SqliteStore.open_writer(path)
    assert not Lock(path).held()
