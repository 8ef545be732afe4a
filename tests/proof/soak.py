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
WAITS_EACH = EVENTS_A_LIFE // 4
"""An event of so many is one at which a run may be told to wait."""
REDUCER = f"""
import os

def waits(state, event):
    number = event.body["v"]
    if number % {WAITS_EACH} == 0 and os.path.exists(f"wait at {{number}}"):
        os.rename(f"wait at {{number}}", "waiting")
        os.read(0, 1)
    return {{"n": state["n"] + 1}}

waits.initial = {{"n": 0}}
"""


def prove_soak(trial: Trial) -> None:
    """`trial.count` lives, two at least, of a run over 50,000 events for each one that is asked for; the last one
    folds half of them at least, so that what it keeps of each event would be seen."""
    soak = _Soak(trial.folder, trial.count * EVENTS_A_LIFE)
    lives = max(2, trial.count)
    for life in range(1, lives):
        until = soak.events * life // (2 * lives)
        with trial.case(f"killed at about {until:,} events"):
            soak.run_until(until)
    with trial.case("the last life, to the end"):
        soak.run_until(None)
        soak.expect_whole()
        assert soak.kills, "no life was killed"
    peaks = f"-wal at most {soak.wal / 2**20:.1f} MiB, {soak.looks:,} looks of readers"
    made = f"{soak.events:,} events, {soak.streams:,} streams, kills: {soak.kills}"
    trial.note(f"{made}; {peaks}; {soak.memory}")


class _Soak:
    """The log, its store, and the most that was seen of what may grow."""

    def __init__(self, folder: Path, events: int) -> None:
        self.folder, self.store = folder, folder / "durproj.db"
        self.events, self.streams = events, max(1, events // EVENTS_A_STREAM)
        self.wal = self.looks = self.kills = 0
        self.memory = ""
        (folder / "waits.py").write_text(REDUCER)
        with (folder / "log.jsonl").open("w") as log:
            for n in range(events):
                log.write(f"{line(f'u{n * 7919 % self.streams}', n)}\n")

    def run_until(self, events: int | None) -> None:
        """Let a run go on until so many events are folded, then kill it; None: to its end. Where it is seen too
        late it is met at an event that comes soon: there it waits."""
        begun = self.store.exists()
        words = ["resume"] if begun else ["run", "log.jsonl", "--reducer", "waits.py:waits"]
        words += [] if begun else ["--durability", "batch"]
        sizes: list[tuple[int, int]] = []
        wait = self.folder / f"wait at {(events or 0) + WAITS_EACH}"
        waiting = self.folder / "waiting"
        if events is not None:
            wait.touch()
        with ExitStack() as held, self._command(*words, "-q") as run:
            while run.poll() is None:
                self._look(run.pid, sizes, held)
                if waiting.exists() or (events is not None and sizes and sizes[-1][0] >= events):
                    break
                time.sleep(0.05)
            if events is not None:
                run.kill()
            code = run.wait()
            self.kills += code == -signal.SIGKILL
            assert code in ((-signal.SIGKILL, 0) if events is not None else (0,)), run.stderr.read()
        for file in (wait, waiting):
            file.unlink(missing_ok=True)
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
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
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
    Proof("a soak: many events, many streams, readers, kills", ("P1", "P2", "P6"), prove_soak,
          quick=1, nightly=20, case_ms=5_500),
]  # fmt: skip
