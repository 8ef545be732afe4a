"""Power cuts while files are made from a store: under its name is what was there before or the whole new one,
and a database holds a table as it was or as it is to be."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dying

import durproj
from proof.cuts import Cuts, fast_folder
from proof.tracing import Recorder
from proof.trial import Proof, Trial

ALTERED = Path(__file__).with_name("altered.py")

EVENTS = [(f"u{value % 3}", value) for value in range(200)]

ID = "projection/u1"

STEPS = (None, 50)
"""The store from which files are made, and then made again, has so many steps of ID; None: all of them."""

LIVES = (
    (("export", "out.csv"), ("export", "out.db", "--journal"), ("report", "page.html")),
    (("export", "out.jsonl", "--journal"), ("export", "out.parquet"), ("export", "out.csv")),
    (("export", "out.db", "--journal", "--table", "one"), ("export", "out.db", "--table", "two")),
)


class Made:
    """Judges folders in which `commands` made files, each of them again for every version of the store."""

    def __init__(self, folder: Path) -> None:
        self._stores = [folder / f"{number}.db" for number in range(len(STEPS))]
        log, disk = folder / "log.jsonl", folder / "disk"
        disk.mkdir()
        dying.write(log, EVENTS)
        durproj.fold(str(log), reducer="counts", store=self._stores[0])
        for store, steps in zip(self._stores, STEPS, strict=True):
            if steps:
                shutil.copy(self._stores[0], store)
                durproj.rewind(ID, steps, store=store)
        self.recorder = Recorder(disk)

    def record(self, commands: tuple[tuple[str, ...], ...], python: tuple[str, ...] = ()) -> None:
        self._commands, names = commands, {command[1] for command in commands}
        self._versions: dict[str, list[Any]] = {name: [None] for name in names}
        for store in self._stores:
            for command in commands:
                self.recorder.run(*_words(command, store), python=python)
                self._versions[command[1]].append(_content(self.recorder.folder / command[1]))
        for name, versions in self._versions.items():
            assert len(versions) == 1 + len({repr(version) for version in versions[1:]}), name

    def found(self, folder: Path) -> dict[str, Any]:
        found = {name: _content(folder / name) for name in self._versions}
        for name, content in found.items():
            assert content in self._versions[name], f"{name} is not whole: {content!r:.200}"
        others = {path.name for path in folder.iterdir()} - found.keys()
        assert all(name.startswith((".durproj-", "out.db-")) for name in others), others
        return found

    def check(self, found: dict[str, Any], said: bytes) -> None:
        """What is made can be made again: that it is there is not acknowledged."""

    def go_on(self, folder: Path) -> None:
        for command in self._commands:
            made, path = command[0], folder / command[1]
            if made == "report":
                durproj.report(ID, path, store=self._stores[-1])
                continue
            table = command[-1] if "--table" in command else None
            journal = "--journal" in command
            durproj.export(path, store=self._stores[-1], journal=journal, table=table, force=True)
        for name, versions in self._versions.items():
            assert _content(folder / name) == versions[-1], name


def _words(command: tuple[str, ...], store: Path) -> tuple[str, ...]:
    made, name, *options = command
    given = (ID, "-o", name) if made == "report" else ("--to", name, "--force", *options)
    return (made, *given, "--store", f"../{store.name}")


def _content(path: Path) -> Any:
    """What is in the file: of a database the rows of its tables; None when it is not there."""
    if not path.exists():
        return None
    if path.suffix != ".db":
        return path.read_bytes()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {name: conn.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in tables}


def prove_made(trial: Trial) -> None:
    """Cuts of the power while files are exported and reports written."""
    share, cuts = max(60, trial.count // (3 * len(LIVES))), Cuts(trial)
    for commands in itertools.cycle(LIVES):
        with fast_folder(trial) as folder:
            judge = Made(folder)
            judge.record(commands)
            cuts.cut(judge.recorder, judge, share)
        if trial.cases >= trial.count:
            break
    cuts.tell()


def prove_unsynced(trial: Trial) -> None:
    """The same where nothing is synced before it takes its name."""
    cuts = Cuts(trial)
    with fast_folder(trial) as folder:
        judge = Made(folder)
        judge.record(LIVES[0], python=(str(ALTERED), "unsynced"))
        cuts.cut(judge.recorder, judge, trial.count)


PROOFS = [
    Proof("power cut during export and report", ("P2",), prove_made, 70, 6_000, case_ms=8.3),
    Proof(
        "power cut, files renamed before they are synced", ("P2",), prove_unsynced, 30, 600, case_ms=4.3,
        control="is not whole",
    ),
]  # fmt: skip
