"""Power cuts while a store is copied, made smaller, rewound or brought up to date: each workflow is as it was
before or as it is to be, and a copy that has its name is whole."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import dying
from stores.making import make_version_2

import durproj
from durproj.stores.packing import Record
from proof.cuts import STORE, Cuts, checkpoints, fast_folder
from proof.tracing import Recorder
from proof.trial import Proof, Trial

COPY = "copy.db"

EVENTS = [(f"u{value % 3}", value) for value in range(300)]

LIVES = (
    (
        ("backup", COPY),
        ("rewind", "projection/u1#40"),
        ("gc", "--keep-last", "5", "--vacuum", "--store", COPY),
        ("backup", COPY, "--force"),
    ),
    (("gc", "--keep-last", "5", "--vacuum"), ("gc", "projection/u2", "--drop", "--vacuum")),
    (("rewind", "projection/u0#3"), ("resume",), ("gc", "--vacuum")),
)


class Upkeep:
    """Judges stores that `commands` were done to, one after another; each workflow has to be as it was between
    two of them."""

    def __init__(self, folder: Path, *, old: bool) -> None:
        self._log = folder / "log.jsonl"
        disk = folder / "disk"
        disk.mkdir()
        dying.write(self._log, EVENTS)
        durproj.fold(str(self._log), reducer="counts", store=disk / STORE)
        self._states = {id: each["state"] for id, each in dying.journals(disk / STORE).items()}
        if old:
            make_version_2(disk / STORE)
        self.recorder = Recorder(disk)
        self._between = [checkpoints(disk / STORE)]
        self._copies: list[Any] = []
        self._backups: list[int] = []

    def record(self, commands: tuple[tuple[str, ...], ...]) -> None:
        self._resumed = ("resume",) in commands
        for command in commands:
            self.recorder.run(*command, "--json")
            self._between.append(checkpoints(self.recorder.folder / STORE))
            if command[0] == "backup":
                self._backups.append(len(self._copies))
            if COPY in command:
                self._copies.append(checkpoints(self.recorder.folder / COPY))

    def found(self, folder: Path) -> Any:
        found = checkpoints(folder / STORE)
        for id in {id for each in self._between for id in each}:
            assert any(found.get(id) == each.get(id) for each in self._between) or self._on_its_way(
                found[id], id
            ), id
        copy = checkpoints(folder / COPY)
        if (folder / COPY).exists():
            assert _is_between(copy, self._copies)
        return found, copy

    def _on_its_way(self, records: list[Record], id: str) -> bool:
        """Whether a resumed run has come so far with this workflow."""
        last = self._between[-1][id]
        least = min(len(each[id]) for each in self._between)
        return self._resumed and len(records) >= least and records == last[: len(records)]

    def check(self, found: Any, said: bytes) -> None:
        made = [json.loads(line)["type"] for line in said.splitlines()].count("backup")
        assert not made or _is_between(found[1], self._copies[self._backups[made - 1] :])

    def go_on(self, folder: Path) -> None:
        with suppress(durproj.NotFound):
            durproj.resume(store=folder / STORE)
        durproj.fold(str(self._log), reducer="counts", store=folder / STORE)
        now = {id: each["state"] for id, each in dying.journals(folder / STORE).items()}
        assert now == self._states


def _is_between(found: Any, states: list[Any]) -> bool:
    """Whether each workflow is as it is in one of `states`."""
    return all(any(found.get(id) == each[id] for each in states) for id in states[0])


def prove_upkeep(trial: Trial) -> None:
    """Cuts of the power while commands of upkeep are at work."""
    share, cuts = max(60, trial.count // (3 * len(LIVES))), Cuts(trial)
    for commands in itertools.cycle(LIVES):
        with fast_folder(trial) as folder:
            judge = Upkeep(folder, old=False)
            judge.record(commands)
            cuts.cut(judge.recorder, judge, share)
        if trial.cases >= trial.count:
            break
    cuts.tell()


def prove_migration(trial: Trial) -> None:
    """Cuts of the power while a store of an earlier version is brought up to date."""
    cuts = Cuts(trial)
    with fast_folder(trial) as folder:
        judge = Upkeep(folder, old=True)
        judge.record((("run", "../log.jsonl"),))
        cuts.cut(judge.recorder, judge, trial.count)
    cuts.tell()


PROOFS = [
    Proof(
        "power cut during backup, gc, vacuum, rewind",
        ("P2", "P3"),
        prove_upkeep,
        150,
        12_000,
        case_ms=5,
    ),
    Proof("power cut during a migration", ("P2", "P3"), prove_migration, 40, 2_000, case_ms=1.3),
]
