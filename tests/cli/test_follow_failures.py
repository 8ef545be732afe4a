"""`durproj run --follow`: what goes wrong, what it is refused, and what it prints."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import pyte
import pytest
from conftest import environment
from live import PATIENCE_S, add, line, lines, recorded, until


def there(log):
    return recorded(log.parent / "durproj.db")


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


def test_what_is_skipped_round_after_round_is_counted_and_ends_it_when_it_is_too_much(follow, log):
    (log.parent / "frail.py").write_text(FRAIL)
    ways = ["--reducer", "frail.py:frail", "--on-error", "skip", "--max-errors", 2, "--json"]
    add(log, line(0))
    following = follow("app.log", *ways)
    following.expect([0])
    for n in (1, 2):
        add(log, line(n, bad=True))
        following.expect(range(n + 1))
    add(log, line(3, bad=True))
    code, out, err = following.end(None)
    assert (code, "3 events failed for good, and --max-errors is 2" in err) == (1, True), err
    assert json.loads(out.splitlines()[-1])["skipped"] == 3


@pytest.mark.parametrize("ways", [["--on-error", "park"], ["--order", "time"]])
def test_what_needs_all_of_a_log_is_refused(follow, log, ways):
    add(log, line(0, time="2026-01-01T00:00:00Z"))
    code, _, err = follow("app.log", *ways).end(None)
    assert code == 2
    assert "--follow" in err
    assert not there(log)


@pytest.mark.parametrize("keys", [["u1"], ["u1", "u2"]])
def test_what_is_parked_is_to_be_seen_to_before_its_input_is_followed(follow, log, durproj, keys):
    (log.parent / "frail.py").write_text(FRAIL)
    ways = ["run", "app.log", "--reducer", "frail.py:frail", "--on-error", "park"]
    add(log, *(line(n, key, bad=True) for n, key in enumerate(keys)))
    assert durproj(*ways).code == 1
    code, _, err = follow("app.log", *ways[2:4]).end(None)
    what = "1 stream is" if len(keys) == 1 else "2 streams are"
    assert (code, f"{what} parked, and a followed input does not wait\n" in err) == (2, True), err
    assert "durproj parked list" in err


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
    until(lambda: there(log).get("u1") == [3])  # for a moment there is nothing
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


def test_a_terminal_shows_a_line_of_figures_and_no_trace_of_it_afterwards(log):
    add(log, lines(range(3)), line(3)[:9])
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-m", "durproj", "run", "app.log", "--follow"]
    process = subprocess.Popen(
        command, cwd=log.parent, env=environment(), stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    while b"lag 9 B" not in shown:
        shown += os.read(leader, 65536)
    assert b"3 events" in shown
    assert b"1 stream " in shown
    process.terminate()
    try:
        while block := os.read(leader, 65536):
            shown += block
    except OSError:
        pass  # Linux says EIO when the last writer has gone
    os.close(leader)
    assert process.wait(PATIENCE_S) == 143
    screen = pyte.Screen(100, 40)
    pyte.Stream(screen).feed(shown.decode())
    assert not any("following" in text for text in screen.display)
    assert any("go on with: the same command" in text for text in screen.display)
