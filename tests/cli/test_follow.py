"""`durproj run --follow`: files that grow, are rotated or cut, and pipes; by the real command line."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from live import add, line, lines, recorded, rotate, touched, until


def there(log):
    return recorded(log.parent / "durproj.db")


# -- a file that grows


def test_what_is_appended_is_folded_and_a_signal_ends_it_with_everything_safe(follow, log):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    for number in range(3, 8):
        add(log, line(number))
        following.expect(range(number + 1))
    code, _, err = following.end(signal.SIGTERM)
    assert code == 143
    assert "go on with: the same command" in err
    add(log, lines(range(8, 10)))
    following = follow("app.log")
    following.expect(range(10))
    assert following.end(signal.SIGINT)[0] == 130


def test_an_unfinished_line_waits_for_its_end(follow, log):
    add(log, line(0), line(1)[:7])
    following = follow("app.log")
    following.expect([0])
    add(log, line(1)[7:-1])
    add(log, b"\n", line(2)[:3])
    following.expect([0, 1])
    following.end(signal.SIGKILL)
    assert there(log) == {"u1": [0, 1]}
    add(log, line(2)[3:])
    follow("app.log").expect(range(3))


@pytest.mark.parametrize("empty", [True, False])
def test_it_waits_for_a_file_that_is_not_there_yet_or_empty(follow, log, empty):
    if empty:
        log.touch()
    following = follow("app.log", quiet=False)
    assert b"waiting for app.log" in following.process.stderr.readline()
    add(log, line(0)[:9])
    add(log, line(0)[9:])
    following.expect([0])


def test_many_streams_and_one_that_comes_later(follow, log):
    add(log, line(0, "a"), line(0, "b"))
    following = follow("app.log")
    following.expect([0], "b")
    add(log, line(1, "a"), line(0, "c"))
    following.expect([0, 1], "a")
    following.expect([0], "c")


def test_the_stream_asked_for_may_come_later(follow, log):
    add(log, lines(range(3), "a"))
    following = follow("app.log", "--user", "u1")
    until((log.parent / "durproj.db").exists)
    add(log, line(0), line(3, "a"))
    following.expect([0])
    assert following.end()[0] == 143
    add(log, line(1))
    follow("app.log", "--user", "u1").expect([0, 1])
    assert set(there(log)) == {"u1"}


# -- rotation


def test_rotation_by_rename_reads_the_rest_of_the_old_file_first(follow, log):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    old = log.rename(f"{log}.1")
    add(old, line(3))
    following.expect(range(4))
    log.touch()
    # Whoever writes goes on with the old file until it is told to open the new one.
    add(old, line(4))
    following.expect(range(5))
    add(old, line(5))
    add(log, line(6))
    following.expect(range(7))
    add(log, line(7))
    following.expect(range(8))
    following.end()
    add(log, line(8))
    follow("app.log").expect(range(9))


def test_a_rotation_that_nobody_saw_is_found_by_the_old_files_inode(follow, log):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    following.end()
    add(log, line(3))
    log.rename(f"{log}.1")
    add(log, line(4))
    following = follow("app.log", quiet=False)
    following.expect(range(5))
    assert "app.log was rotated: first the rest of" in following.end()[2]


@pytest.mark.parametrize(
    "names",
    [
        ("app.log.1", "app.log.2", "app.log.3"),
        ("app.log.3", "app.log.4", "app.log.5"),
        ("app.log-20260103", "app.log-20260102", "app.log-20260101"),
        ("app.3.log", "app.2.log", "app.1.log"),
    ],
)
@pytest.mark.parametrize("down", [True, False])
def test_several_rotations_at_once_are_read_in_their_order(follow, log, names, down):
    newest, middle, oldest = (log.parent / name for name in names)
    # What was rotated away long ago is none of them.
    add(log.parent / newest.name.translate(str.maketrans("345", "000")), line(99))
    if (stale := log.parent / "app.log.9") not in (newest, middle, oldest):
        add(stale, line(98))
    until(lambda: stale.stat().st_mtime_ns < touched(log.parent / "now"))
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    if down:
        following.end()
    else:
        following.process.send_signal(signal.SIGSTOP)
    add(log, line(3))
    rotate(log, oldest)
    add(log, line(4))
    rotate(log, middle)
    add(log, line(5))
    rotate(log, newest)
    add(log, line(6))
    if down:
        following = follow("app.log")
    else:
        following.process.send_signal(signal.SIGCONT)
    following.expect(range(7))
    add(log, line(7))
    following.expect(range(8))


def test_a_file_that_is_gone_is_refused_until_somebody_says_that_all_of_it_was_read(follow, log):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    following.end()
    log.unlink()
    add(log, line(3), line(0, "new"))
    code, _, err = follow("app.log").end(None)
    assert code == 4
    assert "--rotated" in err
    assert there(log) == {"u1": [0, 1, 2]}
    following = follow("app.log", "--rotated")
    following.expect(range(4))
    following.expect([0], "new")
    following.end()
    log.unlink()
    add(log, line(4))
    assert follow("app.log").end(None)[0] == 4
    # Put back, unpacked from a backup: another inode, the same beginning.
    add(log.parent / "app.log.1", line(3), line(0, "new"), line(99, "new"))
    following = follow("app.log")
    following.expect(range(5))
    following.expect([0, 99], "new")


def test_a_file_of_which_nothing_was_read_yet_is_not_taken_for_another(follow, log):
    add(log, line(0))
    following = follow("app.log")
    following.expect([0])
    log.rename(f"{log}.1")
    # A line that is not finished: the new file is known, and nothing of it is read.
    add(log, line(1)[:5])
    until(lambda: f"{log}.1" not in _open_files(following))
    following.end(signal.SIGKILL)
    add(log, line(1)[5:])
    log.rename(f"{log}.2")
    add(log, line(2))
    follow("app.log").expect(range(3))


def _open_files(following):
    folder = f"/proc/{following.process.pid}/fd"
    return [os.path.realpath(f"{folder}/{name}") for name in os.listdir(folder)]


def test_a_rotation_during_the_very_first_fold_is_found_too(follow, log):
    (log.parent / "slow.py").write_text(
        "import time\ndef slow(state, event):\n    time.sleep(0.01)\n    return state\nslow.initial = {}\n"
    )
    add(log, lines(range(300)))
    following = follow("app.log", "--reducer", "slow.py:slow", "--name", "slow")
    until(lambda: len(recorded(log.parent / "durproj.db", "slow").get("u1", [])) > 5)
    following.end(signal.SIGKILL)
    assert len(recorded(log.parent / "durproj.db", "slow")["u1"]) < 300
    log.rename(f"{log}.1")
    add(log, line(300))
    following = follow("app.log", "--reducer", "slow.py:slow", "--name", "slow")
    wanted = list(range(301))
    until(lambda: recorded(log.parent / "durproj.db", "slow")["u1"] == wanted)


@pytest.mark.parametrize("count", [1, 9])
def test_a_file_that_was_cut_is_read_from_its_new_beginning(follow, log, count):
    add(log, lines(range(5)))
    following = follow("app.log")
    following.expect(range(5))
    following.process.send_signal(signal.SIGSTOP)
    # Shorter than before, or longer than before when it is looked at again.
    os.truncate(log, 0)
    add(log, lines(range(5, 5 + count)))
    following.process.send_signal(signal.SIGCONT)
    following.expect(range(5 + count))


@pytest.mark.parametrize("down", [True, False])
def test_what_was_not_read_of_a_file_before_it_was_cut_is_read_of_its_copy(follow, log, down):
    add(log, lines(range(5)))
    following = follow("app.log")
    following.expect(range(5))
    following.process.send_signal(signal.SIGKILL if down else signal.SIGSTOP)
    add(log, lines(range(5, 8)))
    shutil.copy(log, f"{log}.1")
    os.truncate(log, 0)
    add(log, lines(range(8, 20)))
    if down:
        following = follow("app.log")
    else:
        following.process.send_signal(signal.SIGCONT)
    following.expect(range(20))
    add(log, line(20))
    following.expect(range(21))


def test_a_copy_that_takes_the_place_of_the_file_is_not_read_again(follow, log):
    add(log, lines(range(5)))
    following = follow("app.log")
    following.expect(range(5))
    fresh = log.parent / "fresh"
    add(fresh, lines(range(7)))
    fresh.replace(log)
    following.expect(range(7))
    add(log, line(7))
    following.expect(range(8))
