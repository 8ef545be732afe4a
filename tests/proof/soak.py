"""A long run with many streams, killed now and then, with readers that take their time: nothing grows that
should not, and everything is there in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from conftest import environment
from dying import line

import durproj
from proof.trial import Proof, Trial

EVENTS_A_LIFE = 50_000
EVENTS_A_STREAM = 100
WAL_MOST = 64 << 20
"""Bytes that a store's -wal may come to."""
GROWTH_MOST = 8 << 20
"""Bytes by which a run may grow between its first third and its end, besides 16 for each event."""


def prove_soak(trial: Trial) -> None:
    """`trial.count` lives of a run over as many times 50,000 events; the last one folds half of them, so that
    what it keeps of each event would be seen."""
    soak = _Soak(trial.folder, trial.count * EVENTS_A_LIFE)
    for life in range(1, trial.count):
        until = soak.events * life // (2 * trial.count)
        with trial.case(f"killed at about {until:,} events"):
            soak.run_until(until)
    with trial.case("the last life, to the end"):
        soak.run_until(None)
        soak.expect_whole()
    peaks = f"-wal at most {soak.wal / 2**20:.1f} MiB, {soak.looks:,} looks of readers"
    trial.note(f"{soak.events:,} events, {soak.streams:,} streams; {peaks}; {soak.memory}")


class _Soak:
    """The log, its store, and the most that was seen of what may grow."""

    def __init__(self, folder: Path, events: int) -> None:
        self.folder, self.store = folder, folder / "durproj.db"
        self.events, self.streams = events, max(1, events // EVENTS_A_STREAM)
        self.wal = self.looks = 0
        self.memory = ""
        with (folder / "log.jsonl").open("w") as log:
            for n in range(events):
                log.write(f"{line(f'u{n * 7919 % self.streams}', n)}\n")

    def run_until(self, events: int | None) -> None:
        """Let a run go on until so many events are folded, then kill it; None: to its end."""
        begun = self.store.exists()
        words = ["resume"] if begun else ["run", "log.jsonl", "--reducer", "counts"]
        words += [] if begun else ["--durability", "batch"]
        sizes: list[tuple[int, int]] = []
        with ExitStack() as held, self._command(*words, "-q") as run:
            while run.poll() is None:
                self._look(run.pid, sizes, held)
                if events is not None and sizes and sizes[-1][0] >= events:
                    break
                time.sleep(0.05)
            if events is not None:
                run.kill()
            code = run.wait()
            assert code in ((-signal.SIGKILL, 0) if events is not None else (0,)), run.stderr.read()
        self._expect_flat(sizes)

    def _look(self, pid: int, sizes: list[tuple[int, int]], held: ExitStack) -> None:
        """How far the run is, as a reader sees it, and how large things are. From the first look on two
        readers stay in the middle of what they read, until the run has ended."""
        wal = Path(f"{self.store}-wal")
        if wal.exists():
            self.wal = max(self.wal, wal.stat().st_size)
            assert self.wal <= WAL_MOST, f"-wal has {self.wal:,} bytes"
        try:
            heads = list(durproj.workflows(store=self.store))
        except durproj.NotFound:
            return
        if heads and not sizes:
            for records in (
                durproj.log(heads[0]["id"], store=self.store),
                durproj.export_records(store=self.store, journal=True),
            ):
                held.enter_context(closing(records))
                next(records)
        self.looks += 1
        sizes.append((sum(head["steps"] for head in heads), _resident(pid)))

    def _expect_flat(self, sizes: list[tuple[int, int]]) -> None:
        third = sizes[0][0] + (sizes[-1][0] - sizes[0][0]) // 3 if sizes else 0
        begun = [resident for steps, resident in sizes if resident and steps > third]
        if len(begun) > 2:
            grown, allowed = max(begun) - begun[0], GROWTH_MOST + 16 * self.events
            self.memory = f"resident {begun[0] >> 20} to {max(begun) >> 20} MiB"
            assert grown <= allowed, f"it grew by {grown:,} bytes"

    def expect_whole(self) -> None:
        """Every event is in its stream's history, which is verified."""
        summary = list(durproj.verify(store=self.store))[-1]
        assert (summary["ok"], summary["exit"]) == (self.streams, 0), summary
        heads = list(durproj.workflows(store=self.store))
        assert {head["status"] for head in heads} == {"resolved"}
        assert sum(head["steps"] for head in heads) == self.events
        assert len(heads) == self.streams
        # While somebody reads it a store stays in WAL; the next writer makes one file of it.
        durproj.resume(store=self.store)
        assert [path.name for path in self.folder.glob("durproj.db*")] == [self.store.name]

    @contextmanager
    def _command(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(
            [sys.executable, "-m", "durproj", *words], cwd=self.folder, env=environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()


def _resident(pid: int) -> int:
    """Bytes of memory that a process has; 0 where that is not known."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


PROOFS = [
    Proof("a soak: a million events, 10,000 streams, readers, kills", ("P1", "P2", "P6"), prove_soak,
          quick=1, nightly=20, case_ms=5_500),
]  # fmt: skip
