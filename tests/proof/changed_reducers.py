"""Reducers that are not what they were when the run began."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dying import tables

from proof.children import command
from proof.half_runs import EVENTS, WRITTEN, crash_half_way, expect_sound, journal, write_log
from proof.trial import Proof, Trial

TOTAL = """
import decimal
import helper

RATE = 2
TABLE = {"a": 1}

def near(x):
    return x * RATE + TABLE["a"]

def make(by):
    def inner(state, event, step=1):
        \"\"\"What it does.\"\"\"
        return {"n": state["n"] + step * by, "sum": state["sum"] + near(event.body["v"])}
    return inner

total = make(1)
total.initial = {"n": 0, "sum": 0}
"""
HELPER = "def unused(x):\n    return x\n"

EDITS: Mapping[str, tuple[str, str, bool]] = {
    "a body": ('"n": state["n"] +', '"n": 1 + state["n"] +', True),
    "a default argument": ("step=1", "step=2", True),
    "a function that is called": ("x * RATE +", "x * RATE -", True),
    "a closure": ("make(1)", "make(2)", True),
    "a constant": ("RATE = 2", "RATE = 3", True),
    "a table": ('{"a": 1}', '{"a": 2}', True),
    "a key of the state": ('"sum": state["sum"]', '"total": state["sum"]', True),
    "the initial state": ('"sum": 0}', '"sum": 1}', True),
    "a comment": ("    return x *", "    # why\n    return x *", False),
    "a docstring": ("What it does.", "What else it does.", False),
    "white space": ("def near(x):\n", "def near( x ):\n\n", False),
    "where it stands": ("RATE = 2\n", "\n\n\nRATE = 2\n", False),
    "a function that is not called": ("def make", "def other():\n    return 1\n\ndef make", False),
    "the order of imports": (
        "import decimal\nimport helper",
        "import helper\nimport decimal",
        False,
    ),
}
"""By what is changed: the text, what takes its place, and whether it is another reducer then."""


def changed(trial: Trial) -> None:
    kinds = list(EDITS)
    trial.rng.shuffle(kinds)
    for n in range(trial.count):
        kind = kinds[n % len(kinds)]
        old, new, other = EDITS[kind]
        with trial.case(f"another text of {kind}"), trial.scratch() as folder:
            (folder / "helper.py").write_text(HELPER)
            assert crash_half_way(folder, TOTAL, "total").code == 3
            was, before = tables(folder / "durproj.db"), journal(folder)
            assert old in TOTAL
            (folder / "r.py").write_text(TOTAL.replace(old, new))
            done = command(["resume"], folder)
            assert done.code == (4 if other else 0), done.err
            if other:
                assert "recorded: " in done.err
                assert "now:" in done.err
                assert tables(folder / "durproj.db") == was, "what is refused changed the store"
                assert "--accept-reducer" in done.err
                done = command(["resume", "--accept-reducer"], folder)
                assert done.code == 0 or kind == "a key of the state", done.err
            found = journal(folder)
            assert found[:WRITTEN] == before
            assert len(found) == EVENTS or kind == "a key of the state"
            expect_sound(folder)


COUNT = ".state | .n += 1"
CASES = (
    ("merge", "counts", False),
    ("counts", "merge", False),
    ("merge", "r.py:total", False),
    ("r.py:total", "merge", False),
    ("merge", f"jq:{COUNT}", False),
    (f"jq:{COUNT}", "merge", False),
    (f"jq:{COUNT}", f"jq:{COUNT[:-1]}2", False),
    (f"jq:{COUNT}", "jq:@edited.jq", False),
    ("jq:@count.jq", "jq:@edited.jq", False),
    ("jq:@count.jq", f"jq:{COUNT}", True),
    ("jq:@count.jq", "jq:@same.jq", True),
)
"""The reducer of a run, that of the run after its crash, and whether they are one."""


def another(trial: Trial) -> None:
    """Another reducer than the one that began, by its name or by its text."""
    cases = trial.rng.sample(CASES, len(CASES))
    for n in range(trial.count):
        first, then, same = cases[n % len(cases)]
        with trial.case(f"{first}, then {then}"), trial.scratch() as folder:
            for name, text in (
                ("count", COUNT),
                ("edited", COUNT[:-1] + "2"),
                ("same", COUNT + "\n"),
            ):
                (folder / f"{name}.jq").write_text(text)
            for name, text in (("helper", HELPER), ("r", TOTAL)):
                (folder / f"{name}.py").write_text(text)
            write_log(folder)
            run = ("run", "log.jsonl", "--reducer")
            assert command([*run, first, "--crash", WRITTEN], folder).code == 3
            was, before = tables(folder / "durproj.db"), journal(folder)
            done = command([*run, then], folder)
            assert done.code == (0 if same else 4), done
            if not same:
                assert tables(folder / "durproj.db") == was, "what is refused changed the store"
                assert re.search(r"\([0-9a-f]{16}\).*\([0-9a-f]{16}\)", done.err, re.DOTALL), (
                    done.err
                )
                # What is recorded of a program in a file is its text: an edit of the file is no edit of it.
                (folder / "count.jq").write_text("no jq at all")
                done = command(["resume"], folder)
                assert done.code == 0, done.err
            found = journal(folder)
            assert found[:WRITTEN] == before
            assert len(found) == EVENTS
            expect_sound(folder)


PROOFS = [
    Proof("the reducer changed between crash and resume", ("P5",), changed, 14, 200, case_ms=90),
    Proof(
        "another reducer after a crash: by another name, or a jq program edited",
        ("P5",),
        another,
        11,
        110,
        case_ms=90,
    ),
]
