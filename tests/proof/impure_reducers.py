"""Reducers that are not pure: not deterministic, or they return what JSON cannot carry, or change what they are
given."""

from __future__ import annotations

import json
from collections.abc import Mapping

from proof.children import command
from proof.half_runs import EVENTS, crash_half_way, expect_sound, journal
from proof.trial import Proof, Trial

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
            crash_half_way(folder, IMPURE, name)
            assert command(["resume"], folder).code == 0
            done = command(["verify", "--twice", "--json"], folder)
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
    "-0.0": ("{'x': -0.0, 'y': [0.0, 0, -0.0]}", None),
    "1.0": ("{'x': 1.0, 'y': [1.0, 1, -2.0]}", None),
    "True": ("{'x': True, 'y': [False, 1, 0]}", None),
    "1e16": ("{'x': 1e16, 'y': [10**16, 5e-324, 1e22]}", None),
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
            assert crash_half_way(folder, source, "f").code == 3
            done = command(["resume"], folder)
            expect_sound(folder)
            states = [record["state"] for record in journal(folder)]
            if refusal is None:
                assert done.code == 0, done.err
                # As texts: to Python -0.0 is 0, and both 1.0 and True are 1.
                assert json.dumps(states[5]) == json.dumps(eval(expression))
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
            assert crash_half_way(folder, MUTATING, "f").code == 3
            assert command(["resume"], folder).code == 0
            ids = [f"e{n}" for n in range(EVENTS)]
            assert [record["state"]["seen"] for record in journal(folder)] == [
                ids[max(0, at - 2) : at + 1] for at in range(EVENTS)
            ]
            expect_sound(folder)
            done = command(["verify", "--refold"], folder)
            assert done.code == 0, done.out


PROOFS = [
    Proof("a reducer that is not deterministic", ("P4", "P5"), impure, 2, 8, case_ms=380),
    Proof(
        "a reducer that returns what JSON cannot carry", ("P4",), unstorable, 23, 300, case_ms=70
    ),
    Proof("a reducer that changes what it is given", ("P4",), mutating, 1, 20, case_ms=217),
]
