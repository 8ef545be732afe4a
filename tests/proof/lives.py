"""Lives of random length: killed at any instant from outside, as often as it takes to get through."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from dying import write, write_trail

import durproj
from durproj import Constant, Exponential, Linear
from durproj.errors import StepFailed
from durproj.runtime import attempts, observer, ownership
from durproj.stores.sqlite import SqliteStore
from proof import kills
from proof.children import Child, Ended, begin
from proof.kept import MANY, Killed, Streams, Watched, begun, expect_printed
from proof.trial import Proof, Trial

STEPS = 40


class Patience:
    """How long a life is: exponential, its mean such that as many end too early as get through,
    however busy the machine is."""

    def __init__(self, trial: Trial) -> None:
        self._rng, self._mean = trial.rng, 0.02

    def draw(self) -> float:
        return self._rng.expovariate(1 / self._mean)

    def learn(self, *, through: bool, idle: bool) -> None:
        """What came of a life: it got through, or was killed before it had done anything."""
        if through:
            self._mean *= 0.8
        elif idle:
            self._mean *= 1.25


def prove_random(trial: Trial) -> None:
    """Lives of a fold, one after another, until one gets through; then anew, `count` kills in all."""
    one = Streams(trial.folder / "one", STEPS)
    many = Streams(trial.folder / "many", STEPS, MANY)
    patience, hit, halfway = Patience(trial), set(), 0
    while trial.cases < trial.count:
        streams = trial.rng.choice((one, one, many))
        durability = trial.rng.choice(("step", "step", "fsync", "batch"))
        lives = 0
        with streams.store() as store:
            held: dict[str, int] = {}
            while True:
                lives += 1
                before, resumes = sum(held.values()), begun(store) and trial.rng.random() < 0.5
                child = Child(_folding(streams, store, durability, resumes))
                if trial.rng.random() < 0.8:  # most of a short life passes before the first step
                    child.begins()
                ended = child.end(patience.draw())
                what = f"{durability}, {len(streams.whole)} streams, life {lives}"
                if not ended.killed:
                    with trial.case(f"{what}, not killed"):
                        ended.expect(0)
                        streams.expect_whole(store)
                    patience.learn(through=True, idle=False)
                    break
                with trial.case(f"{what}, killed"):
                    now = streams.expect_beginning(store, kills.acknowledged(ended))
                    assert all(now[id] >= steps for id, steps in held.items()), (held, now)
                    way = kills.Way(streams, durability, shown=False)
                    way.expect_committed(ended, sum(now.values()) - before)
                    held = now
                steps = sum(held.values())
                patience.learn(through=False, idle=steps == before)
                halfway += before < steps < STEPS
                if streams is one:
                    hit.add(steps)
    trial.note(
        f"{len(hit)} of {STEPS + 1} numbers of steps were met, {halfway:,} kills in the middle"
    )
    with trial.case("the kills were spread over the whole of the fold"):
        assert halfway
        assert trial.count < 5000 or len(hit) >= 0.9 * (STEPS + 1)


def _folding(streams: Streams, store: Path, durability: str, resumes: bool) -> Callable[[], object]:
    """A fold that takes its time, and tells what it has committed."""

    def act() -> None:
        kills.Telling.points_of_acknowledging = kills.Points(None)
        with kills.dying(None, Killed, store=kills.Telling):
            log = None if resumes else streams.log
            reducer = Watched(kills.Points(None), slow=True)
            durproj.fold(log, reducer=reducer, store=store, durability=durability)

    return act


def prove_printed(trial: Trial) -> None:
    """The command line, killed while it prints: what it said is done is there, and resume does the rest."""
    printing = _Printing(trial)
    while trial.cases < trial.count:
        durability = trial.rng.choice(("step", "fsync", "batch"))
        with printing.streams.store() as store:
            crash = trial.rng.choice((None, None, 20))
            ended = printing.killed(store, durability, timed=0.3, crash=crash)
            what = f"{durability}, --crash {crash}, killed when it had printed {len(ended.lines)} lines"
            with trial.case(what):
                expect_printed(ended, store)
                held = printing.streams.expect_beginning(store)
                if begun(store):
                    args = ["resume", "--json", "--store", store]
                else:
                    args = printing.args(store, durability)
                done = begin(args, printing.folder).end().expect(0)
                executed = json.loads(done.lines[-1])["executed"]
                assert executed == len(printing.streams.events) - sum(held.values())
                printing.streams.expect_whole(store)


def prove_printed_early(trial: Trial) -> None:
    """The same of a command that prints a step before it commits it: the harness has to see it."""
    printing = _Printing(trial, before=lambda: setattr(ownership, "Commits", kills.Early))
    while trial.cases < trial.count:
        with printing.streams.store() as store:
            ended = printing.killed(store, "step", timed=0)
            with trial.case(f"killed when it had printed {len(ended.lines)} lines"):
                expect_printed(ended, store)


class _Printing:
    """`durproj run --json -v` over some streams, to be killed."""

    def __init__(self, trial: Trial, before: Callable[[], object] = lambda: None) -> None:
        self._rng, self._before = trial.rng, before
        self._patience = Patience(trial)
        self.folder = trial.folder / "printed"
        self.folder.mkdir()
        write_trail(self.folder)
        with contextlib.chdir(self.folder):
            self.streams = Streams(self.folder, 200, MANY, "trail.py:trail")

    def args(self, store: Path, durability: str) -> list[object]:
        how = ["--json", "-v", "--durability", durability, "--store", store]
        return ["run", self.streams.log, "--reducer", "trail.py:trail", *how]

    def killed(
        self, store: Path, durability: str, *, timed: float, crash: int | None = None
    ) -> Ended:
        """How it ended when it was killed as soon as it had printed so much, or, with the probability
        `timed`, at any instant; or crashed as it was told to. One that was done before is tried again. Raises
        AssertionError when it failed by itself."""
        args = [*self.args(store, durability), *(() if crash is None else ("--crash", crash))]
        while True:
            child = begin(args, self.folder, before=self._before)
            if self._rng.random() >= timed:
                lines = self._rng.randrange(len(self.streams.events))
                child.until(lambda out, lines=lines: out.count(b"\n") > lines or b'"crash"' in out)
                ended = child.end(0)
            else:
                ended = child.end(self._patience.draw())
                self._patience.learn(through=not ended.killed, idle=not ended.out)
            if ended.killed or (crash is not None and ended.code == 3):
                return ended
            ended.expect(0)
            for file in self.folder.glob(f"{store.name}*"):
                file.unlink()


class Clock:
    """A wall clock that only sleeping moves. The process is killed when it has slept so long."""

    def __init__(self, now: float, left: float | None) -> None:
        self.now, self._left = now, left

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        if self._left is not None and self._left < seconds:
            os.write(1, b"died %r\n" % (self.now + self._left))
            Killed()
        self.now += seconds
        if self._left is not None:
            self._left -= seconds


def prove_back_off(trial: Trial) -> None:
    """Killed at any instant of a wait between two attempts, and again in the next life: the attempts are as
    many as without it, and no wait is skipped or begun anew, whenever the next life begins."""
    log = trial.folder / "log"
    write(log, [("a", 1), ("a", 2)])
    for number in range(trial.count):
        policy = trial.rng.choice((
            Exponential(retries=trial.rng.randrange(1, 6), delay_s=2.0),
            Constant(retries=trial.rng.randrange(1, 6), delay_s=5.0),
            Linear(retries=trial.rng.randrange(1, 6), delay_s=3.0),
        ))  # fmt: skip
        store, now, deaths, calls = trial.folder / f"{number}.db", 1_000_000.0, [], 0
        with trial.case(f"{policy}, seed {trial.seed}, number {number}"):
            while True:
                left = trial.rng.expovariate(1 / 12) if len(deaths) < 8 else None
                ended = Child(_retrying(log, store, policy, Clock(now, left))).end().expect(0, -9)
                calls += ended.out.count(b"called")
                if not ended.killed:
                    break
                now = float(ended.lines[-1].split()[1])
                deaths.append(now)
                now += trial.rng.choice((0.0, 0.0, trial.rng.expovariate(1 / 10)))
            assert b"failed for good" in ended.out
            _expect_attempts(store, policy, calls, deaths)
        for file in trial.folder.glob(f"{store.name}*"):
            file.unlink()


def _retrying(log: Path, store: Path, policy: Any, clock: Clock) -> Callable[[], object]:
    def fails(state: Any, event: Any) -> Any:
        os.write(1, b"called\n")
        raise durproj.Retry("not yet")

    fails.version = 1
    fails.initial = {}

    def act() -> None:
        attempts.time = observer.time = clock
        try:
            durproj.fold(log, reducer=fails, store=store, retry=policy)
        except StepFailed:
            os.write(1, b"failed for good\n")

    return act


def _expect_attempts(store: Path, policy: Any, calls: int, deaths: list[float]) -> None:
    opened = SqliteStore.open_reader(store)
    try:
        found = opened.attempts(opened.head("projection/a").no, 0)
    finally:
        opened.close()
    assert calls == len(found) == policy.retries + 1, (calls, len(found))
    for one, two in pairwise(found):
        # Later than planned only when nobody was there at that time.
        absent = any(one.at <= death * 1000 <= two.at for death in deaths)
        assert two.at >= one.retry_at, "a wait was skipped"
        assert two.at <= one.retry_at + 150 or absent, "a wait was begun anew"
    assert [each.retry_at is None for each in found] == [False] * policy.retries + [True]


PROOFS = [
    Proof("SIGKILL at random times, life after life", ("P1", "P2", "P3"), prove_random,
          quick=60, nightly=12000, case_ms=25),
    Proof("SIGKILL of a command that prints what is done", ("P1", "P2", "P3"), prove_printed,
          quick=12, nightly=700, case_ms=90),
    Proof("control: printed before the commit", ("P3",), prove_printed_early,
          quick=6, nightly=20, case_ms=90, control="printed as done"),
    Proof("SIGKILL in the wait between two attempts", ("P2",), prove_back_off,
          quick=20, nightly=1500, case_ms=78),
]  # fmt: skip
