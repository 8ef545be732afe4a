"""The benchmark runs, on logs so small that its figures mean nothing; none of them is asserted."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from bench import logs, measure, peers
from bench.lab import Lab
from bench.rows import ROWS
from conftest import environment

TESTS = Path(__file__).resolve().parent
BENCH = TESTS / "bench"
TINY = ["--scale", "0.0002", "--runs", "1"]


def command(*args):
    return [sys.executable, "-m", "bench", *map(str, args)]


def bench(*args, **additions):
    return subprocess.run(
        command(*args),
        cwd=TESTS,
        env=environment(**additions),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def small_log(path, kind, streams, events):
    path.write_text("".join(logs.lines(kind, streams, events, seed=1)))
    return path


def test_every_row_is_in_the_table_and_in_the_json(tmp_path):
    done = bench(*TINY, "--json", tmp_path / "out" / "bench.json", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert {"cpu", "cores", "python", "sqlite"} <= report["machine"].keys()
    by_name = {row["name"]: row for row in report["rows"]}
    assert list(by_name) == [row.name for row in ROWS]
    for row in ROWS:
        found = by_name[row.name]
        assert math.isfinite(found["figure"])
        assert found["goal"] == row.goal
        assert (found["met"] is None) == (row.goal is None)
        assert (found["cpu_ratio"] is None) == (found["measured_runs"] == [])
        assert f" {row.name} " in done.stdout
    assert os.listdir(tmp_path) == ["out"]


def test_peers_that_are_not_installed_are_in_the_table_as_such(tmp_path):
    out = tmp_path / "peers.json"
    done = bench(*TINY, "--peers", tmp_path / "python", "--json", out, PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    installed = [row["name"] for row in rows if row["figure"] is not None]
    assert installed == ["loop", "durproj-batch", "durproj-step", "durproj-fsync"]
    assert done.stdout.count("not installed") == len(rows) - len(installed) == 5


def test_a_peer_has_to_end_in_the_state_of_the_plain_loop(tmp_path):
    lab = Lab(str(tmp_path), runs=1, scale=0.0002, seed=1)
    other = replace(peers.LOOP, name="other", command=[sys.executable, "-c", "print('{}')"])
    with pytest.raises(measure.ProgramFailedError, match=r"^other and the plain loop differ"):
        peers.beside_the_loop(other, lab)


def test_rows_are_chosen_by_name_and_pattern(tmp_path):
    done = bench("--list", "--only", "version,growth-*")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "version",
        "growth-events",
        "growth-streams",
    ]
    assert bench("--only", "nothing").returncode == 2


def test_a_signal_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(
        command("--only", "batch-1x1m", "--json", tmp_path / "out" / "bench.json"),
        cwd=TESTS,
        env=environment(TMPDIR=str(tmp_path)),
        stderr=subprocess.PIPE,
    )
    with process:
        process.stderr.readline()
        while not list(tmp_path.glob("durproj-bench-*/*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert list(tmp_path.glob("durproj-bench-*")) == []


def test_a_program_that_fails_is_named_with_what_it_said(tmp_path):
    program = measure.Program(
        [sys.executable, "-c", "raise SystemExit('no luck')"], lambda: str(tmp_path)
    )
    with pytest.raises(measure.ProgramFailedError, match=r"(?s)^exit 1: .*no luck"):
        measure.run(program)


def test_what_it_measures_is_of_the_process(tmp_path):
    program = measure.Program(
        [sys.executable, "-c", "b = b'.' * 300_000_000; sum(range(1_000_000))"],
        lambda: str(tmp_path),
    )
    used = measure.run(program)
    assert 300e6 < used.rss_bytes < 600e6
    assert used.cpu_s > 0
    assert used.wall_s > 0


@pytest.mark.parametrize("kind", logs.KINDS)
def test_a_log_depends_on_its_seed_and_a_longer_one_goes_on(kind):
    first = list(logs.lines(kind, 1, 500, 7))
    assert list(logs.lines(kind, 1, 600, 7))[:500] == first
    assert list(logs.lines(kind, 1, 500, 8)) != first


def test_an_account_stays_as_large_as_it_is(durproj, tmp_path):
    log = small_log(tmp_path / "log.jsonl", "account", 1, 3000)
    durproj("run", log, "--user", "u1", "--durability", "batch")
    sizes = [
        len(
            json.dumps(
                durproj("inspect", "projection/u1", "--step", step, "--json").json[0]["state"]
            )
        )
        for step in (300, 2999)
    ]
    assert max(sizes) < 350


@pytest.mark.parametrize("kind", logs.KINDS)
def test_the_plain_loop_ends_in_the_state_that_durproj_ends_in(durproj, tmp_path, kind):
    log = small_log(tmp_path / "log.jsonl", kind, 1, 700)
    reducer = f"{BENCH / 'reducers.py'}:settings" if kind == "settings" else "account"
    ran = durproj(
        "run", log, "--user", "u1", "--durability", "batch", "--json", "--reducer", reducer
    )
    plain = baseline(tmp_path, "loop", log, "u1", reducer.rpartition(":")[2])
    assert json.loads(plain) == ran.json[1]["state"]


def test_the_loop_over_many_streams_and_that_of_inserts_do_the_same(durproj, tmp_path):
    log = small_log(tmp_path / "many.jsonl", "account", 20, 30)
    ran = durproj("run", log, "--key", "userId", "--durability", "batch", "--json")
    states = [line["state"] for line in ran.json if line["type"] == "projection"]
    streams, state = baseline(tmp_path, "loop-by-key", log).split(" ", 1)
    assert int(streams) == len(states) == 20
    assert json.loads(state) in states

    one = small_log(tmp_path / "one.jsonl", "account", 1, 300)
    inserted = baseline(tmp_path, "insert", one, "u1", tmp_path / "bare.db", "NORMAL")
    assert inserted == baseline(tmp_path, "loop", one, "u1", "account")


def baseline(folder, *args):
    return subprocess.run(
        [sys.executable, BENCH / "baselines.py", *map(str, args)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
