"""Power cuts: the real command is recorded, the disk is put together again as it may be found after a
cut at any of its system calls, and read with durproj's own reader.

`fsync`: whatever was acknowledged is there. `step` and `batch`: the store is sound and holds a beginning of
what was done, in the order in which it was done. Always: going on ends where no cut would have ended.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import dying

import durproj
from proof.cuts import STORE, Acknowledged, Cuts, checkpoints, fast_folder
from proof.tracing import Recorder
from proof.trial import Proof, Trial

ALTERED = Path(__file__).with_name("altered.py")

REDUCER = """
def trail(state, event):
    value = event.body["v"]
    trail = (state["trail"] * 31 + value) % 1_000_003
    return {"n": state["n"] + 1, "trail": trail, "v": value, "pad": chr(97 + value % 26) * PAD}

trail.initial = {"n": 0, "trail": 7}
"""

SMALL_WAL = "wal_autocheckpoint=12"
"""The WAL is brought over into the store after so many pages, that is while there is little of either."""


class Runs:
    """Judges stores that were written to by runs over `log`, of which `recorder` has the whole record.
    fsync: what was acknowledged has to be there."""

    def __init__(self, recorder: Recorder, log: Path, events: list[Any], *, fsync: bool) -> None:
        self.recorder, self.fsync = recorder, fsync
        self._log = log
        self.expected = dying.journals(recorder.folder / STORE)
        for id, journal in self.expected.items():
            lines = dying.stream(events, id.partition("/")[2])
            assert dying.inputs(journal) == lines
            state = json.loads(journal["state"])
            assert {name: state[name] for name in ("n", "trail", "v")} == dying.folded(lines)
        self._acknowledged = Acknowledged()
        everything = Acknowledged()
        everything.take(b"".join(getattr(call, "text", b"") for call in recorder.calls))
        self._order = everything.order

    def found(self, folder: Path) -> dict[str, int]:
        found = {}
        for id, records in checkpoints(folder / STORE).items():
            assert records == self.expected[id]["records"][: len(records)]
            found[id] = len(records)
        begun = Counter(self._order[: sum(found.values())])
        assert Counter(found) == begun, f"a gap: {found}"
        return found

    def check(self, found: dict[str, int], said: bytes) -> None:
        if not self.fsync:
            return
        self._acknowledged.take(said)
        for id, count in self._acknowledged.steps.items():
            assert found.get(id, 0) >= count, f"{id}: {count} acknowledged, {found.get(id)} there"

    def go_on(self, folder: Path) -> None:
        store = folder / STORE
        with suppress(durproj.NotFound):  # there may be nothing yet to resume
            durproj.resume(store=store)
        durproj.fold(str(self._log), reducer=f"{self._log.parent}/trail.py:trail", store=store)
        assert dying.journals(store) == self.expected


def record_runs(folder: Path, durability: str, life: Life) -> Runs:
    """Let a run crash, another go on after it, and a third take what was appended meanwhile."""
    log, store_folder, events = folder / "log.jsonl", folder / "disk", life.log()
    store_folder.mkdir()
    (folder / "trail.py").write_text(f"PAD = {life.pad}\n{REDUCER}")
    python = (str(ALTERED), life.altered) if life.altered else ()
    recorder = Recorder(store_folder)
    told = ("--json", "--stable", *(() if "next" in life.altered else ("-v",)))
    run = (
        "run", "../log.jsonl", "--reducer", "../trail.py:trail", *told, "--durability", durability,
    )  # fmt: skip
    dying.write(log, events[: len(events) * 2 // 3])
    recorder.run(*run, "--crash", str(len(events) // 6), expected=3, python=python)
    recorder.run("resume", *told, python=python)
    dying.write(log, events)
    recorder.run(*run, python=python)
    return Runs(recorder, log, events, fsync=durability == "fsync")


@dataclass(frozen=True)
class Life:
    """What is recorded: so many events of so many streams, each state padded to about `pad` bytes, with
    `altered` pragmas. `next` among them: steps are not shown, as without -v."""

    events: int
    streams: int = 1
    pad: int = 20
    altered: str = ""

    def log(self) -> list[tuple[str, int]]:
        """The events: a key and a value each."""
        return [(f"u{value * value % 7 % self.streams}", value) for value in range(self.events)]


LIVES = (
    Life(40, streams=4, pad=900, altered=SMALL_WAL),
    # One block of steps is full, and packed.
    Life(270, altered="next"),
    # The WAL is brought over by itself.
    Life(70, streams=2, pad=60_000),
    Life(30),
    Life(300, streams=5, pad=200, altered=f"{SMALL_WAL},next"),
)

FIRST = 3
"""So many of them have something of everything."""


def prove_runs(durability: str) -> Callable[[Trial], None]:
    """Cuts of the power during runs with this durability: one life after another is recorded, the
    first ones at least."""

    def prove(trial: Trial) -> None:
        # Where an image is drawn, two more are made: none of what waits, and all of it.
        share, cuts = min(trial.count // (3 * FIRST), 1_000), Cuts(trial)
        for life in cycle(LIVES):
            with fast_folder(trial) as folder:
                judge = record_runs(folder, durability, life)
                cuts.cut(judge.recorder, judge, share)
            if trial.cases >= trial.count:
                break
        cuts.tell()

    return prove


def prove_broken(altered: str, *, fsync: bool) -> Callable[[Trial], None]:
    """The same with something broken. fsync: not only what is unsound counts, but what is not there."""

    def prove(trial: Trial) -> None:
        cuts = Cuts(trial)
        with fast_folder(trial) as folder:
            judge = record_runs(folder, "fsync", Life(40, streams=2, pad=900, altered=altered))
            judge.fsync = fsync
            cuts.cut(judge.recorder, judge, trial.count)

    return prove


PROOFS = [
    Proof("power cut, fsync", ("P2", "P3"), prove_runs("fsync"), 270, 50_000, case_ms=4.4),
    Proof("power cut, step", ("P2", "P3"), prove_runs("step"), 90, 40_000, case_ms=4.4),
    Proof("power cut, batch", ("P2", "P3"), prove_runs("batch"), 90, 30_000, case_ms=3.5),
    Proof(
        "power cut, never synced", ("P3",),
        prove_broken(f"synchronous=OFF,{SMALL_WAL}", fsync=False), 100, 1_000, case_ms=3,
        control="malformed"),
    Proof(
        "power cut, rollback journal whose removal is not synced", ("P3",),
        prove_broken("journal_mode=DELETE,synchronous=FULL", fsync=True), 60, 1_000, case_ms=3,
        control="acknowledged"),
    Proof(
        "power cut, acknowledged before the commit", ("P3",),
        prove_broken("early", fsync=True), 60, 1_000, case_ms=3,
        control="acknowledged"),
]  # fmt: skip
