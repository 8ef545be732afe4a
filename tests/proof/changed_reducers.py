"""Reducers that are not what they were, not what they should be, or do what they should not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import durproj
from proof import in_child
from proof.changed_inputs import contents
from proof.trial import Proof, Trial

EVENTS = 8
WRITTEN = 4
"""So many steps are recorded before anything changes."""

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


def _write_log(folder: Path) -> None:
    lines = (json.dumps({"key": "u1", "type": "T", "id": f"e{n}", "v": n}) for n in range(EVENTS))
    (folder / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))


def _begin(folder: Path, source: str, name: str = "total") -> in_child.Result:
    _write_log(folder)
    (folder / "helper.py").write_text(HELPER)
    (folder / "r.py").write_text(source)
    return in_child.command(
        ["run", "log.jsonl", "--reducer", f"r.py:{name}", "--crash", WRITTEN], folder
    )


def _journal(folder: Path) -> list[Any]:
    return list(durproj.export_records(store=folder / "durproj.db", journal=True))


def _expect_sound(folder: Path) -> None:
    *records, summary = durproj.verify(store=folder / "durproj.db")
    assert summary["exit"] == 0, records


def changed(trial: Trial) -> None:
    kinds = list(EDITS)
    trial.rng.shuffle(kinds)
    for n in range(trial.count):
        kind = kinds[n % len(kinds)]
        old, new, other = EDITS[kind]
        with trial.case(f"another text of {kind}"), trial.scratch() as folder:
            assert _begin(folder, TOTAL).code == 3
            was, before = contents(folder / "durproj.db"), _journal(folder)
            assert old in TOTAL
            (folder / "r.py").write_text(TOTAL.replace(old, new))
            done = in_child.command(["resume"], folder)
            assert done.code == (4 if other else 0), done.err
            if other:
                assert "recorded: " in done.err
                assert "now:" in done.err
                assert contents(folder / "durproj.db") == was, "what is refused changed the store"
                assert "--accept-reducer" in done.err
                done = in_child.command(["resume", "--accept-reducer"], folder)
                assert done.code == 0 or kind == "a key of the state", done.err
            found = _journal(folder)
            assert found[:WRITTEN] == before
            assert len(found) == EVENTS or kind == "a key of the state"
            _expect_sound(folder)


# -- what is not deterministic, and what JSON cannot carry

IMPURE = """
import itertools, random, time, uuid
calls = itertools.count()
last = {}
def by_random(state, event): return {"at": random.random()}
def by_time(state, event): return {"at": time.time_ns()}
def by_uuid(state, event): return {"at": str(uuid.uuid4())}
def by_set_order(state, event): return {"at": list({event.id + c for c in "abcdefgh"})}
def by_hash(state, event): return {"at": hash(event.id)}
def by_counter(state, event): return {"at": next(calls)}
def by_memory(state, event):
    before, last["id"] = last.get("id"), event.id
    return {"at": before}
def by_float_order(state, event): return {"at": sum({event.id: 1e16, "b" + event.id: 1.0, "c": -1e16}[key] for key in {event.id, "b" + event.id, "c"})}
"""
FLAGGED = tuple(
    line.partition("(")[0].removeprefix("def ")
    for line in IMPURE.splitlines()
    if line.startswith("def ")
)


def impure(trial: Trial) -> None:
    names = trial.rng.sample(FLAGGED, min(trial.count, len(FLAGGED)))
    for name in names:
        with trial.case(f"a reducer that goes {name}"), trial.scratch() as folder:
            _begin(folder, IMPURE, name)
            assert in_child.command(["resume"], folder).code == 0
            done = in_child.command(["verify", "--twice", "--json"], folder)
            found = json.loads(done.out.splitlines()[0])
            assert (done.code, found["status"]) == (1, "different"), done.out + done.err


VALUES: Mapping[str, tuple[str, str | None]] = {
    "NaN": ("float('nan')", "JSON cannot carry"),
    "infinity": ("[1.0, {'a': float('inf')}]", "JSON cannot carry"),
    "a set": ("{1, 2}", "set"),
    "bytes": ("b'x'", "bytes"),
    "a date": ("__import__('datetime').datetime(2024, 1, 1)", "datetime"),
    "a Decimal": ("__import__('decimal').Decimal('1')", "Decimal"),
    "an object": ("object()", "object"),
    "a function": ("lambda: 1", "function"),
    "2^64": ("2**64", "64 bits"),
    "-2^63 - 1": ("-2**63 - 1", "64 bits"),
    "255 levels": ("__import__('functools').reduce(lambda x, _: [x], range(255), 1)", "levels"),
    "keys that are integers": ("{1: 2}", "keys are strings"),
    "a key that is None": ("{None: 2}", "keys are strings"),
    "a lone surrogate": ("'\\ud800'", "surrogate"),
    "a generator": ("(x for x in [])", "generator"),
    "itself": ("(lambda x: (x.append(x), x)[1])([])", "levels"),
    "a tuple": ("(1, (2, 3))", None),
    "2^64 - 1": ("2**64 - 1", None),
    "-0.0": ("-0.0", None),
    "250 levels": ("__import__('functools').reduce(lambda x, _: [x], range(250), 1)", None),
}
"""By what is returned: the expression, and what the refusal says; None: it is taken, as JSON has it."""


def unstorable(trial: Trial) -> None:
    kinds = list(VALUES)
    trial.rng.shuffle(kinds)
    for n in range(trial.count):
        kind = kinds[n % len(kinds)]
        expression, refusal = VALUES[kind]
        source = (
            f"def f(state, event):\n    return ({expression}) if event.id == 'e5' else {{'n': 1}}\n"
        )
        with trial.case(f"{kind} is returned"), trial.scratch() as folder:
            assert _begin(folder, source, "f").code == 3
            done = in_child.command(["resume"], folder)
            _expect_sound(folder)
            states = [record["state"] for record in _journal(folder)]
            if refusal is None:
                assert done.code == 0, done.err
                assert states[5] == json.loads(json.dumps(eval(expression)))
            else:
                assert done.code == 1, done.err
                assert refusal in done.err, done.err
                assert "Traceback" not in done.err
                assert states == [{"n": 1}] * 5


MUTATING = """
def f(state, event):
    event.body["v"] = 99
    event.data["v"] = 98
    state["seen"].append(event.id)
    state["seen"] = state["seen"][-3:]
    return state
