"""How each row is measured."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression

from bench.lab import DURPROJ, SAMPLE, Lab, Shape
from bench.measure import Pair, Program, Usage, cpu_s, in_turn, rss_bytes, run

LONGEST = 2_000_000
"""Runs of more events than this are made once: they take minutes, and noise averages out in them."""


@dataclass(frozen=True)
class Finding:
    """What a row measured: the figure its goal is about, the runs, and what else is worth a look.

    `figure` is None when what it measures is not installed.
    """

    figure: float | None
    pair: Pair | None = None
    disk_per_step: float | None = None
    detail: dict[str, float | str] = field(default_factory=dict)


def batch(streams: int, events: int, kind: str = "account") -> Callable[[Lab], Finding]:
    """Many steps at a time, beside the plain loop."""

    def measure(lab: Lab) -> Finding:
        shape = _scaled(lab, streams, events, kind)
        pair = in_turn(lab.batch(shape), lab.plain(shape), lab.runs)
        stored = lab.left_bytes() / shape.steps
        detail = _per_event(pair, shape.steps)
        if kind not in {"account", "own"}:
            state = lab.state_bytes(shape)
            extra_ns = pair.median(lambda a, b: a.cpu_s - b.cpu_s) / shape.steps / state * 1e9
            detail |= {"state B": state, "more ns/state B": extra_ns}
        return Finding(pair.cpu_ratio, pair, stored, detail)

    return measure


def strict(events: int, durability: str, synchronous: str) -> Callable[[Lab], Finding]:
    """A commit per step, beside a bare loop of INSERTs that commit."""

    def measure(lab: Lab) -> Finding:
        shape = Shape(1, lab.size(events))
        bare = lab.python("baselines", "insert", lab.log(shape), "u1", "bare.db", synchronous)
        pair = in_turn(lab.fold(shape, durability), bare, lab.runs)
        stored = lab.left_bytes() / shape.steps
        return Finding(_worse(pair), pair, stored, _per_event(pair, shape.steps))

    return measure


def resume(lab: Lab) -> Finding:
    """What `resume` at 90 % costs on top of the events that are left."""
    shape = Shape(1, lab.size(1_000_000))
    at = shape.events * 9 // 10
    crashed = lab.crashed(shape, at)
    again = Program([DURPROJ, "resume", "--quiet"], lambda: lab.copy(crashed))
    pair = in_turn(again, lab.batch(shape), lab.runs)
    left = 1 - at / shape.events
    figure = pair.median(lambda a, b: 100 * (a.cpu_s / b.cpu_s - left))
    return Finding(figure, pair, detail={"resume s": cpu_s(pair.measured)})


def append(lab: Lab) -> Finding:
    """What a run costs when 1,000 events came to a log that is folded already."""
    shape, more = Shape(1, lab.size(1_000_000)), lab.size(1000)
    folder, log = lab.appended(shape, more)
    again = Program(lab.fold_args(shape, log, "batch"), lambda: lab.copy(folder))
    pair = in_turn(again, lab.batch(shape), lab.runs)
    startup_s = cpu_s(lab.startup)
    without = pair.median(lambda a, b: 100 * (a.cpu_s - startup_s) / b.cpu_s)
    detail = {"run s": cpu_s(pair.measured), "without start-up %": without}
    return Finding(100 * pair.cpu_ratio, pair, detail=detail)


def disk(lab: Lab) -> Finding:
    """The size of the store of row batch-1x1m."""
    shape = Shape(1, lab.size(1_000_000))
    stored = lab.folded(shape).disk_bytes / shape.steps
    log = os.path.getsize(lab.log(shape)) / shape.steps
    detail = {"log B/step": log, "state B": lab.state_bytes(shape)}
    return Finding(stored, disk_per_step=stored, detail=detail)


def memory(streams: int, events: int) -> Callable[[Lab], Finding]:
    """The peak memory above that of 8 events."""

    def measure(lab: Lab) -> Finding:
        shape = _scaled(lab, streams, events)
        usage = lab.folded(shape).usage
        small = rss_bytes(lab.startup)
        above = (usage.rss_bytes - small) / shape.steps
        detail = {"peak MB": usage.rss_bytes / 1e6, "8 events MB": small / 1e6}
        return Finding(above, detail=detail)

    return measure


def short(args: Sequence[str]) -> Callable[[Lab], Finding]:
    """A short command, beside Python with SQLite imported."""

    def measure(lab: Lab) -> Finding:
        least = Program([sys.executable, "-c", "import sqlite3"], lab.fresh)
        pair = in_turn(Program([DURPROJ, *args], lab.fresh), least, lab.short_runs)
        return Finding(_worse(pair), pair, detail=_ms(pair))

    return measure


def inspect(lab: Lab) -> Finding:
    """A look at the last step of a long journal, beside the same in one of 8 steps."""

    def look(events: int) -> Program:
        store = lab.folded(Shape(1, events)).folder
        command = [DURPROJ, "inspect", "projection/u1", "--step", str(events - 1)]
        return Program(command, lambda: store)

    pair = in_turn(look(lab.size(1_000_000)), look(SAMPLE), lab.short_runs)
    return Finding(_worse(pair), pair, detail=_ms(pair))


def history(args: Callable[[int], Sequence[str]]) -> Callable[[Lab], Finding]:
    """A look into the history of a long journal, beside the same in one of 1,000 steps. `args`: of the
    number of steps."""

    def measure(lab: Lab) -> Finding:
        def look(events: int) -> Program:
            store = lab.folded(Shape(1, events)).folder
            return Program([DURPROJ, *args(events)], lambda: store)

        pair = in_turn(look(lab.size(1_000_000)), look(1000), lab.short_runs)
        return Finding(_worse(pair), pair, detail=_ms(pair))

    return measure


def listing(lab: Lab) -> Finding:
    """The first 20 of many workflows, beside the first 20 of a hundred."""
    many, few = Shape(lab.size(100_000), 1), Shape(100, 1)

    def show(shape: Shape, *args: str) -> Program:
        store = lab.folded(shape).folder
        return Program([DURPROJ, "list", *args], lambda: store)

    pair = in_turn(show(many, "--limit", "20"), show(few, "--limit", "20"), lab.short_runs)
    whole = in_turn(show(many), show(few), lab.runs)
    # At a small scale there may be no more workflows in the one than in the other.
    rest = max(1, many.streams - few.streams)
    us = whole.median(lambda a, b: (a.cpu_s - b.cpu_s) / rest * 1e6)
    detail = _ms(pair) | {"whole list µs/workflow": us}
    return Finding(_worse(pair), pair, detail=detail)


def growth(shapes: Sequence[tuple[int, int]]) -> Callable[[Lab], Finding]:
    """The exponent with which CPU time (less start-up) grows with the events, by least squares."""

    def measure(lab: Lab) -> Finding:
        scaled = [_scaled(lab, *shape) for shape in shapes]
        startup_s = cpu_s(lab.startup)
        usages: list[list[Usage]] = [[] for _ in scaled]
        for turn in range(lab.runs):
            for shape, runs in zip(scaled, usages, strict=True):
                if shape.steps > LONGEST and turn == 0:
                    runs.append(lab.folded(shape).usage)
                elif shape.steps <= LONGEST:
                    runs.append(run(lab.batch(shape)))
        # Below a millisecond there is only noise, and its logarithm may not exist.
        spent_s = [max(cpu_s(runs) - startup_s, 0.001) for runs in usages]
        steps = [shape.steps for shape in scaled]
        exponent = linear_regression([*map(math.log, steps)], [*map(math.log, spent_s)]).slope
        pairs = zip(steps, spent_s, strict=True)
        return Finding(exponent, detail={f"{n:,}: µs/event": s / n * 1e6 for n, s in pairs})

    return measure


def _scaled(lab: Lab, streams: int, events: int, kind: str = "account") -> Shape:
    # Of many streams a smaller scale makes fewer, of a single one fewer events.
    if streams > 1:
        return Shape(lab.size(streams), events, kind)
    return Shape(1, lab.size(events), kind)


def _worse(pair: Pair) -> float:
    """The larger of the ratios of CPU time and of wall time: both have to reach the goal."""
    return max(pair.cpu_ratio, pair.wall_ratio)


def _per_event(pair: Pair, steps: int) -> dict[str, float]:
    return {
        "µs/event": cpu_s(pair.measured) / steps * 1e6,
        "baseline": cpu_s(pair.baseline) / steps * 1e6,
    }


def _ms(pair: Pair) -> dict[str, float]:
    return {"ms": cpu_s(pair.measured) * 1e3, "baseline": cpu_s(pair.baseline) * 1e3}
