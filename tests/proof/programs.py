"""Workflows of programs: killed at any point, and gone on with by a program that is another by then. What should
come of a plan, a list of calls, is told by a plain loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dying import dying, journals, tables

import durproj
from durproj import PastChanged, StepFailed
from durproj.runtime.driver import Driver, Outcome
from durproj.runtime.workflow import Step
from durproj.stores.packing import Record
from proof.children import Child, Ended
from proof.kept import Killed, existing
from proof.trial import Proof, Trial

ID = "shop/A-17"

Plan = Sequence[tuple[str, int]]
"""The calls of a workflow, by function and argument; each is given what the one before it returned, too."""


def _add(state: Any, value: int) -> Any:
    return {"was": str(state)[-40:], "value": value, "pair": (value, value)}


def _wrap(state: Any, value: int) -> Any:
    return [state, value] if value % 3 else None


def _fail(state: Any, value: int) -> Any:
    raise ValueError(f"no {value} of {len(str(state))}")


PLAIN: Mapping[str, Callable[[Any, int], Any]] = {"add": _add, "wrap": _wrap, "fail": _fail}


class Function:
    """One of PLAIN as a program has it: it notes every call, by number; at one of them it is killed, before or
    after the work is done. version: of its text."""

    def __init__(
        self, program: Program, name: str, version: int, kill: tuple[int, bool] | None
    ) -> None:
        self.__name__ = self.__qualname__ = name
        self.version, self._kill, self._program = version, kill, program

    def __call__(self, number: int, state: Any, value: int) -> Any:
        self._program.note(number)
        if self._kill == (number, False):
            Killed()
        try:
            return PLAIN[self.__name__](state, value)
        finally:
            if self._kill == (number, True):
                Killed()


class Program:
    """A program whose workflow makes the calls of `plan`; versions: of functions, where it is not the first.
    note: what becomes of the number of a call."""

    note: Callable[[int], object]

    def __init__(
        self,
        plan: Plan,
        kill: tuple[int, bool] | None = None,
        versions: Mapping[str, int] | None = None,
    ) -> None:
        self.plan, self.calls = plan, list[int]()
        self.note = self.calls.append
        asked = versions or {}
        self._functions = {name: Function(self, name, asked.get(name, 1), kill) for name in PLAIN}

    def __call__(self, ctx: durproj.Context, order: str) -> Iterator[Any]:
        state: Any = order
        for number, (name, value) in enumerate(self.plan):
            try:
                state = yield ctx.run(self._functions[name], number, state, value)
            except StepFailed as failed:
                state = f"{failed.kind}: {failed.reason}"
        return state

    def run(self, store: Path, durability: str = "step", order: str = "A-17") -> Any:
        return durproj.run(ID, self, order, store=store, durability=durability)


def outcome(plan: Plan, order: str = "A-17") -> Any:
    """What a plain loop makes of it."""
    state: Any = order
    for name, value in plan:
        try:
            state = PLAIN[name](state, value)
        except ValueError as error:
            state = f"ValueError: {error}"
        if isinstance(state, dict):
            state["pair"] = list(state["pair"])
    return state


def drawn(trial: Trial) -> Plan:
    return [
        (trial.rng.choice(sorted(PLAIN)), trial.rng.randrange(100))
        for _ in range(trial.rng.randrange(4, 12))
    ]


@contextmanager
def whole(trial: Trial, plan: Plan) -> Iterator[tuple[Path, dict[str, Any], int]]:
    """A folder for it; the journals of a run that nobody disturbs; the points at which it writes."""
    with trial.scratch() as folder, dying(None) as kind:
        assert Child(lambda: _silent(plan, folder / "whole.db", kind)).end().expect(0)
        points = int((folder / "points").read_text())
        yield folder, journals(folder / "whole.db"), points


def _silent(plan: Plan, store: Path, kind: Any) -> None:
    assert Program(plan).run(store) == outcome(plan)
    store.with_name("points").write_text(str(kind.points))


def killed_anywhere(trial: Trial, before: Callable[[], object] = lambda: None) -> None:
    """Lives of one program, each killed at a write or in a call, until one gets through: no step that is recorded
    is executed again, and all is as if nothing had happened. before: done in the process of each life."""
    while trial.cases < trial.count:
        plan = drawn(trial)
        with whole(trial, plan) as (folder, expected, points):
            store, held, lives, lost = folder / "s.db", 0, 0, trial.lost
            while True:
                lives += 1
                in_call = trial.rng.random() < 0.5
                number = trial.rng.randrange(len(plan))
                kill = (number, trial.rng.random() < 0.5) if in_call else None
                at = None if in_call or lives > 5 else trial.rng.randrange(points)
                durability = trial.rng.choice(("step", "fsync", "batch"))
                what = f"{plan}, life {lives} with {held} steps, {durability}, killed at write {at} or call {kill}"
                with trial.case(what):
                    ended = _life(Program(plan, kill), store, durability, at, before)
                    called = [int(line.split()[1]) for line in ended.lines]
                    again = [number for number in called if number < held]
                    assert not again, f"executed again: {again}"
                    assert called == [*range(held, held + len(called))], f"executed: {called}"
                    records = _records(store)
                    assert records == expected[ID]["records"][: len(records)]
                    kept = len(records) - held
                    assert kept in (len(called), len(called) - 1), (
                        f"{called}, of which {kept} are kept"
                    )
                    held = len(records)
                    if not ended.killed:
                        assert journals(store) == expected
                if trial.lost > lost or not ended.killed:
                    break


def executed_again(trial: Trial) -> None:
    """The same with an engine that executes the steps it has, and goes on with what is recorded: the harness has
    to see it."""
    served = Driver._cached

    def again(driver: Driver, record: Record, step: Step[Any], *more: bytes) -> Outcome:
        with suppress(ValueError):
            step.fn(*step.args, **step.kwargs)
        return served(driver, record, step, *more)

    killed_anywhere(trial, lambda: setattr(Driver, "_cached", again))


def _life(
    program: Program,
    store: Path,
    durability: str,
    at: int | None,
    before: Callable[[], object] = lambda: None,
) -> Ended:
    def act() -> None:
        before()
        program.note = lambda number: os.write(1, b"called %d\n" % number)
        with dying(at, Killed):
            assert program.run(store, durability) == outcome(program.plan)

    return Child(act).end().expect(0, -9)


def _records(store: Path) -> list[Any]:
    return existing(store).get(ID, {"records": []})["records"]


def _other_argument(plan: Plan, at: int) -> Plan:
    name, value = plan[at]
    return [*plan[:at], (name, value + 1000), *plan[at + 1 :]]


def _other_function(plan: Plan, at: int) -> Plan:
    name, value = plan[at]
    other = sorted(PLAIN.keys() - {name})[value % 2]
    return [*plan[:at], (other, value), *plan[at + 1 :]]


CHANGES: Mapping[str, Callable[[Plan, int], Plan]] = {
    "nothing": lambda plan, _: plan,
    "an argument": _other_argument,
    "the function that is called": _other_function,
    "one call more": lambda plan, at: [*plan[:at], ("add", 777), *plan[at:]],
    "one call less": lambda plan, at: [*plan[:at], *plan[at + 1 :]],
    "no call from there on": lambda plan, at: plan[:at],
    "more calls at the end": lambda plan, _: [*plan, ("add", 5), ("wrap", 7)],
    "the text of a function": lambda plan, _: plan,
    "the argument of the workflow": lambda plan, _: plan,
}


def changed_programs(trial: Trial) -> None:
    """What the program asks for is not what is recorded: refused, naming the first step that differs; else the
    rest is executed."""
    kinds = trial.rng.sample(sorted(CHANGES), len(CHANGES))
    for number in range(trial.count):
        kind, plan = kinds[number % len(kinds)], drawn(trial)
        held, at = trial.rng.randrange(1, len(plan)), trial.rng.randrange(len(plan))
        name = plan[at][0]
        other = CHANGES[kind](plan, at)
        versions = {name: 2} if kind == "the text of a function" else {}
        order = "B-2" if kind == "the argument of the workflow" else "A-17"
        what = f"{plan}: with {held} steps, {kind} at {at}: {other}"
        with trial.case(what), trial.scratch() as folder:
            store = folder / "s.db"
            _life(Program(plan, (held, False)), store, "step", None)
            was, before = tables(store), _records(store)
            assert len(before) == held
            differs = next(
                (
                    n
                    for n in range(held)
                    if n >= len(other) or other[n] != plan[n] or plan[n][0] in versions
                ),
                None,
            )
            program = Program(other, versions=versions)
            try:
                result = program.run(store, order=order)
            except PastChanged as error:
                _expect_refused(error, differs, order)
                assert tables(store) == was, "what is refused changed the store"
                assert not program.calls
            else:
                assert differs is None, f"it went on, although step {differs} differs"
                assert order == "A-17"
                assert result == outcome(other)
                assert program.calls == [*range(held, len(other))]
                assert _records(store)[:held] == before


def _expect_refused(error: PastChanged, differs: int | None, order: str) -> None:
    assert differs is not None or order == "B-2", error
    step = None if order == "B-2" else differs
    assert (error.exit_code, error.id, error.step) == (4, ID, step), f"{error}, not {step}"


PROOFS = [
    Proof("SIGKILL in a program's workflow, at any write and call", ("P1", "P2", "P3", "P4"), killed_anywhere,
          quick=60, nightly=4_000, case_ms=19),
    Proof("control: finished steps executed again", ("P1",), executed_again, 12, 40, case_ms=27,
          control="executed again"),
    Proof("a program changed between crash and going on", ("P1", "P5"), changed_programs, 36, 4_000, case_ms=19),
]  # fmt: skip