f.initial = {"seen": []}
"""


def mutating(trial: Trial) -> None:
    """A reducer that changes its event and its state in place changes nothing that is recorded."""
    for n in range(trial.count):
        with trial.case(f"crash {n}"), trial.scratch() as folder:
            assert _begin(folder, MUTATING, "f").code == 3
            assert in_child.command(["resume"], folder).code == 0
            ids = [f"e{n}" for n in range(EVENTS)]
            assert [record["state"]["seen"] for record in _journal(folder)] == [
                ids[max(0, at - 2) : at + 1] for at in range(EVENTS)
            ]
            _expect_sound(folder)
            done = in_child.command(["verify", "--refold"], folder)
            assert done.code == 0, done.out


# -- clocks

CLOCKS: Mapping[str, Callable[[], Iterator[float]]] = {
    "goes backwards": lambda: (1.7e9 - 3600 * n for n in range(10**6)),
    "stands still": lambda: (1.7e9 for _ in range(10**6)),
    "1970": lambda: (n / 1000 for n in range(10**6)),
    "before 1970": lambda: (-86400.0 + n for n in range(10**6)),
    "2038": lambda: (2**31 - 2 + n / 3 for n in range(10**6)),
    "a leap second": lambda: (1483228799 + n % 4 / 4 for n in range(10**6)),
    "daylight saving": lambda: (1711846799.9 + n / 10 for n in range(10**6)),
    "leaps by years": lambda: (1e9 + (n % 2) * 1e9 for n in range(10**6)),
}


@contextmanager
def a_clock(ticks: Iterator[float]) -> Iterator[None]:
    """The system's clock says what it is told to."""

    def now() -> float:
        return next(ticks)

    def now_ns() -> int:
        return int(now() * 1e9)

    with mock.patch.object(time, "time", now), mock.patch.object(time, "time_ns", now_ns):
        yield


SHOWN = (
    "inspect projection/u1", "list", "log projection/u1", "export", "export --journal",
    "blame projection/u1", "verify", "diff projection/u1#2",
)  # fmt: skip


def _lived(folder: Path, ticks: Callable[[], Iterator[float]] | None, **env: str) -> list[str]:
    """What the commands print of a fold that crashed and was resumed, by this clock."""

    def by_it(args: list[str]) -> in_child.Result:
        def act() -> None:
            from durproj.cli.app import main

            sys.argv = ["durproj", *args]
            if ticks is None:
                main()
            else:
                with a_clock(ticks()):
                    main()

        return in_child.run(act, folder, **env)

    _write_log(folder)
    run = ["run", "log.jsonl", "--reducer", "counts"]
    assert by_it([*run, "--crash", str(WRITTEN)]).code == 3
    assert by_it([*run, "--name", "other", "--fail", "2", "--retry-delay", "0"]).code == 0
    done = by_it(["resume"])
    assert done.code == 0, done.err
    return [by_it([*shown.split(), "--json", "--stable"]).out for shown in SHOWN]


def clocks(trial: Trial) -> None:
    with trial.scratch() as folder:
        expected = _lived(folder, None)
    kinds = [
        (name, zone) for zone in ("UTC", "America/New_York", "Asia/Kathmandu") for name in CLOCKS
    ]
    trial.rng.shuffle(kinds)
    for name, zone in kinds[: trial.count]:
        with trial.case(f"a clock that is: {name}, in {zone}"), trial.scratch() as folder:
            assert _lived(folder, CLOCKS[name], TZ=zone, SOURCE_DATE_EPOCH="1") == expected


