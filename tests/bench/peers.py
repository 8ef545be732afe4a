"""The rows of `--peers`: others that fold a log, beside durproj and the plain loop, per event."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from bench.findings import Finding
from bench.lab import DURPROJ, HERE, SAMPLE, Lab, Shape
from bench.measure import Pair, Program, ProgramFailedError, Usage, cpu_s, environment, run
from bench.rows import Row

LOG = "LOG"
"""Stands for the path of the log among the arguments of a command."""

NOTHING = "nothing"
POWER_CUT = "a power cut"
LEAST_S = 1e-6
"""What a run takes beyond starting up when noise says that it takes nothing."""


@dataclass(frozen=True)
class Peer:
    """One way to fold a log: its command, what shows that it is installed, what comes of it.

    command: it prints the last state, or the events of `durproj run --json` with the state among them;
    version: a command that prints the version, and fails when there is none.
    """

    name: str
    what: str
    events: int
    command: Sequence[str]
    version: Sequence[str]
    keeps: str
    survives: str


def rows(python: str) -> tuple[Row, ...]:
    """A row for each of them; `python` is the interpreter that has the libraries."""
    return tuple(
        Row(
            peer.name,
            f"{peer.what}, 1 stream x {peer.events:,}, less start-up",
            LOOP.what,
            None,
            "µs/event",
            partial(beside_the_loop, peer),
        )
        for peer in (LOOP, *_durproj(), *_libraries(python), _jq())
    )


LOOP = Peer(
    "loop",
    "the plain loop: orjson.loads + reducer",
    1_000_000,
    [sys.executable, os.path.join(HERE, "baselines.py"), "loop", LOG, "u1", "account"],
    [sys.executable, "--version"],
    NOTHING,
    NOTHING,
)


def _durproj() -> list[Peer]:
    survives = {
        "batch": (1_000_000, "kill -9, but for up to 1,000 steps"),
        "step": (100_000, "kill -9"),
        "fsync": (5000, POWER_CUT),
    }
    return [
        Peer(
            f"durproj-{durability}",
            f"durproj run --durability {durability}",
            events,
            [DURPROJ, "run", LOG, "--user", "u1", "--durability", durability, "--quiet", "--json"],
            [DURPROJ, "--version"],
            "events and states",
            what,
        )
        for durability, (events, what) in survives.items()
    ]


def _libraries(python: str) -> list[Peer]:
    def library(
        name: str, what: str, events: int, program: str, *args: str, keeps: str, survives: str
    ) -> Peer:
        script = os.path.join(HERE, "peer_loops.py")
        version = f"from importlib.metadata import version; print(version('{program}'))"
        return Peer(
            name,
            what,
            events,
            [python, script, program, LOG, "u1", *args],
            [python, "-c", version],
            keeps,
            survives,
        )

    return [
        library(
            "eventsourcing",
            "eventsourcing, SQLite recorder, a save per event",
            5000,
            "eventsourcing",
            keeps="events",
            survives=POWER_CUT,
        ),
        library(
            "eventsourcing-100",
            "eventsourcing, SQLite recorder, a save per 100 events",
            100_000,
            "eventsourcing",
            "100",
            keeps="events",
            survives=f"{POWER_CUT}, but for up to 100 events",
        ),
        library(
            "dbos",
            "DBOS Transact, SQLite, a step per event",
            5000,
            "dbos",
            keeps="states",
            survives=POWER_CUT,
        ),
        library(
            "jq-library",
            "the jq library's reduce, the log in memory",
            100_000,
            "jq",
            keeps=NOTHING,
            survives=NOTHING,
        ),
    ]


def _jq() -> Peer:
    with open(os.path.join(HERE, "account.jq"), encoding="utf-8") as definitions:
        program = f"{definitions.read()} account(inputs)"
    return Peer(
        "jq",
        "jq: reduce inputs",
        100_000,
        ["jq", "--null-input", "--compact-output", "--arg", "key", "u1", program, LOG],
        ["jq", "--version"],
        NOTHING,
        NOTHING,
    )


class Runs:
    """The runs of one peer: over the smallest log, for what starting up takes, and over a long one."""

    def __init__(self, peer: Peer, lab: Lab) -> None:
        self.peer = peer
        self.lab = lab
        self.short, self.long = Shape(1, SAMPLE), Shape(1, max(2 * SAMPLE, lab.size(peer.events)))
        self.startups: list[Usage] = []
        self.whole: list[Usage] = []

    def turn(self) -> None:
        """One run over each; what the one over the long log stores is left."""
        self.startups.append(_run(self.peer, self.lab, self.short))
        self.whole.append(_run(self.peer, self.lab, self.long))

    def per_event(self) -> list[Usage]:
        """What each event beyond the smallest log took."""
        more = self.long.steps - self.short.steps
        startup_cpu_s = cpu_s(self.startups)
        return [
            Usage(
                max(LEAST_S, usage.cpu_s - startup_cpu_s) / more,
                max(LEAST_S, usage.wall_s - self.startup_s) / more,
                usage.rss_bytes,
            )
            for usage in self.whole
        ]

    @property
    def startup_s(self) -> float:
        """The wall time of starting up."""
        return median(usage.wall_s for usage in self.startups)


def beside_the_loop(peer: Peer, lab: Lab) -> Finding:
    """A peer and the plain loop, in turn."""
    version = _version(peer)
    if version is None:
        return Finding(None)
    measured, baseline = Runs(peer, lab), Runs(LOOP, lab)
    stored = 0.0
    for _ in range(lab.runs):
        measured.turn()
        stored = lab.left_bytes() / measured.long.steps
        baseline.turn()
    pair = Pair(measured.per_event(), baseline.per_event())
    detail = {
        "keeps": peer.keeps,
        "survives": peer.survives,
        "wall µs": 1e6 * median(usage.wall_s for usage in pair.measured),
        "start-up ms": 1e3 * measured.startup_s,
        "version": version,
    }
    return Finding(1e6 * cpu_s(pair.measured), pair, stored or None, detail)


def _run(peer: Peer, lab: Lab, shape: Shape) -> Usage:
    args = [lab.log(shape) if arg == LOG else arg for arg in peer.command]
    with tempfile.TemporaryFile() as out:
        usage = run(Program(args, lab.fresh), out)
        out.seek(0)
        ended = [json.loads(line) for line in out]
    if _state(ended) != lab.final_state(shape):
        raise ProgramFailedError(
            f"{peer.name} and the plain loop differ after {shape.steps:,} events"
        )
    return usage


def _state(printed: list[dict[str, Any]]) -> dict[str, Any] | None:
    if len(printed) == 1:
        return printed[0]
    return next((line["state"] for line in printed if line.get("type") == "projection"), None)


def _version(peer: Peer) -> str | None:
    try:
        done = subprocess.run(
            peer.version, env=environment(), capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.split()[-1].removeprefix("jq-") if done.returncode == 0 else None
