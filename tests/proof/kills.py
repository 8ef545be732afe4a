"""Kills at every point of a step: before and after the fold, each write, each commit, each acknowledgement.

A forked child folds, tells what it acknowledges, and kills itself with SIGKILL at one point. Then: a
beginning of every stream is there, every step of it right (P2), everything that was acknowledged (P3);
going on executes what is missing and nothing else (P1), and ends as if nothing had happened (P2).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from dying import Dying, dying

import durproj
from durproj.runtime import ownership
from durproj.runtime.commits import Commits
from durproj.stores.base import Head
from durproj.stores.packing import Record
from proof.children import Child, Ended
from proof.kept import MANY, Killed, Points, Streams, Watched
from proof.trial import Proof, Trial

STEPS = 40
LONG = 1200
"""So many steps are more than share a commit, however fast they are."""

SHARED = 1000
"""The most steps that share a commit with `batch`: a promise of the README."""

WRITE = "a write or commit"


class Telling(Dying):
    """A store that tells on standard output what it has committed, and then passes by a point."""

    points_of_acknowledging: Points
    ids: dict[int, str]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.ids, self._uncommitted = {}, {}

    def save_head(self, head: Head) -> None:
        super().save_head(head)
        self.ids[head.no] = head.id
        self._told(head.no, head.steps)

    def add_row(self, no: int, step: int, record: Record, hash: bytes) -> None:
        super().add_row(no, step, record, hash)
        if no not in self.ids:
            self.ids[no] = self.numbered(no).id
        self._told(no, step + 1)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
        self._acknowledge()

    def _told(self, no: int, steps: int) -> None:
        self._uncommitted[no] = steps
        self._acknowledge()

    def _acknowledge(self) -> None:
        if self.inside:
            return
        for no, steps in self._uncommitted.items():
            acknowledge(self.ids[no], steps, self.points_of_acknowledging)
        self._uncommitted.clear()


class Shown(durproj.Silent):
    """What `-v --json` hears: every step when it is done."""

    wants_steps = True

    def __init__(self, points: Points) -> None:
        self._points = points

    def step(self, id: str, step: int, *told: Any) -> None:
        if "executed" in told:
            acknowledge(id, step + 1, self._points)


class Early(Commits):
    """Broken on purpose: steps reach the store when their stream ends, acknowledged long before."""

    held: tuple[Any, ...] = ()

    def add(self, *step: Any) -> None:
        self.held = (*self.held, step)

    def flush(self) -> None:
        held, self.held = self.held, ()
        for step in held:
            super().add(*step)
        super().flush()

    def close(self, *told: Any) -> None:
        self.flush()
        super().close(*told)


def acknowledge(id: str, steps: int, points: Points) -> None:
    """Say that so many steps of `id` are safe."""
    os.write(1, b"safe %s %d\n" % (id.encode(), steps))
    points("after the acknowledgement")


def called(ended: Ended) -> int:
    """How many steps were begun; none of them twice."""
    calls = [line for line in ended.lines if line.startswith(b"called ")]
    assert len(calls) == len(set(calls)), "a step was executed twice"
    return len(calls)


def acknowledged(ended: Ended) -> dict[str, int]:
    """How many steps of each workflow were."""
    found: dict[str, int] = {}
    for line in ended.lines:
        if line.startswith(b"safe "):
            id, steps = line.decode().split(" ")[1:]
            found[id] = max(found.get(id, 0), int(steps))
    return found


@dataclass(frozen=True)
class Way:
    """How a child folds. shown: steps are told of one by one, as with -v; else the store itself tells."""

    streams: Streams
    durability: str
    shown: bool
    broken: bool = False

    def __str__(self) -> str:
        heard = "steps shown" if self.shown else "steps not shown"
        return f"{len(self.streams.whole)} streams, durability {self.durability}, {heard}"

    def expect_committed(self, ended: Ended, steps: int) -> None:
        """Of the steps that were begun `steps` are kept: all but the one in hand, or as many as may share a
        commit."""
        begun, shared = called(ended), SHARED if self.durability == "batch" else 0
        assert begun <= steps + shared + 1, f"{begun} steps were begun, {steps} of them are kept"

    def fold(self, store: Path, at: tuple[str, int] | None) -> Ended:
        """Fold in a child that is killed at `at`: how often, and which point."""

        def act() -> None:
            points = Points(at)
            Telling.points_of_acknowledging = Points(None) if self.shown else points
            observer = Shown(points) if self.shown else None
            write = at[1] if at and at[0] == WRITE else None
            if self.broken:
                ownership.Commits = Early
            with dying(write, Killed, store=Dying if self.shown else Telling) as kind:
                durproj.fold(
                    *(self.streams.log,), reducer=Watched(points), store=store,
                    durability=self.durability, observer=observer,
                )  # fmt: skip
                points.passed[WRITE] = kind.points
            os.write(1, json.dumps(points.passed).encode() + b"\n")

        return Child(act).end()

    def points(self) -> list[tuple[str, int]]:
        """All points that it passes by when nobody kills it."""
        with self.streams.store() as store:
            passed = json.loads(self.fold(store, None).expect(0).lines[-1])
        return [(name, count) for name in sorted(passed) for count in range(passed[name])]


def ways(trial: Trial) -> list[Way]:
    streams = Streams(trial.folder / "one", STEPS), Streams(trial.folder / "many", STEPS, MANY)
    return [Way(*each) for each in product(streams, ("step", "fsync", "batch"), (False, True))]


def prove_points(trial: Trial) -> None:
    """One kill at every point, the points of all ways spread over `count` cases."""
    by_way = [(way, way.points()) for way in ways(trial)]
    cases = [(way, point) for way, points in by_way for point in points]
    trial.note(f"{len(cases):,} points in {len(by_way)} ways to fold {STEPS} events")
    for way, at in [*spread(trial, cases), *late(trial)]:
        with trial.case(f"{way}, killed at {at[0]} number {at[1]}"), way.streams.store() as store:
            ended = way.fold(store, at)
            assert ended.killed, ended
            held = way.streams.expect_beginning(store, acknowledged(ended))
            way.expect_committed(ended, sum(held.values()))
            way.streams.resume(store, held, durability=way.durability)


def late(trial: Trial) -> Iterator[tuple[Way, tuple[str, int]]]:
    """A few kills of a fold of so many steps that some commits are behind it."""
    streams = Streams(trial.folder / "long", LONG)
    for number in range(max(2, trial.count // 100)):
        at = trial.rng.randrange(SHARED + 10, LONG)
        yield Way(streams, "batch", shown=bool(number % 2)), ("before the fold", at)


def prove_again_and_again(trial: Trial) -> None:
    """Killed, and killed again while it goes on from there, at any points, until a life gets through."""
    by_way = [(way, way.points()) for way in ways(trial)]
    lives: Counter[int] = Counter()
    while trial.cases < trial.count:
        way, points = trial.rng.choice(by_way)
        killed: list[tuple[str, int]] = []
        with way.streams.store() as store:
            held: dict[str, int] = {}
            while True:
                # Points late in a fold are passed by only when nothing is cached yet.
                name, number = trial.rng.choice(points)
                killed.append((name, int(number * trial.rng.random())))
                with trial.case(f"{way}, killed at {killed}"):
                    ended = way.fold(store, killed[-1]).expect(0, -9)
                    now = way.streams.expect_beginning(store, acknowledged(ended))
                    assert all(now[id] >= steps for id, steps in held.items()), (held, now)
                    way.expect_committed(ended, sum(now.values()) - sum(held.values()))
                    held = now
                if not ended.killed or len(killed) == 6:
                    break
            if ended.killed:
                with trial.case(f"{way}, killed at {killed}, then not any more"):
                    way.streams.resume(store, held, durability=way.durability)
            else:
                with trial.case(f"{way}, killed at {killed[:-1]}"):
                    way.streams.expect_whole(store)
        lives[len(killed)] += 1


def prove_early(trial: Trial) -> None:
    """The same with what acknowledges a step before it is committed: the harness has to see it."""
    streams = Streams(trial.folder / "one", STEPS)
    way = Way(streams, "step", shown=True, broken=True)
    points = [at for at in way.points() if at[0] == "after the acknowledgement"]
    for at in spread(trial, points):
        with streams.store() as store:
            ended = way.fold(store, at)
            assert ended.killed, ended
            with trial.case(f"acknowledged early, killed at {at}"):
                streams.expect_beginning(store, acknowledged(ended))


def spread(trial: Trial, cases: list[Any]) -> list[Any]:
    """`trial.count` of `cases` at most, as evenly as can be, from a beginning that is drawn."""
    if len(cases) <= trial.count:
        return cases
    stride = len(cases) / trial.count
    start = trial.rng.random() * stride
    return [cases[int(start + stride * n)] for n in range(trial.count)]


PROOFS = [
    Proof("SIGKILL before and after every fold, write, commit and acknowledgement",
          ("P1", "P2", "P3"), prove_points, quick=48, nightly=4000, case_ms=24),
    Proof("SIGKILL again and again while it resumes", ("P1", "P2", "P3"), prove_again_and_again,
          quick=24, nightly=4000, case_ms=17),
    Proof("control: acknowledged before the commit", ("P3",), prove_early, quick=4, nightly=40,
          case_ms=45, control="steps were acknowledged"),
]  # fmt: skip