# -- reducers that do what they should not

GOOD = "def f(state, event):\n    return {'n': state.get('n', 0) + 1}\n"
BODY = "def f(state, event):\n    if event.id == 'e5':\n        {0}\n    return {{'n': state.get('n', 0) + 1}}\n"

IMPORTED: Mapping[str, str] = {
    "an error": "1 / 0",
    "no such module": "import not_there_at_all",
    "a syntax error": "def (",
    "SystemExit": "raise SystemExit(0)",
    "sys.exit with a text": "import sys; sys.exit('bye')",
    "no function": "f = 3",
    "endless recursion": "def g():\n    g()\ng()",
}
"""Modules that cannot be imported: exit 2, and no store."""

DONE: Mapping[str, tuple[str, set[int]]] = {
    "raises": ("1 / 0", {1}),
    "SystemExit": ("raise SystemExit(7)", {1, 7}),
    "os._exit": ("import os; os._exit(7)", {7}),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", {-9}),
    "endless recursion": ("f(state, event)", {1, 0}),
    "all memory": ("import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); bytearray(2**34)", {1}),
    "never returns, and INT comes twice": (
        "import os; [os.kill(os.getpid(), 2) for _ in range(2)]; exec('while True: pass')",
        {130},
    ),
    "never returns, and TERM comes twice": (
        "import os; [os.kill(os.getpid(), 15) for _ in range(2)]; exec('while True: pass')",
        {143},
    ),
    "prints": ("print('noise'); __import__('sys').stdout.write('noise')", {0}),
    "writes to fd 1": ("import os; os.write(1, b'noise')", {0}),
    "closes stdout": ("import sys; sys.stdout.close()", {0}),
    "closes the descriptors": ("import os; os.close(1); os.close(2)", {0, 74}),
    "patches json": ("import json; json.loads = json.dumps = None", {0}),
    "changes folder": ("import os; os.chdir('/')", {0}),
    "changes signal handlers": ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", {0}),
    "starts a thread": ("import threading; threading.Thread(target=lambda: None).start()", {0}),
    "forks a child that ends": ("import os; pid = os.fork(); os._exit(0) if not pid else os.waitpid(pid, 0)", {0}),
    "changes sys.path": ("import sys; sys.path.clear()", {0}),
    "clears the environment": ("import os; os.environ.clear()", {0}),
    "turns the collector off": ("import gc; gc.disable()", {0}),
    "changes its limit": ("import sys; sys.setrecursionlimit(120)", {0, 1}),
    "warns": ("import warnings; warnings.simplefilter('error'); ", {0}),
}  # fmt: skip
"""What a reducer does at its sixth event, and how the run may end."""


def misbehaving(trial: Trial) -> None:
    cases = [*(("imports", kind) for kind in IMPORTED), *(("does", kind) for kind in DONE)]
    trial.rng.shuffle(cases)
    for n in range(trial.count):
        when, kind = cases[n % len(cases)]
        with trial.case(f"{when}: {kind}"), trial.scratch() as folder:
            _write_log(folder)
            source = f"{IMPORTED[kind]}\n" if when == "imports" else BODY.format(DONE[kind][0])
            (folder / "r.py").write_text(source)
            done = in_child.command(["run", "log.jsonl", "--reducer", "r.py:f", "--json"], folder)
            codes = {2} if when == "imports" else DONE[kind][1]
            assert done.code in codes, f"exit {done.code}: {done.err}"
            assert "noise" not in done.out or kind == "writes to fd 1"
            assert "a bug in durproj" not in done.err
            if when == "imports":
                assert not (folder / "durproj.db").exists()
                continue
            _expect_sound(folder)
            assert [record["state"]["n"] for record in _journal(folder)][:5] == [1, 2, 3, 4, 5]
            (folder / "r.py").write_text(GOOD)
            again = in_child.command(["resume", "--accept-reducer"], folder)
            assert again.code == 0, again.err
            if done.code or len(_journal(folder)) < EVENTS:
                assert [record["state"]["n"] for record in _journal(folder)] == [
                    *range(1, EVENTS + 1)
                ]
            _expect_sound(folder)


PROOFS = [
    Proof("the reducer changed between crash and resume", ("P5",), changed, 14, 200),
    Proof("a reducer that is not deterministic", ("P4", "P5"), impure, 2, 8),
    Proof("a reducer that returns what JSON cannot carry", ("P4",), unstorable, 20, 300),
    Proof("a reducer that changes what it is given", ("P4",), mutating, 1, 20),
    Proof("a clock that is wrong", ("P1", "P2"), clocks, 3, 24),
    Proof("a reducer that does what it should not", ("P1", "P8"), misbehaving, 29, 300),
]
