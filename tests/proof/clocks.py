"""Clocks that are wrong: they go backwards, stand still, leap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from conftest import Result

from proof.children import command
from proof.half_runs import WRITTEN, write_log
from proof.trial import Proof, Trial

CLOCKS: Mapping[str, Callable[[], Iterator[float]]] = {
    "goes backwards": lambda: (1.7e9 - 3600 * n for n in range(10**6)),
    "stands still": lambda: (1.7e9 for _ in range(10**6)),
    "1970": lambda: (n / 1000 for n in range(10**6)),
    "before 1970": lambda: (-86400.0 + n for n in range(10**6)),
    "2038": lambda: (2**31 - 2 + n / 3 for n in range(10**6)),
    "a leap second": lambda: (1483228799 + n % 4 / 4 for n in range(10**6)),
    "daylight saving": lambda: (1711846799.9 + n / 10 for n in range(10**6)),
    "leaps by years": lambda: (1e9 + (n % 2) * 1e9 for n in range(10**6)),
}


def set_clock(ticks: Iterator[float]) -> None:
    """Let the system's clock say what it is told to, to this process."""

    def now() -> float:
        return next(ticks)

    def now_ns() -> int:
        return int(now() * 1e9)

    time.time, time.time_ns = now, now_ns


SHOWN = (
    "inspect projection/u1", "list", "log projection/u1", "export", "export --journal",
    "blame projection/u1", "verify", "diff projection/u1#2",
)  # fmt: skip


def _lived(folder: Path, ticks: Callable[[], Iterator[float]] | None, **env: str) -> list[str]:
    """What the commands print of a fold that crashed and was resumed, by this clock."""

    def by_it(args: list[str]) -> Result:
        return command(args, folder, env=env, before=lambda: ticks and set_clock(ticks()))

    write_log(folder)
    run = ["run", "log.jsonl", "--reducer", "counts"]
    assert by_it([*run, "--crash", str(WRITTEN)]).code == 3
    assert by_it([*run, "--name", "other", "--fail", "2", "--retry-delay", "0"]).code == 0
    done = by_it(["resume"])
    assert done.code == 0, done.err
    return [by_it([*shown.split(), "--json", "--stable"]).out for shown in SHOWN]


def clocks(trial: Trial) -> None:
    with trial.scratch() as folder:
        expected = _lived(folder, None)
    kinds = [
        (name, zone) for zone in ("UTC", "America/New_York", "Asia/Kathmandu") for name in CLOCKS
    ]
    trial.rng.shuffle(kinds)
    for name, zone in kinds[: trial.count]:
        with trial.case(f"a clock that is: {name}, in {zone}"), trial.scratch() as folder:
            assert _lived(folder, CLOCKS[name], TZ=zone, SOURCE_DATE_EPOCH="1") == expected


PROOFS = [Proof("a clock that is wrong", ("P1", "P2"), clocks, 3, 24, case_ms=590)]
