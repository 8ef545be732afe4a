"""Power cuts while events come through a pipe: what was acknowledged is there, the spool has what is needed
to go on, and no event counts twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import IO

from live import rebooted

import durproj
from durproj.events.mark import ENDING
from proof.cuts import STORE, Acknowledged, Cuts, checkpoints, fast_folder
from proof.tracing import Recorder
from proof.trial import Proof, Trial

ID = "projection/u1"

EVENTS = 60

PIPE = EVENTS // 3
"""Of them come through one pipe that is followed."""

PAD = 8_000
"""A block of what comes through a pipe is then some events long."""

CONTINUED = 12
"""One image of so many is gone on with."""


def lines(first: int, stop: int, pad: int) -> bytes:
    """The events of one stream."""
    return b"".join(
        b'{"key":"u1","v":%d,"pad":"%b"}\n' % (n, b"x" * pad) for n in range(first, stop)
    )


class Piped:
    """Judges stores that took the events of a pipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        self.recorder = Recorder(self.folder)

    def run(self, *args: str, input: bytes = b"", expected: int = 0) -> None:
        self.recorder.run(*args, "-v", "--json", "--stable", input=input, expected=expected)

    def done(self) -> None:
        """All is recorded."""
        self.expected = checkpoints(self.folder / STORE)[ID]
        assert len(self.expected) == EVENTS
        self._acknowledged = Acknowledged()

    def found(self, folder: Path) -> int:
        records = checkpoints(folder / STORE).get(ID, [])
        assert records == self.expected[: len(records)]
        return len(records)

    def check(self, found: int, said: bytes) -> None:
        self._acknowledged.take(said)
        assert found >= self._acknowledged.steps[ID]


class Spooled(Piped):
    """A pipe that is read once, to its end."""

    def go_on(self, folder: Path) -> None:
        store, found = folder / STORE, self.found(folder)
        try:
            durproj.resume(store=store)
        except (durproj.NotFound, durproj.UsageError):
            # The cut came before anything of a pipe was in the spool: so all that is folded is of runs that
            # had come to their end.
            ended = self._acknowledged.ended[ID]
            assert found == ended, "what was folded cannot be gone on with"
        assert self.found(folder) >= found
        with standard_input(lines(0, EVENTS, PAD)):
            durproj.fold("-", reducer="counts", store=store, durability="fsync")
        assert self.found(folder) == EVENTS


class Followed(Piped):
    """A pipe that is followed. What has a step is in the spool: it does not come again."""

    def found(self, folder: Path) -> int:
        found = super().found(folder)
        spools = [path for path in folder.glob(f"{STORE}.live-*") if not path.name.endswith(ENDING)]
        spooled = b"".join(path.read_bytes() for path in spools)
        # What an earlier pipe brought may be gone when all of it was taken.
        here = lines(found // PIPE * PIPE, found, PAD)
        assert here in spooled, f"{found} steps, and of this pipe the spool has {spooled[-200:]!r}"
        return found

    def go_on(self, folder: Path) -> None:
        for mark in folder.glob(f"{STORE}.live-*{ENDING}"):
            rebooted(mark)
        found = super().found(folder)
        for first in (EVENTS, None):  # first what has been taken out of a pipe, then what never was
            with standard_input(
                lines(super().found(folder) if first is None else first, EVENTS, PAD)
            ):
                durproj.fold(
                    "-",
                    reducer="counts",
                    store=folder / STORE,
                    follow=True,
                    durability="fsync",
                )
            assert super().found(folder) >= found
        assert super().found(folder) == EVENTS


@contextmanager
def standard_input(content: bytes) -> Iterator[None]:
    """Let this come through a pipe on standard input."""
    kept, stdin = os.dup(0), sys.stdin
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    with ThreadPoolExecutor(1) as pool, open(writing, "wb") as pipe:
        pool.submit(_write, pipe, content)
        try:
            yield
        finally:
            sys.stdin.close()
            sys.stdin = stdin
            os.dup2(kept, 0)
            os.close(kept)


def _write(pipe: IO[bytes], content: bytes) -> None:
    # Nobody may have read to the end.
    with suppress(BrokenPipeError), pipe:
        pipe.write(content)


def record_spooled(folder: Path) -> Spooled:
    """A fold of a pipe that crashes, and goes on with what the spool has."""
    judge = Spooled(folder)
    fold = ("run", "-", "--reducer", "counts", "--durability", "fsync")
    judge.run(*fold, "--crash", str(EVENTS // 2), input=lines(0, EVENTS, PAD), expected=3)
    judge.run("resume")
    judge.done()
    return judge


def record_again(folder: Path) -> Spooled:
    """Folds of one stream, whose events are folded as they come: a crash, one of a pipe that brings more, what the
    spool has, and all of it from a third pipe."""
    judge = Spooled(folder)
    fold = ("run", "-", "--user", "u1", "--reducer", "counts", "--durability", "fsync")
    for piped in (EVENTS // 2, EVENTS):
        crash = ("--crash", str(piped * 2 // 3))
        judge.run(*fold, *crash, input=lines(0, piped, PAD), expected=3)
    judge.run("resume")
    judge.run(*fold, input=lines(0, EVENTS, PAD))
    judge.done()
    return judge


def record_followed(folder: Path) -> Followed:
    """Three pipes that are followed, one after another."""
    judge = Followed(folder)
    follow = ("run", "-", "--follow", "--reducer", "counts", "--durability", "fsync")
    for first in range(0, EVENTS, PIPE):
        judge.run(*follow, input=lines(first, first + PIPE, PAD))
    judge.done()
    return judge


def prove(*records: Callable[[Path], Piped]) -> Callable[[Trial], None]:
    """Cuts of the power during what is recorded, by one of `records` after another."""

    def prove_piped(trial: Trial) -> None:
        share, cuts = max(60, trial.count // 4), Cuts(trial)
        for record in cycle(records):
            with fast_folder(trial) as folder:
                judge = record(folder)
                cuts.cut(judge.recorder, judge, share, CONTINUED)
            if trial.cases >= trial.count:
                break
        cuts.tell()

    return prove_piped


PROOFS = [
    Proof(
        "power cut, a pipe, fsync",
        ("P2", "P3"),
        prove(record_spooled, record_again),
        60,
        4_000,
        case_ms=6.3,
    ),
    Proof(
        "power cut, a followed pipe, fsync",
        ("P1", "P3"),
        prove(record_followed),
        60,
        2_000,
        case_ms=29,
    ),
]
