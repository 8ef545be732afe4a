"""`durproj run - --follow`: what comes through a pipe, by the real command line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from live import add, line, lines, rebooted, recorded, until


def there(log):
    return recorded(log.parent / "durproj.db")


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


def test_a_pipe_that_ended_empty_says_nothing_of_the_next(follow, tmp_path):
    assert follow("-", pipe=True).end(None)[0] == 0
    following = follow("-", pipe=True)
    following.feed(line(0), line(1, key="u2"))
    following.expect([0])
    assert following.end(None)[0] == 0
    assert recorded(tmp_path / "durproj.db") == {"u1": [0], "u2": [1]}


SLOW = """
import time
def slow(state, event):
    time.sleep(0.01)
    return state
slow.initial = {}
"""


def test_what_was_taken_out_of_a_pipe_survives_a_kill(follow, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    ways = ["-", "--reducer", "slow.py:slow"]
    following = follow(*ways, pipe=True)
    following.feed(lines(range(200)), line(200)[:9])
    until(lambda: len(recorded(tmp_path / "durproj.db").get("u1", [])) > 5)
    following.end(signal.SIGKILL)
    following = follow(*ways, pipe=True, quiet=False)
    following.feed(line(200))
    following.expect(range(201))
    _, _, err = following.end()
    assert "the last pipe left 9 bytes of an unfinished line, now dropped" in err


def test_a_spool_is_gone_on_with_on_another_inode(follow, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    ways = ["-", "--reducer", "slow.py:slow"]
    following = follow(*ways, pipe=True)
    following.feed(lines(range(200)))
    until(lambda: recorded(tmp_path / "durproj.db"))
    following.end(signal.SIGKILL)
    left = spool(tmp_path).read_bytes()
    spool(tmp_path).rename(tmp_path / "moved")
    spool(tmp_path).write_bytes(left)
    following = follow(*ways, pipe=True)
    following.feed(line(200))
    following.expect(range(201))


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


def test_a_spool_that_lost_what_was_checkpointed_is_refused_not_folded_again(follow, tmp_path):
    following = follow("-", "--durability", "fsync", pipe=True)
    following.feed(lines(range(6)))
    following.expect(range(6))
    following.end(signal.SIGKILL)
    left = spool(tmp_path).read_bytes()
    spool(tmp_path).write_bytes(left[: len(left) // 2])
    code, _, err = follow("-", pipe=True).end(None)
    assert (code, "the past changed" in err) == (4, True), err
    assert recorded(tmp_path / "durproj.db") == {"u1": list(range(6))}


def test_long_keys_have_spools_of_their_own(follow, tmp_path):
    one, two = "k" * 60 + "1", "k" * 60 + "2"
    for key in (one, two):
        following = follow("-", "--user", key, pipe=True)
        following.feed(line(7, key))
        until(lambda key=key: recorded(tmp_path / "durproj.db").get(key) == [7])
        following.end()
    assert len(list(tmp_path.glob("durproj.db.live-*"))) == 2


# -- a power cut


def cut_off(following, folder, *, power=True):
    """End it at once; with the power, as far as its spool can tell. The spool."""
    following.end(signal.SIGKILL)
    if power:
        rebooted(folder / "durproj.db.live-projection#synced")
    return spool(folder)


@pytest.mark.parametrize(
    "tail",
    [
        bytes(4096),
        bytes(512) + lines(range(50, 60)),
        lines(range(900, 903), "of another file"),
        line(3)[:9],
    ],
)
@pytest.mark.parametrize("next_durability", ["step", "fsync"])
def test_what_was_not_synced_before_a_power_cut_is_not_read(
    follow, tmp_path, tail, next_durability
):
    following = follow("-", pipe=True, durability="fsync")
    for number in range(3):
        following.feed(line(number))
        following.expect(range(number + 1))
    add(cut_off(following, tmp_path), tail)
    following = follow("-", pipe=True, durability=next_durability)
    following.feed(line(3))
    following.expect(range(4))
    following.end(signal.SIGKILL)
    assert spool(tmp_path).read_bytes() == lines(range(4))
    assert set(recorded(tmp_path / "durproj.db")) == {"u1"}


@pytest.mark.parametrize("given", [lines(range(3)), b""])
def test_a_spool_that_is_begun_anew_has_nothing_that_is_synced(follow, tmp_path, given):
    following = follow("-", pipe=True, durability="fsync")
    following.feed(given)
    assert following.end(None)[0] == 0
    first = given.count(b"\n")
    assert spool(tmp_path).stat().st_size == 0
    add(cut_off(following, tmp_path), bytes(700))
    following = follow("-", pipe=True, durability="fsync")
    following.feed(line(first))
    following.expect(range(first + 1))


def test_what_a_kill_left_unsynced_is_folded(follow, tmp_path):
    following = follow("-", pipe=True, durability="fsync")
    following.feed(line(0))
    following.expect([0])
    add(cut_off(following, tmp_path, power=False), line(1))
    following = follow("-", pipe=True, durability="fsync")
    following.feed(line(2))
    following.expect(range(3))
    # By then it is on the disk as well.
    cut_off(following, tmp_path)
    following = follow("-", pipe=True, durability="fsync")
    following.feed(line(3))
    following.expect(range(4))


def test_what_came_without_syncing_is_not_cut_off_later(follow, tmp_path):
    sent = 0
    for durability in ("fsync", "step", "fsync", "batch", "fsync"):
        following = follow("-", pipe=True, durability=durability)
        following.feed(line(sent))
        sent += 1
        following.expect(range(sent))
        cut_off(following, tmp_path, power=durability == "fsync")
    # As an earlier version leaves it.
    (tmp_path / "durproj.db.live-projection#synced").unlink()
    following = follow("-", pipe=True, durability="fsync")
    following.feed(line(sent))
    following.expect(range(sent + 1))


def test_a_backup_leaves_out_a_spool_once(follow, tmp_path, durproj):
    following = follow("-", pipe=True, durability="fsync")
    following.feed(line(0))
    following.expect([0])
    following.end()
    done = durproj("backup", "copy.db", "--json")
    assert done.code == 0, done.err
    assert [Path(path) for path in json.loads(done.out)["left_out"]] == [Path(spool(tmp_path).name)]
