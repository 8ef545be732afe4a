"""Whole processes, measured: CPU, wall time, peak memory; and one thing beside another, in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import IO, NamedTuple

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class ProgramFailedError(Exception):
    """A measured program ended otherwise than it had to; its standard error is in the message."""


class Usage(NamedTuple):
    """What one process took: user and system time, wall time, peak resident memory."""

    cpu_s: float
    wall_s: float
    rss_bytes: int


@dataclass(frozen=True)
class Program:
    """A command; how it is to end; and what makes the folder it runs in, anew before each run."""

    args: Sequence[str]
    folder: Callable[[], str]
    exit_code: int = 0


@dataclass(frozen=True)
class Pair:
    """The runs of the thing measured and of its baseline, made in turn."""

    measured: list[Usage]
    baseline: list[Usage]

    @property
    def cpu_ratio(self) -> float:
        """The median of the ratios of CPU time, run by run."""
        return self.median(lambda a, b: a.cpu_s / b.cpu_s)

    @property
    def wall_ratio(self) -> float:
        """The median of the ratios of wall time, run by run."""
        return self.median(lambda a, b: a.wall_s / b.wall_s)

    def median(self, figure: Callable[[Usage, Usage], float]) -> float:
        """The median of a figure of each run and the one made beside it."""
        return median(map(figure, self.measured, self.baseline))


def environment() -> dict[str, str]:
    """What programs are started with: no setting of durproj, Python or the terminal reaches them."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8"}


def run(program: Program, out: IO[bytes] | None = None) -> Usage:
    """Run `program` to its end; what it prints goes to `out`. Raises ProgramFailedError when it fails.

    On Linux the peak memory of a child is never less than what this process had when it began: this
    one stays small (no Rich, no logs in memory) while it measures, smaller than any run of durproj.
    """
    folder = program.folder()
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            program.args,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out or subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != program.exit_code:
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            raise ProgramFailedError(f"exit {process.returncode}: {' '.join(program.args)}\n{said}")
    return Usage(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss * MAXRSS_UNIT)


def in_turn(measured: Program, baseline: Program, runs: int) -> Pair:
    """Run both, `runs` times, now the one first and now the other: what slows the machine down, or
    what one leaves behind for the next, meets both."""
    pair = Pair([], [])
    turns = [(measured, pair.measured), (baseline, pair.baseline)]
    for number in range(runs):
        for program, usages in turns if number % 2 == 0 else reversed(turns):
            usages.append(run(program))
    return pair


def cpu_s(usages: Sequence[Usage]) -> float:
    """The median CPU time."""
    return median(usage.cpu_s for usage in usages)


def rss_bytes(usages: Sequence[Usage]) -> float:
    """The median peak memory."""
    return median(usage.rss_bytes for usage in usages)
