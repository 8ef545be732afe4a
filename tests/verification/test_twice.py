"""`verify --twice`: what a reducer takes from anywhere but its state and its event comes to light."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import environment

import durproj as library

REDUCERS = """
import itertools, os, random, time, uuid

random.seed(0)
calls = itertools.count()
last = {}

def sets(state, event):
    return {"tags": list({*state.get("tags", []), event.type, event.id})}
def hashes(state, event):
    return {"at": hash(event.type)}
def clock(state, event):
    return {"at": int(time.time())}
def chance(state, event):
    return {"at": random.random()}
def ids(state, event):
    return {"at": str(uuid.uuid4())}
def counter(state, event):
    return {"at": next(calls)}
def memory(state, event):
    before, last[event.key] = last.get(event.key), event.id
    return {"at": before}
def failing(state, event):
    if next(calls) % 2:
        raise ValueError("every other time")
    return {"at": 1}
def order(state, event):
    return dict.fromkeys({"one", "two", "three", "four", event.id}, 1)

def pure(state, event):
    print("a word")
    os.write(1, b"and another\\n")
    return {"tags": sorted({*state.get("tags", []), event.type, event.id})}
def dying(state, event):
    if event.id == "e5" and "DIE" in os.environ:
        os._exit(9)
    return {"n": 1}
"""
IMPURE = ["sets", "hashes", "clock", "chance", "ids", "counter", "memory", "failing", "order"]


@pytest.fixture
def lab(durproj):
    (durproj.folder / "r.py").write_text(REDUCERS)
    lines = [{"key": "ab"[n % 2], "type": "TUVW"[n % 4], "id": f"e{n}"} for n in range(12)]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return durproj


def fold(lab, reducer):
    lab("run", "log.jsonl", "--reducer", f"r.py:{reducer}", "--on-error", "skip", "-q")


@pytest.mark.parametrize("reducer", IMPURE)
def test_a_reducer_that_is_not_deterministic_is_caught(lab, reducer):
    fold(lab, reducer)
    done = lab("verify", "--twice", "--json", "--stable")
    assert done.code == 1
    *records, _ = done.json
    for record in records:
        assert record["status"] == "different"
        (found,) = record["differences"]
        assert (found["check"], found["event"]["type"] in "TUVW") == ("twice", True)
        if reducer not in {"sets", "order", "failing"}:
            assert [found["changes"][0][side] for side in ("path", "kind")] == ["at", "changed"]
            assert found["changes"][0]["old"] != found["changes"][0]["new"]
    if reducer not in {"clock", "ids", "hashes"}:  # these differ by themselves
        assert lab("verify", "--twice", "--json", "--stable").json == done.json


def test_nearly_every_set_of_two_is_caught(lab):
    """With two seeds, every other one comes in the same order both times."""
    (lab.folder / "r.py").write_text(
        "def pairs(state, event):\n    return list({event.key + ' on', event.key + ' off'})\n"
    )
    lines = [{"key": f"k{n % 100}", "type": "T", "id": n} for n in range(200)]
    (lab.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    fold(lab, "pairs")
    assert lab("verify", "--twice", "--json", "--stable").json[-1]["different"] >= 98


def test_a_pure_reducer_is_not_and_what_it_prints_disturbs_nothing(lab):
    fold(lab, "pure")
    done = lab("verify", "--twice")
    assert (done.code, done.out) == (0, "2 workflows, 12 steps: all verified\n")
    assert "a word" in done.err


def test_it_compares_two_folds_of_today_and_not_what_is_recorded(lab):
    fold(lab, "pure")
    text = (lab.folder / "r.py").read_text()
    (lab.folder / "r.py").write_text(text.replace("sorted(", "['new'] + sorted("))
    (lab.folder / "log.jsonl").unlink()
    assert lab("verify", "--twice").code == 0
    assert lab("verify", "--refold").code == 1


def test_a_reducer_that_ends_its_process_ends_no_other(lab):
    fold(lab, "dying")
    fold_pure = ["run", "log.jsonl", "--reducer", "r.py:pure", "--name", "pure", "-q"]
    lab(*fold_pure)
    done = lab("verify", "--twice", "--json", "--stable", "projection/b", env={"DIE": "1"})
    assert done.code == 1
    reason = "the process that folded it ended with exit code 9, at projection/b"
    assert (done.json[0]["status"], done.json[0]["reason"]) == ("unverifiable", reason)
    assert lab("verify", "--twice", "--name", "pure", env={"DIE": "1"}).code == 0
    assert lab("verify", "--twice").code == 0


def test_a_program_can_ask_for_it_too(lab, monkeypatch):
    monkeypatch.chdir(lab.folder)
    fold(lab, "pure")
    told = []
    record, summary = library.verify(
        ["projection/a"], twice=True, progress=lambda *steps: told.append(steps)
    )
    assert (record["status"], record["folded_twice"], summary["folded_twice"]) == ("ok", 6, 6)
    assert (sum(done for done, _ in told), {total for _, total in told}) == (18, {18})
    assert "PYTHONHASHSEED" not in os.environ


def test_it_can_be_interrupted_in_a_reducer_that_never_returns_and_leaves_nothing(lab):
    fold(lab, "pure")
    text = (lab.folder / "r.py").read_text()
    hangs = (
        "def pure(state, event):\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(600)"
    )
    (lab.folder / "r.py").write_text(text.replace("def pure(state, event):", hangs))
    process = subprocess.Popen(
        [sys.executable, "-m", "durproj", "verify", "--twice"],
        cwd=lab.folder,
        env=environment(TMPDIR=str(lab.folder)),
        stderr=subprocess.PIPE,
    )
    while not (lab.folder / "pid").exists() or not (lab.folder / "pid").read_text():
        time.sleep(0.01)
    child = int((lab.folder / "pid").read_text())
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == b"durproj: stopped before all was verified\n"
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not list(lab.folder.glob("durproj-*"))
