"""The laws that hypothesis tests, each with many times the examples of `make test`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from conftest import environment

from proof.trial import Proof, Trial

TESTS = Path(__file__).resolve().parents[1]
ROUND = 3_000
"""So many examples do all laws have together in `make test`, about."""

PASSING = re.compile(r"^ +- (\d+) passing", re.MULTILINE)


def prove(trial: Trial, *, tests: Sequence[Path | str] = (TESTS,)) -> None:
    """Run the laws of `tests`. State machines are laws, too, and are proved by themselves."""
    report = trial.folder / "laws.xml"
    command = ["-m", "hypothesis", "-k", "not runTest", "-q", "-n0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *command, *map(str, tests)),
            *("--timeout=0", "--hypothesis-show-statistics", f"--junitxml={report}"),
            f"--hypothesis-seed={trial.rng.getrandbits(32)}",
            f"--basetemp={trial.folder / 'tmp'}",
        ],
        cwd=TESTS.parent,
        env=environment(
            HYPOTHESIS_PROFILE="nightly",
            HYPOTHESIS_TIMES=str(trial.count / ROUND),
            CI=os.environ.get("CI", ""),
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    trial.passed(sum(map(int, PASSING.findall(done.stdout))))
    laws = list(ET.parse(report).iter("testcase"))
    for law in laws:
        for fault in (*law.findall("failure"), *law.findall("error")):
            with trial.case(f"{law.get('classname')}::{law.get('name')}"):
                raise AssertionError(fault.text)
    trial.note(f"{len(laws)} laws")


PROOFS = [
    Proof(
        "laws of all parts, on drawn examples",
        ("P1", "P2", "P4", "P5"),
        prove,
        ROUND // 3,
        10 * ROUND,
        case_ms=5.5,
    )
]
