"""The harness itself: what is counted, what is a fault, and that nothing is left when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proof import __main__ as proof_main
from proof import rows
from proof.trial import Proof

TESTS = Path(__file__).resolve().parents[1]


def made(prove, **more):
    return Proof("made up", ("P1",), prove, 1, 1, case_ms=1, **more)


def good_then_raises(trial):
    trial.passed()
    raise RuntimeError("not in a case")


@pytest.mark.parametrize("control", [False, True])
def test_what_is_raised_outside_of_a_case_is_a_fault(tmp_path, control):
    proof = made(good_then_raises, control=control)
    (fault,) = proof.faults(proof.run("seed", 1, tmp_path))
    assert "RuntimeError: not in a case" in fault


def test_what_is_lost_is_a_fault_but_of_a_control_that_nothing_is_lost(tmp_path):
    def loses(trial):
        with trial.case("the first"):
            raise AssertionError("gone")

    def breaks(trial):
        with trial.case("the first"):
            raise ValueError("gone")

    lost = made(loses).run("seed", 1, tmp_path)
    (fault,) = made(loses).faults(lost)
    assert fault.startswith("the first\n")
    assert made(loses, control=True).faults(lost) == []
    assert made(breaks, control=True).faults(made(breaks).run("seed", 1, tmp_path))
    kept = made(lambda trial: trial.passed(3)).run("seed", 1, tmp_path)
    assert made(loses).faults(kept) == []
    assert made(loses, control=True).faults(kept)
    assert made(loses).faults(made(lambda _: None).run("seed", 1, tmp_path))


def test_a_row_that_lacks_its_tool_says_so(tmp_path, monkeypatch):
    def skips(_):
        pytest.skip("there is no such tool")

    monkeypatch.setattr(rows, "PROOFS", [made(skips)])
    row = rows.prove("made up", "seed", 1, tmp_path)
    assert (row["not_run"], row["cases"], row["faults"]) == ("there is no such tool", 0, [])


def test_the_command_that_makes_a_lost_case_again_asks_for_as_many_cases(capsys):
    row = rows._row(made(lambda _: None), faults=["gone"])
    report = {
        "seed": "5f",
        "counts": " --quick --scale 0.5",
        "seconds": 1.0,
        "rows": [row | {"seconds": 1.0}],
    }
    proof_main.print_table(report)
    again = "make proof ARGS='--seed 5f --quick --scale 0.5 --only \"made up\"'"
    assert f"made up, again with: {again}\ngone" in capsys.readouterr().err


def test_a_reader_who_leaves_is_not_answered_with_a_traceback():
    words = [sys.executable, "-m", "proof", "--list"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(words, cwd=TESTS, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_process_that_dies_is_a_fault_of_its_row():
    nobody = made(lambda _: None)  # its process does not know it either
    (row,) = rows.rows([(nobody, 1)], "seed", 1)
    assert row["faults"] == ["its process ended with 1"]


def test_of_a_proof_that_is_stopped_nothing_is_left_but_its_table(tmp_path):
    words = [
        "--only",
        "a soak",
        "--only",
        "--help names",
        "--jobs",
        "2",
        "--json",
        tmp_path / "out",
    ]
    folder = tmp_path / "tmp"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "proof", *words],
        cwd=TESTS, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        # The soak has begun, and takes long.
        while not any(folder.rglob("log.jsonl")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert out.startswith(b"| fault |")
    assert b"did not come to their end" in err
    assert b"Traceback" not in err
    assert list(folder.iterdir()) == []
    assert not _processes_of(folder)


def _processes_of(folder):
    """Those who were told to use it for what is temporary."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:  # it has ended, or is another's
            continue
    return found
