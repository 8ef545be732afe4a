"""What is wrong with a reducer: the steps of a fold are executed in surroundings that differ in one thing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.crashing.lives.left import MOST_CHANGES
from durproj.crashing.prepared import Answer, raised
from durproj.crashing.purity.stepping import write_step, write_steps
from durproj.crashing.purity.surroundings import TICK_NS
from durproj.crashing.servers import SEEDS, Servers
from durproj.history.changes import changes

_DAY_S = 86_400
NOW = 1_780_000_000
"""The time at which steps are executed, in seconds since 1970: 28 May 2026, always, so that it is found again."""

LONG_TICK_NS = 10**9
"""So long does everything take where the clock runs: whoever measures it gets another number."""

CLOCK = "it goes by the clock: at another time it gives another state"
TIME = "take the event's own time: event.time"


@dataclass(frozen=True)
class Probe:
    """Surroundings that differ in one thing from those of the first execution. kind: what goes by it; says,
    advice: what is wrong with a reducer that does, and what to do. servers: of SEEDS. instead: what is changed where
    it cannot be executed so."""

    kind: str
    says: str
    advice: str
    changed: tuple[tuple[str, Any], ...] = ()
    servers: tuple[int, ...] = (0,)
    backwards: bool = False
    instead: tuple[tuple[str, Any], ...] = ()


PROBES = (
    Probe(
        "process",
        "it gives another state in another process, where the clock, the random seed, the hash seed and the"
        " environment are the same: it makes ids of its own (uuid, os.urandom), or goes by id(), by the"
        " number of the process or by something outside, such as a file",
        "take such values from the event: they are made once, when it is written",
        servers=(1,),
    ),
    Probe(
        "memory",
        "it gives another state when other calls came before: it remembers something outside of the state,"
        " such as a global counter, a cache or a default argument",
        "keep what it has to remember in the state",
        backwards=True,
    ),
    *(
        Probe(
            "random",
            "it goes by random numbers",
            "draw them when the event is made, and put them into the event",
            changed=(("seed", seed),),
        )
        for seed in range(1, 6)
    ),
    *(
        Probe("clock", CLOCK, TIME, changed=tuple(changed.items()))
        for changed in (
            {"clock": -9_999 * _DAY_S - 4_321, "later": 5_000},
            {"clock": 8_888 * _DAY_S + 54_321},
            # Half a year, a day, an hour and a minute on, to a weekend in the first days of a month.
            {"clock": 190 * _DAY_S + 12 * 3600 + 30 * 60 + 30},
            {"tick_ns": LONG_TICK_NS},
        )
    ),
    Probe(
        "order",
        "it goes by the order of a set, or by hash(), which are others in every process",
        "sort what comes out of a set: sorted(…), or use a dict or a list",
        servers=tuple(range(2, len(SEEDS))),
    ),
    Probe(
        "zone",
        "it goes by the time zone of the machine",
        "say which zone is meant: datetime.fromtimestamp(seconds, UTC)",
        changed=(("zone", "XXX-05:45"),),
    ),
    Probe(
        "environment",
        "it goes by environment variables",
        "put what they say into --initial, or into the events",
        changed=(("environment", "without"),),
        instead=(("environment", "other"),),
    ),
)

EXECUTIONS = sum(len(probe.servers) for probe in PROBES)
SHARE = 2
"""So large a part of the time that is left may be taken by the probes: half of it."""
LEAST = 200
"""So many steps are executed whatever it takes, where there are so many."""

EFFECTS = (
    "the reducer does something besides giving a state, which is done again whenever a step is executed"
    " again, and was done many times here"
)

NEEDED = (
    "whether it goes by environment variables was not looked for, since it cannot be executed without them, or"
    " with others"
)

MUTATION = {
    "state": "it changes the state that it is given in place. durproj gives every attempt a state of its own,"
    " so nothing is lost here; with functools.reduce, or in a test, the former state would be gone",
    "event": "it changes the event that it is given in place: whoever reads the event next meets another one",
}
NEW_STATE = 'return a new one: state | {"total": …}, [*list, item]; or accept it: --allow-mutation'

SUSPECT = " (the clock is held still for it, with stand-ins for time.time, datetime.datetime and the like)"


class Faults:
    """Looks for faults in the reducer that folded `store`. seen: how many steps were executed for it; lacks: why
    something could not be looked for; uncovered: what was left out of it."""

    def __init__(self, servers: Servers, store: Path, *, mutation: bool) -> None:
        self._servers, self._store, self._mutation = servers, store, mutation
        zone, environment = None, "kept"
        self._still: dict[str, Any] = {
            "clock": NOW, "later": 0, "tick_ns": TICK_NS, "seed": 0, "zone": zone, "environment": environment
        }  # fmt: skip
        self._steps, self._file = store.parent / "steps", store.parent / "steps.first"
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
            if probe.kind in kinds:
                continue
            fault = self._differing(probe)
            if fault and fault["type"] == "warning":
                yield fault
            elif fault and fault["kind"] not in kinds:
                kinds.add(fault["kind"])
                yield fault
                # What comes out otherwise by itself does so in all other surroundings, too.
                if probe.kind == "process":
                    return
        if not kinds:
            self._expect_as_recorded()

    def _execute_first(self) -> Answer:
        """Execute the steps as all others are compared with; fewer of them if there is no time for all probes."""
        answer = self._execute(self._file)
        if _failed(answer):
            return answer
        left, of = self._servers.left(), answer["steps"]
        every = ceil(answer["seconds"] * EXECUTIONS * SHARE / left) if left else 1
        every = min(every, of // LEAST)
        if every > 1:
            lines = self._steps.read_bytes().splitlines(keepends=True)
            self._steps.write_bytes(b"".join(lines[::every]))
            self.uncovered.append(
                f"one in {every:,} of {of:,} steps was looked into: more do not fit into the time"
            )
        return self._execute(self._file, watching=True)

    def alone(
        self, id: str, step: int, changed: dict[str, Any]
    ) -> tuple[str | None, list[str]] | None:
        """The state that a step gives when nothing else is executed, in surroundings that are `changed` (None: it
        fails), and what it calls; None when it cannot be executed."""
        probe = Probe("alone", "", "", changed=tuple(changed.items()))
        answer, outcome = self._execute_alone(id, step, probe)
        return None if _failed(answer) else (outcome[0], answer["calls"])

    def _execute_alone(
        self, id: str, step: int, probe: Probe | None = None
    ) -> tuple[Answer, list[Any]]:
        """What comes of a step when nothing else is executed: the answer, and if it is one, the outcome."""
        folder = self._store.parent
        alone, into = folder / "step.alone", folder / "outcome.alone"
        write_step(self._store, id, step, alone)
        # With the random numbers the hash seed differs: lives have others than the run that they are compared with.
        server = dict(probe.changed).get("seed", 0) if probe else 0
        answer = self._execute(into, probe, server, steps=str(alone), alone=True)
        return answer, [] if _failed(answer) else next(_outcomes(into))[2]

    def _expect_as_recorded(self) -> None:
        """Note what fails here and did not when it was recorded: two failures look the same, whatever the
        surroundings."""
        for id, step, outcome, _, skipped in _outcomes(self._file):
            if outcome[0] is None and not skipped:
                self.lacks.append(f"{id}#{step} could not be probed{SUSPECT}: {outcome[2]}")
                return

    def _execute(
        self, into: Path, probe: Probe | None = None, server: int = 0, **more: Any
    ) -> Answer:
        changed = dict(probe.changed) if probe else {}
        if changed.get("clock") is not None:
            changed["clock"] += self._still["clock"]
        return self._servers.ask(
            server,
            act="step",
            store=str(self._store),
            surroundings=self._still | changed,
            backwards=probe is not None and probe.backwards,
            **{
                "into": str(into),
                "steps": str(self._steps),
                "alone": False,
                "watching": False,
                **more,
            },
        )

    def _mutated(self) -> dict[str, Any] | None:
        for id, step, _, mutated, _ in _outcomes(self._file):
            if mutated:
                what, found = mutated
                return self._fault("mutation", MUTATION[what], NEW_STATE, id, step, found)
        return None

    def _differing(self, probe: Probe) -> dict[str, Any] | None:
        other = self._store.parent / "steps.other"
        for server in probe.servers:
            answer = self._execute(other, probe, server)
            if why := _failed(answer):
                if probe.instead:
                    return self._differing(replace(probe, changed=probe.instead, instead=()))
                if probe.kind == "environment":
                    self.uncovered.append(NEEDED)
                    return {"type": "warning", "message": NEEDED, "effects": [why]}
                self.lacks.append(f"the probe {probe.kind} could not be made: {why}")
                continue
            for first, second in zip_longest(_outcomes(self._file), _outcomes(other)):
                id, step, was, *_ = first
                now = second[2]
                if was[:2] != now[:2]:
                    return self._fault_of(probe, id, step, was, now)
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
