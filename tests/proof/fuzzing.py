"""The fuzz targets: their corpus, and with atheris what its guidance makes of that. A case is one input; what
breaks the invariant of the target is kept, for `make proof` to name it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.fuzzing import CORPUS, corpus

from proof.trial import Proof, Trial

WORTH_A_START = 1_000
"""For fewer inputs they are drawn without guidance: instrumenting the program takes as long as these."""

TESTS = Path(__file__).resolve().parents[1]


def target(name: str) -> Callable[[Trial], None]:
    """The proof of the target `name`: its corpus, then inputs that are made of it."""

    def prove(trial: Trial) -> None:
        module: Any = importlib.import_module(f"fuzz.{name}")
        known = corpus(name)
        for data in known:
            with trial.case(f"{data!r}, of the corpus"):
                module.check(data)
        if trial.count >= WORTH_A_START and importlib.util.find_spec("atheris"):
            _guided(trial, name)
            return
        for _ in range(trial.count):
            data = _changed(trial, known)
            with trial.case(f"{data!r}"):
                module.check(data)
        trial.note("without the guidance of atheris")

    return prove


def _changed(trial: Trial, known: list[bytes]) -> bytes:
    """Two inputs of the corpus, joined, with a byte changed."""
    one, two = trial.rng.choice(known), trial.rng.choice(known)
    data = bytearray(
        one[: trial.rng.randrange(len(one) + 1)] + two[trial.rng.randrange(len(two) + 1) :]
    )
    if data:
        data[trial.rng.randrange(len(data))] = trial.rng.randrange(256)
    return bytes(data)


def _guided(trial: Trial, name: str) -> None:
    """libFuzzer, for so many runs; all are one case each."""
    with trial.scratch() as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-m", f"fuzz.{name}", str(folder), str(CORPUS / name)),
                *(f"-runs={trial.count}", f"-seed={trial.rng.randrange(1, 1 << 31)}", "-timeout=60"),
                *("-max_len=3000", f"-dict={TESTS / 'fuzz' / 'json.dict'}", f"-artifact_prefix={folder}/found-"),
            ],
            cwd=TESTS, env={**os.environ, "PYTHONPATH": str(TESTS.parent)}, capture_output=True, check=False,
        )  # fmt: skip
        said = done.stderr.decode(errors="replace")
        ran = [int(number) for number in re.findall(r"^#(\d+)", said, re.MULTILINE)]
        trial.passed(max(ran, default=0))
        found = [path.read_bytes() for path in folder.glob("found-*")]
        with trial.case(f"python -m fuzz.{name}: {found!r}"):
            assert done.returncode == 0, said[-3000:]
            assert ran, said[-3000:]


PROOFS = [
    Proof("fuzz: line reader", ("P4",), target("line_reader"), 300, 200_000, case_ms=1.6),
    Proof("fuzz: store opener", ("P7",), target("store_opener"), 150, 60_000, case_ms=2.3),
]
