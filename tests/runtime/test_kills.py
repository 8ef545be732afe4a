"""Real processes, killed with SIGKILL at any instant, as often as it takes; and readers meanwhile."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import environment
from dying import inputs, journals, stream, write

import durproj
from durproj.stores.sqlite import SqliteStore

KILLS = 15
"""Per durability."""

SLOW = """
def slow(state, event):
    x = state["trail"]
    for _ in range(3000):
        x = (x * 31 + event.body["v"]) % 1000003
    return {"n": state["n"] + 1, "trail": x}

slow.initial = {"n": 0, "trail": 7}
"""
EVENTS = [(f"u{i * i % 7}", i) for i in range(700)]


def start(folder, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "durproj", *args], cwd=folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process):
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()


def laid_out(folder):
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW)
    write(folder / "log.jsonl", EVENTS)
    return folder


def run_args(durability):
    return ["run", "log.jsonl", "--reducer", "slow.py:slow", "--durability", durability, "-q"]


def begun(store):
    """Whether the store knows of a run that could be resumed."""
    if not store.exists():
        return False
    try:
        opened = SqliteStore.open_reader(store)
    except durproj.NotFound:
        return False
    try:
        return bool(opened.runs())
    finally:
        opened.close()


def expect_no_gap(store, before):
    """What a reader sees is the beginning of every stream; nothing that was there is gone or another."""
    found = journals(store)
    for id, journal in found.items():
        lines = inputs(journal)
        assert lines == stream(EVENTS, id.partition("/")[2])[: len(lines)]
    for id, journal in before.items():
        assert found[id]["records"][: len(journal["records"])] == journal["records"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("durability", ["step", "fsync", "batch"])
def test_killed_any_number_of_times_it_ends_as_if_it_had_not_been(durability, tmp_path):
    whole = laid_out(tmp_path / "whole")
    began = time.monotonic()
    finish(start(whole, *run_args(durability)))
    straight = time.monotonic() - began
    expected = journals(whole / "durproj.db")
    assert sum(journal["steps"] for journal in expected.values()) == len(EVENTS)
    rng = random.Random(f"kills {durability}")
    kills = halfway = 0
    for life in range(100):
        if kills >= KILLS and halfway:
            break
        folder = laid_out(tmp_path / f"life {life}")
        store, before = folder / "durproj.db", {}
        while True:
            args = ["resume", "-q"] if begun(store) else run_args(durability)
            process = start(folder, *args)
            try:
                process.wait(rng.uniform(0, straight))
            except subprocess.TimeoutExpired:
                process.kill()
            if process.wait() != -signal.SIGKILL:
                finish(process)
                break
            process.communicate()
            kills += 1
            if begun(store):
                before = expect_no_gap(store, before)
                halfway += 0 < sum(j["steps"] for j in before.values()) < len(EVENTS)
        assert journals(store) == expected
        shutil.rmtree(folder)
    assert kills >= KILLS
    assert halfway


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_a_reader_beside_a_run_never_sees_a_gap_or_half_a_step(durability, tmp_path):
    folder = laid_out(tmp_path / "f")
    store, id = folder / "durproj.db", "projection/u1"
    lines = [raw.decode() for raw in stream(EVENTS, "u1")]
    process = start(folder, *run_args(durability))
    last, looks = 0, 0
    while process.poll() is None:
        try:
            record = durproj.inspect(id, store=store)
            looks += 1
            assert record["steps"] >= last
            last = record["steps"]
            if last:
                assert record["state"]["n"] == last
                step = durproj.inspect(id, last - 1, store=store)
                assert step["state"] == record["state"]
                assert durproj.codec.encode(step["event"]).decode() == lines[last - 1].replace(
                    " ", ""
                )
        except durproj.NotFound:
            pass
    finish(process)
    assert durproj.inspect(id, store=store)["steps"] == len(lines)
    assert looks
