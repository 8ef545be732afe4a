"""`durproj run --follow`: files that grow, are rotated or cut, and pipes; by the real command line."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest
from live import Following, add, line, lines, recorded, until


@pytest.fixture
def follow(tmp_path):
    begun = []

    def start(*args, **how):
        begun.append(Following(tmp_path, *args, **how))
        return begun[-1]

    yield start
    for following in begun:
        if not following.process.stdout.closed:
            following.process.kill()
            following.process.communicate()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "app.log"


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
    until(lambda: stale.stat().st_mtime_ns < _touched(log.parent / "now"))
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    if down:
        following.end()
    else:
        following.process.send_signal(signal.SIGSTOP)
    add(log, line(3))
    _rotate(log, oldest)
    add(log, line(4))
    _rotate(log, middle)
    add(log, line(5))
    _rotate(log, newest)
    add(log, line(6))
    if down:
        following = follow("app.log")
    else:
        following.process.send_signal(signal.SIGCONT)
    following.expect(range(7))
    add(log, line(7))
    following.expect(range(8))


def _touched(path):
    path.touch()
    return path.stat().st_mtime_ns


def _rotate(log, name):
    """Rename it, once a later change is told from its last one by the time."""
    last = log.stat().st_mtime_ns
    log.rename(name)
    until(lambda: _touched(log.parent / "now") > last)


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


# -- what goes wrong


def test_a_bad_line_ends_it_and_after_mending_it_in_place_the_same_command_goes_on(follow, log):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    log.rename(f"{log}.1")
    add(log, line(3), b'{"user_id":"u1","type":"T","n":4]\n', line(5))
    code, _, err = following.end(None)
    assert code == 65
    assert "app.log:2: byte 39" in err
    following = follow("app.log")
    assert following.end(None)[0] == 65
    content = log.read_bytes()
    with log.open("r+b") as file:
        file.write(content.replace(b"4]", b"4}"))
    follow("app.log").expect(range(6))


FRAIL = """
def frail(state, event):
    if event.data.get("bad"):
        raise ValueError("no")
    return {"n": event.data["n"]}
