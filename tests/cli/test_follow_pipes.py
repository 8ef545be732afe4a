"""`durproj run - --follow`: what comes through a pipe, by the real command line."""

from __future__ import annotations

import signal

from live import add, line, lines, recorded, until


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
    assert "9 bytes of an unfinished line; they are dropped" in err


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
