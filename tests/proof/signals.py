"""Signals and readers that leave: the step in hand is finished, the rest is for later; twice ends it at once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dying import Dying

from durproj.runtime import folding, ownership
from proof.children import SIGNALS, begin
from proof.kept import existing
from proof.trial import Proof, Trial
from proof.verbs import (
    EVENTS,
    RUN,
    Template,
    Verb,
    contents,
    done,
    expect_beginning,
    written,
)

BEFORE, AFTER, WRITE = "before a fold", "after a fold", "at a write"

REACHED = b"the signals are sent\n"


class Signalled(Dying):
    """A store that sends signals to its own process at one of its writes, and goes on."""

    signals: Sequence[int] = ()

    def _point(self) -> None:
        point = Signalled.points
        Signalled.points += 1
        if point == self.at:
            send(self.signals)


def send(signals: Sequence[int]) -> None:
    for number, signum in enumerate(signals, 1):
        if number == len(signals):  # the last may let nothing come after it
            os.write(2, REACHED)
        os.kill(os.getpid(), signum)


def signalled(where: str, at: int, signals: Sequence[int]) -> None:
    """Let this process get signals at a point of its run; it tells every call of the reducer."""
    if where == WRITE:
        Signalled.signals, folding.SqliteStore = signals, Signalled
        Signalled.arm(at)
    plain, calls = ownership.applied, Counter()

    def applied(*args: Any, **options: Any) -> Callable[[Any, Any], Any]:
        reduce = plain(*args, **options)

        def telling(state: Any, event: Any) -> Any:
            here = calls["made"] == at
            calls["made"] += 1
            os.write(2, b"called\n")
            if here and where == BEFORE:
                send(signals)
            state = reduce(state, event)
            if here and where == AFTER:
                send(signals)
            return state

        return telling

    ownership.applied = applied


def prove_signals(trial: Trial) -> None:
    """One signal or two, at any point of a run: how it ends, what is kept, and that resume does the rest."""
    levels = ("step", "fsync", "batch")
    words = {level: (*RUN, "--durability", level) for level in levels}
    templates = {
        level: Template(Verb(words[level], written, folds=True), trial.folder / level)
        for level in levels
    }
    while trial.cases < trial.count:
        level = trial.rng.choice(levels)
        where = trial.rng.choice((BEFORE, AFTER, WRITE))
        at = trial.rng.randrange(len(EVENTS) if where != WRITE else 60)
        signals = [trial.rng.choice(SIGNALS) for _ in range(trial.rng.choice((1, 1, 2)))]
        names = " and ".join(signal.Signals(each).name for each in signals)
        template = templates[level]
        with (
            template.copy(trial.folder / "case") as folder,
            trial.case(f"{names} {where} number {at}, durability {level}"),
        ):
            before = lambda: signalled(where, at, signals)  # noqa: B023, E731
            ended = begin(template.verb.words, folder, before=before).end()
            steps, (_, reached, after) = _held(folder), ended.err.partition(REACHED)
            # What comes after the last step, or never, changes nothing.
            late = not reached or (len(signals) == 1 and steps == len(EVENTS))
            ended.expect(128 + signals[-1], *([0] if late else []))
            assert ended.code or steps == len(EVENTS), f"it left early, and says 0: {ended.err!r}"
            if len(signals) == 2:
                assert b"called\n" not in after, "another step was begun after the second signal"
                kept_the_one_in_hand = where != WRITE and reached and steps > at
                assert not kept_the_one_in_hand, "it did not leave at once"
            if ended.code and len(signals) == 1:
                assert b"finishing the step in hand; once more to leave at once" in ended.err
                assert b"durproj resume" in ended.err
                calls = ended.err.count(b"called\n")
                assert steps == calls, f"{calls} steps were executed, {steps} are kept"
            _expect_rest(template, folder)


def prove_waiting(trial: Trial) -> None:
    """A signal in the wait between two attempts, and in the wait for a store, ends the wait."""
    folder = trial.folder / "waiting"
    folder.mkdir()
    written(folder)
    while trial.cases < trial.count:
        signum = trial.rng.choice(SIGNALS)
        name, step = signal.Signals(signum).name, trial.rng.randrange(12)
        fails = ("--fail", f"{step}x9", "--retry-delay", "1000", "--user", "a")
        holder = begin((*RUN, *fails), folder)
        holder.heard(b"(retrying in ")
        with trial.case(f"{name} while it waits for the store"):
            waiting = begin(("resume", "--wait", "1000"), folder)
            waiting.runs(trial.rng.expovariate(1 / 0.1))
            waiting.kill(signum)
            # A signal that comes before durproj listens ends any process.
            waiting.end().expect(128 + signum, -signum)
        with trial.case(f"{name} in the wait before another attempt at step {step}"):
            holder.kill(signum)
            holder.end().expect(128 + signum)
            assert _held(folder) == step
        for file in folder.glob("durproj.db*"):
            file.unlink()


def prove_leaving(trial: Trial) -> None:
    """A reader of standard output that leaves after some lines ends the run, with 141, and loses nothing."""
    template = Template(Verb(RUN, written, folds=True), trial.folder / "ready")
    while trial.cases < trial.count:
        lines = trial.rng.randrange(len(EVENTS) + 2)
        with (
            template.copy(trial.folder / "case") as folder,
            trial.case(f"a reader that leaves after {lines} lines"),
        ):
            child = begin(template.verb.words, folder)
            child.until(lambda out, lines=lines: out.count(b"\n") >= lines)
            child.hang_up()
            # It may have printed everything by then.
            ended = child.end().expect(141, 0)
            assert b"Traceback" not in ended.err
            assert b"Exception" not in ended.err
            assert ended.code or _held(folder) == len(EVENTS)
            _expect_rest(template, folder)


def _held(folder: Path) -> int:
    """How many steps are in the store."""
    return sum(journal["steps"] for journal in existing(folder / "durproj.db").values())


def _expect_rest(template: Template, folder: Path) -> None:
    """What is there is a beginning, and `resume`, or the same command again, does the rest."""
    expect_beginning(contents(folder), template.before, template.after)
    begun = contents(folder).get("durproj.db")
    done(folder, *(("resume",) if begun else template.verb.words))
    assert contents(folder) == template.after


PROOFS = [
    Proof("INT, TERM, HUP, once and twice, at any point of a run", ("P1", "P2", "P3"), prove_signals,
          quick=24, nightly=1500, case_ms=76),
    Proof("INT, TERM, HUP in the waits for the store and between attempts", ("P2",), prove_waiting,
          quick=8, nightly=200, case_ms=95),
    Proof("standard output closed by its reader", ("P2", "P3"), prove_leaving,
          quick=6, nightly=300, case_ms=110),
]  # fmt: skip
