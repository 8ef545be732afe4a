"""A long run with many streams, killed now and then, with readers that take their time: nothing grows that
should not, and everything is there in the end."""

from __future__ import annotations

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
NOTES_LEAST = 3
"""So often its memory is noted in the last two thirds of a life, at least, to be judged."""
LATE = EVENTS_A_LIFE // 4
"""So many events after the one at which a run is to be killed it waits for that."""
REDUCER = """
import itertools
import os

calls = itertools.count(1)

def waits(state, event):
    if str(event.body["v"]) == os.environ.get("WAITS_AT"):
        open("waiting", "w").close()
        os.read(0, 1)
    call = next(calls)
    if not call % 100:
        with open("/proc/self/statm") as sizes, open("memory", "a") as notes:
            notes.write(f"{call} {int(sizes.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')}\\n")
    return {"n": state["n"] + 1}

waits.initial = {"n": 0}
"""
"""The reducer, which notes after every so many of its calls how much memory its process has."""

LEAKING = f"""{REDUCER}
kept = []

def leaks(state, event):
    kept.append(bytearray(4096))
    return waits(state, event)

leaks.initial = waits.initial
"""
LEAKING_EVENTS = 10_000


def prove_leak(trial: Trial) -> None:
    """One life, with a reducer that keeps some memory of each event: the harness has to see it."""
    for number in range(trial.count):
        folder = trial.folder / str(number)
        folder.mkdir()
        soak = _Soak(folder, LEAKING_EVENTS, "leaks", LEAKING)
        with trial.case("a reducer that keeps 4 KiB of each event"):
            soak.run_until(None)


def prove_soak(trial: Trial) -> None:
    """`trial.count` lives, two at least, of a run over 50,000 events for each one that is asked for; the last one
    folds half of them at least, so that what it keeps of each event would be seen."""
    soak = _Soak(trial.folder, trial.count * EVENTS_A_LIFE, "waits", REDUCER)
    lives = max(2, trial.count)
    for life in range(1, lives):
        until = soak.events * life // (2 * lives)
        with trial.case(f"killed at about {until:,} events"):
            soak.run_until(until)
    with trial.case("the last life, to the end"):
        soak.run_until(None)
        soak.expect_whole()
        assert len(soak.kills) == lives - 1, f"of {lives} lives {len(soak.kills)} were killed"
    peaks = f"-wal at most {soak.wal / 2**20:.1f} MiB, {soak.looks:,} looks of readers"
    made = f"{soak.events:,} events, {soak.streams:,} streams, kills: {len(soak.kills)}"
    trial.note(f"{made}; {peaks}; {soak.memory}")


class _Soak:
    """The log, its store, and the most that was seen of what may grow. reducer: its name in `source`. kills: how
    many steps were in the store after each of them."""

    def __init__(self, folder: Path, events: int, reducer: str, source: str) -> None:
        self.folder, self.store = folder, folder / "durproj.db"
        self._reducer, self._notes = f"folds.py:{reducer}", folder / "memory"
        self.events, self.streams = events, max(1, events // EVENTS_A_STREAM)
        self.wal = self.looks = 0
        self.kills: list[int] = []
        self.memory = ""
        (folder / "folds.py").write_text(source)
        with (folder / "log.jsonl").open("w") as log:
            for n in range(events):
                log.write(f"{line(f'u{n * 7919 % self.streams}', n)}\n")

    def run_until(self, events: int | None) -> None:
        """Let a run go on until so many events are folded, then kill it; None: to its end. Where it is seen too
        late it is met at an event that comes soon: there it waits."""
        begun = self.store.exists()
        words = ["resume"] if begun else ["run", "log.jsonl", "--reducer", self._reducer]
        words += [] if begun else ["--durability", "batch"]
        seen, waiting = 0, self.folder / "waiting"
        self._notes.unlink(missing_ok=True)
        waits_at = "" if events is None else str(self._folded_at(events + LATE))
        with ExitStack() as held, self._command(*words, "-q", WAITS_AT=waits_at) as run:
            while run.poll() is None:
                seen = self._look(held, first=not seen)
                if waiting.exists() or (events is not None and seen >= events):
                    break
                time.sleep(0.05)
            if events is not None:
                run.kill()
            code = run.wait()
            assert code == (0 if events is None else -signal.SIGKILL), run.stderr.read()
        waiting.unlink(missing_ok=True)
        if events is not None:
            self._expect_killed_at(events)
        self._expect_flat(is_last=events is None)

    def _folded_at(self, position: int) -> int:
        """The number of the event that is folded after `position` others: stream after stream is, in the order in
        which they appear, and in the log an event of each follows one of each."""
        stream, event = divmod(position, EVENTS_A_STREAM)
        return stream + self.streams * event

    def _expect_killed_at(self, events: int) -> None:
        steps = sum(head["steps"] for head in durproj.workflows(store=self.store))
        assert events <= steps <= events + LATE, f"killed at {steps:,} steps, not at {events:,}"
        self.kills.append(steps)

    def _look(self, held: ExitStack, *, first: bool) -> int:
        """How far the run is, as a reader sees it. From the first look on two readers stay in the middle of what
        they read, until the run has ended."""
        wal = Path(f"{self.store}-wal")
        if wal.exists():
            self.wal = max(self.wal, wal.stat().st_size)
            assert self.wal <= WAL_MOST, f"-wal has {self.wal:,} bytes"
        try:
            heads = list(durproj.workflows(store=self.store))
        except durproj.NotFound:
            return 0
        if heads and first:
            for records in (
                durproj.log(heads[0]["id"], store=self.store),
                durproj.export_records(store=self.store, journal=True),
            ):
                held.enter_context(closing(records))
                next(records)
        self.looks += 1
        return sum(head["steps"] for head in heads)

    def _expect_flat(self, *, is_last: bool) -> None:
        """By what the reducer has noted in this life, which may have been too short if it is not the last."""
        text = self._notes.read_text() if self._notes.exists() else ""
        notes = [tuple(map(int, note.split())) for note in text.splitlines()]
        begun = [resident for call, resident in notes if call > notes[-1][0] // 3]
        assert len(begun) >= NOTES_LEAST or not is_last, (
            "the memory of the last life was not judged"
        )
        if begun:
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
    def _command(self, *words: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(
            [sys.executable, "-m", "durproj", *words], cwd=self.folder, env=environment(**env),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()


PROOFS = [
    Proof("a soak: many events, many streams, readers, kills", ("P1", "P2", "P6"), prove_soak,
          quick=1, nightly=20, case_ms=4_200),
    Proof("control: a reducer that keeps some of each event", ("P6",), prove_leak,
          quick=1, nightly=3, case_ms=1_000, control="it grew by"),
]  # fmt: skip
