"""Reducers that are not pure: not deterministic, or they return what JSON cannot carry, or change what they are
given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from durproj import codec
from proof.children import command
from proof.half_runs import EVENTS, WRITTEN, crash_half_way, expect_sound, journal
from proof.trial import Proof, Trial

IMPURE = """
import itertools, random, time, uuid
calls = itertools.count()
last = {}
def by_random(state, event): return {"was": state.get("at"), "at": random.random()}
def by_time(state, event): return {"was": state.get("at"), "at": time.time_ns()}
def by_uuid(state, event): return {"was": state.get("at"), "at": str(uuid.uuid4())}
def by_set_order(state, event): return {"was": state.get("at"), "at": list({event.id + c for c in "abcdefgh"})}
def by_hash(state, event): return {"was": state.get("at"), "at": hash(event.id)}
def by_counter(state, event): return {"was": state.get("at"), "at": next(calls)}
def by_memory(state, event):
    before, last["id"] = last.get("id"), event.id
    return {"was": state.get("at"), "at": before}
def by_float_order(state, event):
    values = {event.id: 1e16, "b" + event.id: 1.0, "c": -1e16}
    return {"was": state.get("at"), "at": sum(values[key] for key in set(values))}
"""
"""Each state tells what was in the one that its step was given."""

FLAGGED = tuple(
    line.partition("(")[0].removeprefix("def ")
    for line in IMPURE.splitlines()
    if line.startswith("def ")
)


def impure(trial: Trial) -> None:
    """What is recorded stays as it is, although another call would give another state; the steps after the
    crash are given it; and `verify --twice` tells of the reducer."""
    names = trial.rng.sample(FLAGGED, min(trial.count, len(FLAGGED)))
    for name in names:
        with trial.case(f"a reducer that goes {name}"), trial.scratch() as folder:
            assert crash_half_way(folder, IMPURE, name).code == 3
            before = states_of(folder)
            assert command(["resume"], folder).code == 0
            states = states_of(folder)
            assert states[:WRITTEN] == before, "a finished step was executed again"
            assert [state["was"] for state in states] == [
                None, *(state["at"] for state in states[:-1])
            ]  # fmt: skip
            done = command(["verify", "--twice", "--json"], folder)
            found = json.loads(done.out.splitlines()[0])
            assert (done.code, found["status"]) == (1, "different"), done.out + done.err


def states_of(folder: Path) -> list[Any]:
    """The state after every step that is recorded."""
    return [record["state"] for record in journal(folder)]


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


RETURNING = """
def f(state, event):
    if event.id == "e6":
        return {{"given": repr(state)}}
    return ({0}) if event.id == "e5" else {{"n": 1}}
"""


def unstorable(
    trial: Trial, kinds: Sequence[str] = tuple(VALUES), before: Callable[[], object] = lambda: None
) -> None:
    """What comes back from storage as it went is taken, and is what the next step is given; all else is refused.
    before: done in the process that goes on."""
    for kind in islice(cycle(trial.rng.sample(kinds, len(kinds))), trial.count):
        expression, refusal = VALUES[kind]
        source = RETURNING.format(expression)
        with trial.case(f"{kind} is returned"), trial.scratch() as folder:
            assert crash_half_way(folder, source, "f").code == 3
            done = command(["resume"], folder, before=before)
            expect_sound(folder)
            states = states_of(folder)
            if refusal is None:
                assert done.code == 0, done.err
                # As texts: to Python -0.0 is 0, and both 1.0 and True are 1.
                text = json.dumps(eval(expression))
                assert json.dumps(states[5]) == text
                assert states[6] == {"given": repr(json.loads(text))}, f"it was {states[6]}"
            else:
                assert done.code == 1, done.err
                assert refusal in done.err, done.err
                assert "Traceback" not in done.err
                assert states == [{"n": 1}] * 5


def live(trial: Trial) -> None:
    """The same where the next step is given what was returned, a tuple, not what storage gives back: the harness
    has to see it."""

    def break_it() -> None:
        codec.settle = lambda value: (codec.encode(value), value)

    unstorable(trial, ["a tuple"], break_it)


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
    Proof("a reducer that is not deterministic", ("P1", "P4"), impure, 2, 8, case_ms=380),
    Proof(
        "a reducer that returns what JSON cannot carry", ("P4",), unstorable, 23, 300, case_ms=70
    ),
    Proof(
        "control: the next step given the live value",
        ("P4",),
        live,
        2,
        20,
        case_ms=70,
        control="it was {'given': '(1, (2, 3))'}",
    ),
    Proof("a reducer that changes what it is given", ("P4",), mutating, 1, 20, case_ms=217),
]
