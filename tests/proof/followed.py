"""A followed input and kills: at any instant of writing, rotation and folding, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from functools import partial
from pathlib import Path

from dying import journals
from live import add, line, lines, recorded, rotate, until

from proof.children import Child, begin
from proof.trial import Proof, Trial
from proof.verbs import done

LIVES = 5
"""How often one input's follower is killed."""


def prove_rotated(trial: Trial) -> None:
    """A log that is written in pieces and rotated while its follower is killed again and again."""
    number = rotations = 0
    while trial.cases < trial.count:
        number += 1
        folder = trial.folder / str(number)
        folder.mkdir()
        rotations += _one_log(trial, folder)
    trial.note(f"{rotations} rotations")


def _one_log(trial: Trial, folder: Path) -> int:
    """The lives of one log's follower; how often the log was rotated."""
    log, store, durability = folder / "app.log", folder / "durproj.db", _level(trial)
    whole, rotations = line(0), 0
    add(log, whole)
    for life in range(LIVES):
        with trial.case(f"durability {durability}, life {life}, {rotations} rotations so far"):
            child = _follow(folder, "app.log", durability)
            if not life:
                # What was rotated away before it ever looked is none of its business.
                until(lambda: recorded(store))
            for _ in range(trial.rng.randrange(4)):
                assert child.runs(trial.rng.uniform(0, 0.15)), child.end()
                first = whole.count(b"\n")
                blob = b"".join(
                    line(first + at, f"u{trial.rng.randrange(5)}")
                    for at in range(trial.rng.randrange(1, 60))
                )
                whole += blob
                cut = trial.rng.randrange(len(blob))
                add(log, blob[:cut])
                add(log, blob[cut:])
                if trial.rng.random() < 0.4:
                    rotations += 1
                    rotate(log, folder / f"app.log.{900 - rotations}")  # the newest has the lowest
            assert child.end(trial.rng.uniform(0, 0.15)).killed
            _expect_beginning(store, whole)
    with trial.case(f"durability {durability}, after {LIVES} lives and {rotations} rotations"):
        add(log, last := line(whole.count(b"\n"), "u0"))
        child = _follow(folder, "app.log", durability)
        until(lambda: not child.runs() or _count(store) > whole.count(b"\n"))
        child.kill(15)
        child.end().expect(143)
        add(folder / "all" / "all.jsonl", whole, last)
        done(folder / "all", "run", "all.jsonl", "--reducer", "counts")
        found, expected = journals(store), journals(folder / "all" / "durproj.db")
        assert _records(found) == _records(expected)
    return rotations


def prove_piped(trial: Trial) -> None:
    """A pipe whose reader is killed: what was taken out of it is folded, each line once."""
    number = 0
    while trial.cases < trial.count:
        number += 1
        folder = trial.folder / str(number)
        folder.mkdir()
        sent = 0
        spool = folder / "durproj.db.live-projection"
        for life in range(LIVES):
            reading, writing = os.pipe()
            child = _follow(folder, "-", _level(trial), reading)
            os.close(reading)
            with trial.case(f"life {life}"):
                for _ in range(trial.rng.randrange(3)):
                    assert child.runs(trial.rng.uniform(0, 0.15)), child.end()
                    count = trial.rng.randrange(1, 40)
                    os.write(writing, lines(range(sent, sent + count)))
                    sent += count
                # What is still in the pipe goes down with it: wait for the spool, not for the fold.
                if sent:
                    until(partial(_ends, spool, line(sent - 1)))
                assert child.end(trial.rng.uniform(0, 0.1)).killed
                found = recorded(folder / "durproj.db").get("u1", [])
                assert found == list(range(len(found)))
            os.close(writing)
        with trial.case(f"after {LIVES} lives and {sent} lines"):
            reading, writing = os.pipe()
            os.write(writing, line(sent))
            os.close(writing)
            _follow(folder, "-", "step", reading).end().expect(0)
            os.close(reading)
            assert recorded(folder / "durproj.db")["u1"] == list(range(sent + 1))


def _follow(folder: Path, input: str, durability: str, stdin: int | None = None) -> Child:
    words = ("run", "--follow", input, "--reducer", "counts", "-q", "--durability", durability)
    (folder / "all").mkdir(exist_ok=True)
    return begin(words, folder, stdin)


def _level(trial: Trial) -> str:
    return trial.rng.choice(("step", "fsync", "batch"))


def _ends(spool: Path, end: bytes) -> bool:
    return spool.exists() and spool.read_bytes().endswith(end)


def _count(store: Path) -> int:
    return sum(map(len, recorded(store).values()))


def _records(found: dict) -> dict:
    return {id: journal["records"] for id, journal in found.items()}


def _expect_beginning(store: Path, whole: bytes) -> None:
    """Of every stream a beginning is recorded."""
    expected = defaultdict(list)
    for each in map(json.loads, whole.splitlines()):
        expected[each["user_id"]].append(each["n"])
    for key, numbers in recorded(store).items():
        assert numbers == expected[key][: len(numbers)]


PROOFS = [
    Proof("SIGKILL of --follow while its log is written and rotated", ("P1", "P2"), prove_rotated,
          quick=6, nightly=400, case_ms=540),
    Proof("SIGKILL of --follow while its pipe is fed", ("P1", "P2"), prove_piped,
          quick=6, nightly=400, case_ms=100),
]  # fmt: skip
