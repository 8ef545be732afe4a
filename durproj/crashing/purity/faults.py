"""What is wrong with a reducer: the steps of a fold are executed in surroundings that differ in one thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any

from durproj import codec
from durproj.crashing.lives.left import MOST_CHANGES
from durproj.crashing.prepared import Answer, raised
from durproj.crashing.purity.probes import CLOCK, NOW, OUTSIDE, PROBES, TIME, Probe
from durproj.crashing.purity.stepping import write_step, write_steps
from durproj.crashing.purity.surroundings import TICK_NS
from durproj.crashing.servers import Servers
from durproj.history.changes import changes

EXECUTIONS = sum(probe.executions for probe in PROBES)
SHARE = 0.5
"""So large a part of the time that is left may be taken by the probes."""
LEAST = 200
"""So many steps are executed whatever it takes, where there are so many."""

EFFECTS = (
    "the reducer does more than give a state: that is done again whenever a step is executed again, and what"
    " it reads may have changed by then"
)

NEEDED = (
    "whether it goes by environment variables was not looked for, since it cannot be executed without them, or"
    " with others"
)

MUTATION = {
    "state": (
        (
            "it changes the state that it is given in place. durproj gives every attempt a state of its own,"
            " so nothing is lost here; with functools.reduce, or in a test, the former state would be gone"
        ),
        'return a new one: state | {"total": …}, [*list, item]; or accept it: --allow-mutation',
    ),
    "event": (
        "it changes the event that it is given in place: whoever reads the event next meets another one",
        'change a copy: event.data | {"seen": True}; or accept it: --allow-mutation',
    ),
}

UNCHANGED: Mapping[str, Any] = MappingProxyType({})
SUSPECT = (
    " (the clock is held still for it, with stand-ins for time.time, datetime.now and the like)"
)


class Faults:
    """Looks for faults in the reducer that folded `store`. seen: how many steps were executed for it; lacks: why
    something could not be looked for; uncovered: what was left out of it."""

    def __init__(self, servers: Servers, store: Path, *, mutation: bool) -> None:
        self._servers, self._store, self._mutation = servers, store, mutation
        self._still: dict[str, Any] = {
            "clock": NOW, "later": 0, "tick_ns": TICK_NS, "seed": 0, "zone": None, "environment": "kept"
        }  # fmt: skip
        self._steps, self._file = store.parent / "steps", store.parent / "steps.first"
        self._other = store.parent / "steps.other"
        self.seen = 0
        self.lacks: list[str] = []
        self.uncovered: list[str] = []

    def found(self) -> Iterator[dict[str, Any]]:
        """A record for each kind of fault, at the first step that shows it; warnings among them."""
        write_steps(self._store, self._steps)
        answer = self._execute_first()
        if "error" in answer:
            raise raised(answer["error"])
        if why := _failed(answer):
            self.lacks.append(f"the reducer could not be looked into: {why}")
            return
        if effects := answer["effects"]:
            yield {"type": "warning", "message": EFFECTS, "effects": effects}
        self.seen = answer["steps"]
        if self._mutation and (fault := self._mutated()):
            yield fault
        kinds: set[str] = set()
        for probe in PROBES:
            record = self._differing(probe)
            if record and record["type"] == "warning":
                yield record
            elif record and record["kind"] not in kinds:
                kinds.add(record["kind"])
                yield record
                # What comes out otherwise by itself does so in all other surroundings, too.
                if record["kind"] in ("outside", "process"):
                    return
        if not kinds:
            self._expect_as_recorded()

    def _execute_first(self) -> Answer:
        """Execute the steps as all others are compared with; fewer of them if there is no time for all probes."""
        answer = self._execute(self._file)
        if _failed(answer):
            return answer
        time, of = self._servers.left() * SHARE, answer["steps"]
        every = ceil(answer["seconds"] * EXECUTIONS / time) if time else 1
        every = min(every, of // LEAST)
        if every <= 1:
            return answer
        lines = self._steps.read_bytes().splitlines(keepends=True)
        self._steps.write_bytes(b"".join(lines[::every]))
        self.uncovered.append(
            f"one in {every:,} of {of:,} steps was looked into: more do not fit into the time"
        )
        return self._execute(self._file) | {"effects": answer["effects"]}

    def alone(
        self, id: str, step: int, changed: dict[str, Any]
    ) -> tuple[str | None, list[str]] | None:
        """The state that a step gives when nothing else is executed, in surroundings that are `changed` (None: it
        fails), and what it calls; None when it cannot be executed."""
        answer, outcome = self._execute_alone(id, step, changed)
        return None if _failed(answer) else (outcome[0], answer["calls"])

    def _execute_alone(
        self, id: str, step: int, changed: Mapping[str, Any] = UNCHANGED
    ) -> tuple[Answer, list[Any]]:
        """What comes of a step when nothing else is executed: the answer, and if it is one, the outcome."""
        folder = self._store.parent
        alone, into = folder / "step.alone", folder / "outcome.alone"
        write_step(self._store, id, step, alone)
        # With the random numbers the hash seed differs: lives have others than the run that they are compared with.
        server = changed.get("seed", 0)
        answer = self._execute(into, changed, server, steps=str(alone), alone=True)
        return answer, [] if _failed(answer) else next(_outcomes(into))[2]

    def _expect_as_recorded(self) -> None:
        """Note what fails here and did not when it was recorded: two failures look the same, whatever the
        surroundings."""
        for id, step, outcome, _, skipped in _outcomes(self._file):
            if outcome[0] is None and not skipped:
                self.lacks.append(f"{id}#{step} could not be probed{SUSPECT}: {outcome[2]}")
                return

    def _execute(
        self, into: Path, changed: Mapping[str, Any] = UNCHANGED, server: int = 0, **more: Any
    ) -> Answer:
        return self._servers.ask(
            server,
            act="step",
            store=str(self._store),
            surroundings={**self._still, **changed},
            into=str(into),
            **{"steps": str(self._steps), "alone": False, "backwards": False, **more},
        )

    def _mutated(self) -> dict[str, Any] | None:
        for id, step, _, mutated, _ in _outcomes(self._file):
            if mutated:
                what, found = mutated
                return self._fault("mutation", *MUTATION[what], id, step, found)
        return None

    def _differing(self, probe: Probe) -> dict[str, Any] | None:
        """The fault that shows in these surroundings; or a warning that they could not be made."""
        why = None
        for changed, server in product(probe.variants, probe.servers):
            answer = self._execute(self._other, changed, server, backwards=probe.backwards)
            if failed := _failed(answer):
                why = why or failed
            elif difference := self._difference():
                if not _failed(self._execute(self._other)) and (same := self._difference()):
                    return self._fault_of(OUTSIDE, *same)
                return self._fault_of(probe, *difference)
        if why and probe.instead:
            return self._differing(replace(probe, variants=probe.instead, instead=()))
        if why and probe.kind == "environment":
            self.uncovered.append(NEEDED)
            return {"type": "warning", "message": NEEDED, "effects": [why]}
        if why:
            self.lacks.append(f"could not check whether {probe.asks}: {why}")
        return None

    def _difference(self) -> tuple[str, int, Any, Any] | None:
        """The first step whose outcome is not that of the first execution: its workflow, its number, and both."""
        both = zip(_outcomes(self._file), _outcomes(self._other), strict=True)
        for (id, step, was, *_), (_, _, now, *_) in both:
            if was[:2] != now[:2]:
                return id, step, was, now
        return None

    def _fault_of(self, probe: Probe, id: str, step: int, was: Any, now: Any) -> dict[str, Any]:
        found, reason = [], None
        if was[0] is None or now[0] is None:
            sides = [
                f"failed with {side[2]}" if side[0] is None else "gave a state"
                for side in (was, now)
            ]
            reason = f"first it {sides[0]}, then it {sides[1]}"
        else:
            states = [codec.decode(side[0].encode()) for side in (was, now)]
            found = [change.record() for change in changes(*states)]
            reason = None if found else "the fields of an object come in another order"
        return self._fault(probe.kind, probe.says, probe.advice, id, step, found, reason)

    def _fault(
        self,
        kind: str,
        says: str,
        advice: str,
        id: str,
        step: int,
        found: list[Any],
        reason: str | None = None,
    ) -> dict[str, Any]:
        alone, _ = self._execute_alone(id, step)
        if kind == "zone" and any(call.startswith("the clock") for call in alone.get("calls", ())):
            kind, says, advice = "clock", f"{CLOCK}, or in another time zone", TIME
        more = {"reason": reason, "calls": alone.get("calls")}
        return {
            "type": "fault",
            "kind": kind,
            "id": id,
            "step": step,
            "event": alone.get("event", {"id": None, "type": None}),
            "message": says,
            "changes": found[:MOST_CHANGES],
            **{name: value for name, value in more.items() if value},
            "advice": advice,
        }


def _failed(answer: Answer) -> str | None:
    """Why nothing was executed, if so."""
    if "error" in answer:
        return raised(answer["error"]).message
    if "unable" in answer:
        return str(answer["unable"])
    return (
        answer.get("said") or f"its process ended with {answer['code']}" if answer["code"] else None
    )


def _outcomes(file: Path) -> Iterator[Any]:
    with file.open("rb") as lines:
        for line in lines:
            yield codec.decode(line)
