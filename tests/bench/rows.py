"""The rows of the table: what is measured, beside what, and how far it may be from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.findings import (
    Finding,
    append,
    batch,
    disk,
    growth,
    history,
    inspect,
    listing,
    memory,
    resume,
    short,
    strict,
)
from bench.lab import Lab


@dataclass(frozen=True)
class Row:
    """One row of the table. `unit` is that of figure and goal; a row without a goal has None."""

    name: str
    what: str
    baseline: str
    goal: float | None
    unit: str
    measure: Callable[[Lab], Finding]


ROWS = (
    Row(
        "batch-1x1m",
        "run --durability batch, 1 stream x 1,000,000",
        "the plain loop: orjson.loads + reducer, nothing durable",
        2.0,
        "x",
        batch(1, 1_000_000),
    ),
    Row(
        "batch-10kx100",
        "run --durability batch, 10,000 streams x 100, interleaved",
        "the plain loop with a dict of states",
        2.0,
        "x",
        batch(10_000, 100),
    ),
    Row(
        "batch-own-1x1m",
        "the same with account as a reducer of one's own",
        "the plain loop with the same function",
        None,
        "x",
        batch(1, 1_000_000, "own"),
    ),
    Row(
        "step",
        "run --durability step, 1 stream x 200,000",
        "sqlite3, WAL, NORMAL: loads + reducer + dumps + INSERT (autocommit)",
        1.3,
        "x",
        strict(200_000, "step", "NORMAL"),
    ),
    Row(
        "fsync",
        "run --durability fsync, 1 stream x 5,000",
        "the same loop with synchronous FULL",
        None,
        "x",
        strict(5000, "fsync", "FULL"),
    ),
    Row(
        "resume-90",
        "resume after a crash at 90 % of 1,000,000, less 10 % of the full run",
        "the full run",
        5.0,
        "%",
        resume,
    ),
    Row(
        "append-1000",
        "run after 1,000 events came to 1,000,000",
        "the full run",
        2.0,
        "%",
        append,
    ),
    Row("disk", "the store of 1 stream x 1,000,000", "", 40.0, "B/step", disk),
    Row(
        "memory-1x10m",
        "peak memory, 1 stream x 10,000,000",
        "a run of 8 events",
        16.0,
        "B/event",
        memory(1, 10_000_000),
    ),
    Row(
        "memory-1mx1",
        "peak memory, 1,000,000 streams x 1",
        "a run of 8 events",
        216.0,
        "B/stream",
        memory(1_000_000, 1),
    ),
    Row(
        "version", "durproj --version", 'python -c "import sqlite3"', 3.0, "x", short(["--version"])
    ),
    Row(
        "run-8",
        "durproj run: the packaged 8 events, a new store",
        'python -c "import sqlite3"',
        8.0,
        "x",
        short(["run"]),
    ),
    Row(
        "inspect-step",
        "inspect --step, the last of 1,000,000",
        "inspect --step, the last of 8",
        2.0,
        "x",
        inspect,
    ),
    Row(
        "log-10",
        "log -n 10 of 1,000,000 steps",
        "log -n 10 of 1,000",
        2.0,
        "x",
        history(lambda _: ["log", "projection/u1", "-n", "10"]),
    ),
    Row(
        "diff",
        "diff of two steps in the middle of 1,000,000",
        "diff in the middle of 1,000",
        2.0,
        "x",
        history(
            lambda steps: [
                "diff",
                f"projection/u1#{steps // 2}..{steps // 2 + 9}",
                "--no-exit-code",
            ]
        ),
    ),
    Row(
        "find-bisect",
        "find --bisect in 1,000,000 steps",
        "find --bisect in 1,000",
        2.0,
        "x",
        history(
            lambda steps: [
                "find",
                "projection/u1",
                f"state.eventsProcessed > {steps * 3 // 5}",
                "--bisect",
            ]
        ),
    ),
    Row(
        "growth-events",
        "exponent of CPU time, 1 stream x 10,000 to 10,000,000",
        "",
        1.05,
        "",
        growth([(1, 10_000), (1, 100_000), (1, 1_000_000), (1, 10_000_000)]),
    ),
    Row(
        "growth-streams",
        "exponent of CPU time, 1,000 to 100,000 streams x 10",
        "",
        1.05,
        "",
        growth([(1000, 10), (10_000, 10), (100_000, 10)]),
    ),
    Row(
        "list-100k",
        "list --limit 20 of 100,000 workflows",
        "list --limit 20 of 100",
        2.0,
        "x",
        listing,
    ),
    Row(
        "state-20k",
        "run --durability batch, 5,000 events, a state of 20 kB",
        "the plain loop",
        None,
        "x",
        batch(1, 5000, "settings"),
    ),
    Row(
        "state-growing",
        "run --durability batch, 8,000 events, a state that grows to 50 kB",
        "the plain loop",
        None,
        "x",
        batch(1, 8000, "growing"),
    ),
)
