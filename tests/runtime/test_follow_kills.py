"""A followed input and kills: at any instant of writing, rotation and folding, nothing is lost or doubled."""

from __future__ import annotations

import random
import subprocess

import pytest
from dying import journals
from live import PATIENCE_S, add, line, recorded, rotate, until

LIVES = 12
"""How often the follower is killed, per durability."""


def wait(process, seconds):
    """Let it live for so long; it must not end by itself."""
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("durability", ["step", "batch"])
def test_killed_while_a_log_is_written_and_rotated_it_ends_as_one_fold_of_all(
    durability, tmp_path, durproj, follow
):
    rng = random.Random(f"follow {durability}")
    log, store, whole, number, rotations = (
        tmp_path / "app.log",
        tmp_path / "durproj.db",
        line(0),
        1,
        0,
    )
    add(log, whole)
    for life in range(LIVES):
        following = follow("app.log", durability=durability)
        if not life:
            # What was rotated away before it ever looked is none of its business.
            following.expect([0])
        for _ in range(rng.randrange(5)):
            wait(following.process, rng.uniform(0, 0.4))
            blob = b"".join(
                line(number + i, f"u{rng.randrange(5)}") for i in range(rng.randrange(1, 60))
            )
            number += blob.count(b"\n")
            whole += blob
            cut = rng.randrange(len(blob))
            add(log, blob[:cut])
            add(log, blob[cut:])
            if rng.random() < 0.4:
                rotations += 1
                # The newest has the lowest number.
                rotate(log, tmp_path / f"app.log.{900 - rotations}")
        following.process.kill()
        following.process.communicate()
    add(log, line(number, "u0"))
    (tmp_path / "whole").mkdir()
    add(tmp_path / "whole" / "all.jsonl", whole, line(number, "u0"))
    assert rotations
    following = follow("app.log", durability=durability)

    def all_there():
        assert following.process.poll() is None
        return sum(map(len, recorded(store).values())) > number

    until(all_there)
    assert following.end()[0] == 143
    durproj("run", "all.jsonl", "--reducer", "counts", cwd=tmp_path / "whole")
    found, expected = journals(store), journals(tmp_path / "whole" / "durproj.db")
    assert {id: journal["records"] for id, journal in found.items()} == {
        id: journal["records"] for id, journal in expected.items()
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_while_a_pipe_is_fed_it_loses_nothing_that_was_taken_out_of_it(tmp_path, follow):
    rng = random.Random("pipe")
    number, sent = 0, []
    for _ in range(LIVES):
        following = follow("-", pipe=True)
        for _ in range(rng.randrange(4)):
            wait(following.process, rng.uniform(0, 0.4))
            count = rng.randrange(1, 40)
            following.feed(b"".join(line(number + i) for i in range(count)))
            sent += range(number, number + count)
            number += count
        # What is still in the pipe goes down with it: wait for the spool, not for the fold.
        spool = tmp_path / "durproj.db.live-projection"
        last = f'"n": {number - 1}}}\n'.encode()
        if sent:
            until(
                lambda spool=spool, last=last: spool.exists() and spool.read_bytes().endswith(last)
            )
        following.process.kill()
        following.process.communicate()
    following = follow("-", pipe=True)
    following.feed(line(number))
    following.process.stdin.close()
    assert following.process.wait(PATIENCE_S) == 0
    following.process.stdin = None
    following.process.communicate()
    assert recorded(tmp_path / "durproj.db")["u1"] == [*sent, number]