frail.initial = {}
"""


def test_an_event_that_fails_stops_it_or_is_skipped(follow, log):
    (log.parent / "frail.py").write_text(FRAIL)
    reducer = ["--reducer", "frail.py:frail"]
    add(log, line(0))
    following = follow("app.log", *reducer)
    following.expect([0])
    add(log, line(1, bad=True), line(2))
    code, _, err = following.end(None)
    assert code == 1
    assert "the same command" in err
    following = follow("app.log", *reducer, "--on-error", "skip")
    following.expect(range(3))
    log.rename(f"{log}.1")
    add(log, line(3))
    following.expect(range(4))
    assert following.end()[0] == 143


@pytest.mark.parametrize("ways", [["--on-error", "park"], ["--order", "time"]])
def test_what_needs_all_of_a_log_is_refused(follow, log, ways):
    add(log, line(0, time="2026-01-01T00:00:00Z"))
    code, _, err = follow("app.log", *ways).end(None)
    assert code == 2
    assert "--follow" in err
    assert not there(log)


def test_gaps_and_duplicates_are_told_through_rotation(follow, log):
    add(log, line(0, id="a", seq=1), line(1, id="b", seq=2))
    following = follow("app.log", "--seq", "seq", "--dedupe", "id")
    following.expect([0, 1])
    log.rename(f"{log}.1")
    add(log, line(1, id="b", seq=2), line(2, id="c", seq=4))
    following.expect([0, 1, 2])
    following.end()
    add(log, line(3, id="d", seq=5))
    follow("app.log", "--seq", "seq", "--dedupe", "id").expect([0, 1, 2, 3])


def test_a_run_without_follow_goes_on_where_a_followed_input_was(follow, log, durproj):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    log.rename(f"{log}.1")
    add(log, line(3))
    following.expect(range(4))
    following.end()
    add(log, line(4))
    assert durproj("run", "app.log").code == 0
    add(log, line(5))
    assert durproj("resume").code == 0
    following = follow("app.log")
    following.expect(range(6))
    following.end()
    log.rename(f"{log}.1")
    add(log, line(6))
    assert durproj("run", "app.log").code == 4
    follow("app.log").expect(range(7))


def test_a_rewind_that_would_lose_events_is_refused(follow, log, durproj):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    following.end()
    # Of a file that is all there they are folded again.
    assert durproj("rewind", "projection/u1#0").code == 0
    following = follow("app.log")
    following.expect(range(3))
    log.rename(f"{log}.1")
    add(log, line(3))
    following.expect(range(4))
    following.end()
    done = durproj("rewind", "projection/u1#0")
    assert done.code == 2
    assert "--restart" in done.err
    add(log, line(4))
    follow("app.log").expect(range(5))


def test_restart_folds_what_is_there(follow, log):
    add(log, lines(range(3)))
    following = follow("app.log")
    following.expect(range(3))
    log.rename(f"{log}.1")
    add(log, line(3))
    following.expect(range(4))
    following.end()
    following = follow("app.log", "--restart")
    until(lambda: there(log)["u1"] == [3])
    log.rename(f"{log}.1")
    add(log, line(4))
    following.expect([3, 4])


# -- what it prints


def test_json_is_whole_lines_while_it_goes_on(follow, log, durproj):
    add(log, line(0))
    following = follow("app.log", "--json", "-v")
    following.expect([0])
    add(log, line(1))
    following.expect([0, 1])
    assert durproj("inspect", "projection/u1", "--json").json[0]["steps"] == 2
    assert durproj("list", "--json").json[0]["steps"] == 2
    code, out, _ = following.end()
    records = [json.loads(text) for text in out.splitlines()]
    assert [record["type"] for record in records] == [
        *("run", "step", "projection", "step", "projection", "summary")
    ]
    assert records[-1]["exit"] == code == 143
    assert (records[-1]["executed"], records[-1]["cached"]) == (2, 0)


def test_nothing_is_drawn_where_there_is_no_terminal(follow, log):
    add(log, lines(range(3)))
    following = follow("app.log", quiet=False)
    following.expect(range(3))
    _, out, err = following.end()
    assert "following" not in out + err
    assert "\x1b" not in out + err
    assert "1 projection, 3 events: 3 executed, 0 cached" in out


# -- pipes


def spool(folder, key=None):
    return folder / ("durproj.db.live-projection" + (f"-{key.encode().hex()}" if key else ""))


def test_a_pipe_is_folded_as_it_comes_and_its_end_ends_it(follow, tmp_path):
    following = follow("-", pipe=True)
    following.feed(line(0), line(1)[:5])
    following.expect([0])
    following.feed(line(1)[5:], line(2)[:-1])
    following.expect([0, 1])
    assert following.end(None)[0] == 0
    assert recorded(tmp_path / "durproj.db") == {"u1": [0, 1, 2]}
    assert spool(tmp_path).stat().st_size == 0
    # What comes later comes after that, even if it is the same.
    following = follow("-", pipe=True)
    following.feed(line(2), line(3))
    following.expect([0, 1, 2, 2, 3])


def test_what_was_taken_out_of_a_pipe_survives_a_kill(follow, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\ndef slow(state, event):\n    time.sleep(0.01)\n    return state\nslow.initial = {}\n"
    )
    ways = ["-", "--reducer", "slow.py:slow"]
    following = follow(*ways, pipe=True)
    following.feed(lines(range(200)), line(200)[:9])
    until(lambda: len(recorded(tmp_path / "durproj.db").get("u1", [])) > 5)
    following.end(signal.SIGKILL)
    following = follow(*ways, pipe=True, quiet=False)
    following.feed(line(200))
    following.expect(range(201))
    _, _, err = following.end()
    assert "9 bytes of an unfinished line; they are dropped" in err


def test_a_history_comes_before_a_pipe_of_the_same_name(follow, tmp_path, durproj):
    add(tmp_path / "history.jsonl", lines(range(3)), lines(range(2), "old"))
    assert durproj("run", "history.jsonl", "--reducer", "counts").code == 0
    for first in (3, 5):
        following = follow("-", pipe=True)
        following.feed(line(first))
        following.expect(range(first + 1))
        following.feed(line(first + 1))
        following.expect(range(first + 2))
        following.end(signal.SIGKILL)
    assert recorded(tmp_path / "durproj.db")["old"] == [0, 1]
    done = durproj("rewind", "projection/u1#3")
    assert done.code == 2
    assert durproj("resume").code == 0
    following = follow("-", "--user", "u1", pipe=True)
    following.feed(line(7))
    following.expect(range(8))
    assert spool(tmp_path, "u1").exists()


def test_another_fold_of_all_of_it_does_not_make_a_pipe_count_twice(follow, tmp_path, durproj):
    following = follow("-", pipe=True)
    following.feed(lines(range(3)))
    following.expect(range(3))
    following.end(signal.SIGTERM)
    add(tmp_path / "all.jsonl", lines(range(3)))
    assert durproj("run", "all.jsonl", "--reducer", "counts").code == 0
    following = follow("-", pipe=True)
    following.feed(line(3))
    following.expect(range(4))
