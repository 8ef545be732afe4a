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
from proof import needed, rows
from proof.children import Ended
from proof.trial import Proof

TESTS = Path(__file__).resolve().parents[1]


def made(prove, **more):
    return Proof("made up", ("P1",), prove, 1, 1, case_ms=1, **more)


def good_then_raises(trial):
    trial.passed()
    raise RuntimeError("not in a case")


@pytest.mark.parametrize("control", ["", "gone"])
def test_what_is_raised_outside_of_a_case_is_a_fault(tmp_path, control):
    proof = made(good_then_raises, control=control)
    (fault,) = proof.faults(proof.run("seed", 1, tmp_path))
    assert "RuntimeError: not in a case" in fault


def test_what_is_lost_is_a_fault_but_of_a_control_that_nothing_is_lost(tmp_path):
    def loses(trial):
        with trial.case("the first"):
            raise AssertionError("gone")

    lost = made(loses).run("seed", 1, tmp_path)
    (fault,) = made(loses).faults(lost)
    assert fault.startswith("the first\n")
    assert proved(loses, "gone", tmp_path) == []
    kept = made(lambda trial: trial.passed(3)).run("seed", 1, tmp_path)
    assert made(loses).faults(kept) == []
    assert made(loses, control="gone").faults(kept)
    assert made(loses).faults(made(lambda _: None).run("seed", 1, tmp_path))


def proved(prove, control, folder):
    """The faults of a control."""
    proof = made(prove, control=control)
    return proof.faults(proof.run("seed", 1, folder))


def test_a_control_finds_nothing_in_what_is_lost_for_another_reason(tmp_path):
    def breaks(trial):
        with trial.case("a child that does not begin"):
            Ended(99, b"", b"TypeError: it takes 2 arguments").expect(0)

    told, lost = proved(breaks, "gone", tmp_path)
    assert told == "broken on purpose, 0 of 1 cases say: gone"
    assert lost.startswith("a child that does not begin\n")
    assert "TypeError: it takes 2 arguments" in lost


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


def told_of(*found):
    """A report of these rows."""
    return {
        "seed": "5f",
        "counts": "",
        "seconds": 1.0,
        "rows": [{**row, "seconds": 1.0} for row in found],
    }


def last_cells(out):
    """The lost column: of each row, and of the last line."""
    return [line.split(" | ")[-2] for line in out.splitlines()[2:] if line.startswith("|")]


def breaks_a_case(trial):
    with trial.case("the first"):
        raise ValueError("not what it looks for")


@pytest.mark.parametrize(
    ("prove", "control", "cell", "total"),
    [
        (lambda trial: trial.passed(3), "", "0", "0"),
        (good_then_raises, "", "broke off", "0, 1 broke off"),
        (good_then_raises, "gone", "broke off (control)", "0, 1 broke off"),
        (lambda _: None, "", "broke off", "0, 1 broke off"),
        (breaks_a_case, "", "1", "1"),
        (breaks_a_case, "gone", "found nothing (control)", "0, 1 found too little"),
        (lambda trial: trial.passed(3), "gone", "found nothing (control)", "0, 1 found too little"),
    ],
)  # fmt: skip
def test_a_row_that_proves_nothing_does_not_read_as_if_nothing_was_lost(
    tmp_path, monkeypatch, capsys, prove, control, cell, total
):
    monkeypatch.setattr(rows, "PROOFS", [made(prove, control=control)])
    proof_main.print_table(told_of(rows.prove("made up", "seed", 1, tmp_path)))
    assert last_cells(capsys.readouterr().out) == [cell, total]


def test_of_a_control_those_losses_are_told_that_it_is_to_find(tmp_path, monkeypatch, capsys):
    def finds_one_of_two(trial):
        breaks_a_case(trial)
        with trial.case("the second"):
            raise AssertionError("gone")

    monkeypatch.setattr(rows, "PROOFS", [made(finds_one_of_two, control="gone")])
    proof_main.print_table(told_of(rows.prove("made up", "seed", 1, tmp_path)))
    assert last_cells(capsys.readouterr().out) == ["1 (control)", "0"]


def test_the_last_line_is_of_all_rows_and_counts_no_case_of_a_control(capsys):
    row = rows._row(made(lambda _: None), cases=3)
    control = rows._row(made(lambda _: None, control="gone"), cases=5, faults=["found nothing"])
    proof_main.print_table(told_of(row, control))
    (last,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| all")]
    assert last == "| all, without the cases of controls | | 3 | 3 | 0, 1 found too little | 1 |"


def test_a_control_that_finds_too_little_says_how_little(tmp_path, monkeypatch, capsys):
    def finds_one(trial):
        trial.passed(99)
        with trial.case("the last"):
            raise AssertionError("gone")

    monkeypatch.setattr(rows, "PROOFS", [made(finds_one, control="gone")])
    proof_main.print_table(told_of(rows.prove("made up", "seed", 1, tmp_path)))
    assert last_cells(capsys.readouterr().out)[0] == "found too little: 1 (control)"


@pytest.mark.parametrize(("words", "code"), [([], 1), (["--allow-missing"], 0)])
def test_what_is_not_run_is_told_and_is_no_success_unless_that_is_allowed(
    tmp_path, monkeypatch, capsys, words, code
):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(rows, "PROOFS", [made(lambda _: needed.strace())])
    row = rows.prove("made up", "seed", 1, tmp_path) | {"seconds": 1.0}
    kept = rows._row(made(lambda _: None), cases=1) | {"seconds": 1.0}
    monkeypatch.setattr(proof_main, "_prove", lambda *_: ([row, kept], 0))
    monkeypatch.setattr(sys, "argv", ["proof", *words, "--json", str(tmp_path / "out")])
    assert proof_main.main() == code
    out, err = capsys.readouterr()
    assert last_cells(out)[-1] == "0, 1 not run"
    assert (
        "not run: 1 of 2 kinds of fault: strace is not installed (Debian's package: strace)" in err
    )


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
    assert row["broke_off"]


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
