"""Commands that change a store or write a file, each with a folder made ready for it, and what that folder
holds afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dying import write, write_trail

import durproj
from durproj.stores.sqlite import SqliteStore
from proof.children import Ended, begin
from proof.kept import existing, expect_printed

REDUCER = "trail.py:trail"
RUN = ("run", "log.jsonl", "--reducer", REDUCER, "-v", "--json")
EVENTS = [(key, n) for n in range(12) for key in ("a", "b")]


@dataclass(frozen=True)
class Verb:
    """A command, told by its words. ready: makes a new folder ready for it. folds: it adds steps, so that
    a part of them may be there when it is killed; parts: it may have done a part of its work, and has kept all
    that it was to keep."""

    words: tuple[str, ...]
    ready: Callable[[Path], object]
    folds: bool = False
    parts: bool = False

    def __str__(self) -> str:
        return " ".join(self.words)


def written(folder: Path) -> None:
    """A folder with a log and a reducer."""
    write_trail(folder)
    write(folder / "log.jsonl", EVENTS)


def crashed(folder: Path, made: Callable[[Path], object] = written) -> None:
    """A run that has crashed, in a folder that was `made`."""
    made(folder)
    done(folder, *RUN, "--crash", "7", code=3)


def grown(folder: Path, made: Callable[[Path], object] = written) -> None:
    """A store of the second version of the schema, and a log that has grown since, in a folder that was `made`."""
    made(folder)
    write(folder / "log.jsonl", EVENTS[:12])
    done(folder, *RUN)
    sys.path.append(str(Path(__file__).parents[1] / "stores"))
    from making import make_version_2

    make_version_2(folder / "durproj.db")
    write(folder / "log.jsonl", EVENTS)


def large(folder: Path) -> None:
    """A log that takes SQLite more than one checkpoint of its WAL."""
    written(folder)
    write(folder / "log.jsonl", [(f"u{n % 3}", n) for n in range(1500)])


def versions(folder: Path) -> None:
    """Two names of the same streams, one of which has taken the place of another before."""
    written(folder)
    for name in ("projection", "v2", "v3"):
        done(folder, *RUN, "--name", name, "--durability", "batch")
    done(folder, "promote", "v2", "projection")


def long(folder: Path) -> None:
    """Streams of some blocks, of which there is something to drop."""
    written(folder)
    write(folder / "log.jsonl", [(("a", "b")[n % 2], n) for n in range(1600)])
    done(folder, *RUN, "--durability", "batch")


VERBS = [
    Verb(RUN, written, folds=True),
    Verb((*RUN, "--durability", "fsync"), written, folds=True),
    Verb((*RUN, "--durability", "batch"), written, folds=True),
    Verb(("resume", "-v", "--json"), crashed, folds=True),
    Verb((*RUN, "--name", "large"), large, folds=True),
    Verb(RUN, grown, folds=True),
    Verb(("promote", "v3", "projection"), versions),
    Verb(("promote", "projection@old", "projection"), versions),
    Verb(("rewind", "projection/a", "--to", "3"), versions),
    Verb(("fork", "projection/a", "--as", "x/a", "--drop-event", "9"), versions),
    Verb(("gc", "--vacuum"), versions, parts=True),
    Verb(("gc", "--keep-last", "300", "--vacuum"), long, parts=True),
    Verb(("backup", "copy.db"), versions),
    Verb(("export", "--to", "table.db"), versions),
    Verb(("export", "--to", "table.csv"), versions),
    Verb(("report", "projection/a"), versions),
]


def done(folder: Path, *words: object, code: int = 0) -> bytes:
    """What a command printed that had to end with `code`."""
    return begin(words, folder).end().expect(code).out


class Template:
    """A folder that is ready for `verb`, to be copied; before, after: what it holds, and has to hold."""

    def __init__(self, verb: Verb, folder: Path) -> None:
        self.verb, self._source = verb, folder / "ready"
        self._source.mkdir(parents=True)
        verb.ready(self._source)
        self.before = contents(self._source)
        with self.copy(folder / "after") as after:
            done(after, *verb.words)
            self.after, self.files = contents(after), files(after)
        assert self.before != self.after, verb

    @contextmanager
    def copy(self, folder: Path) -> Any:
        """A copy of it, removed afterwards."""
        shutil.copytree(self._source, folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def expect_survived(self, folder: Path, ended: Ended) -> None:
        """In `folder` it was killed, and so it `ended`: nothing is lost of what it said, nothing is half done,
        and once more does all of it."""
        found = contents(folder)
        self._expect_said(ended, folder, found)
        if self.verb.folds:
            expect_beginning(found, self.before, self.after)
        elif not self.verb.parts:
            assert found in (self.before, self.after), f"neither as before nor as after: {found}"
        # Before its first run is in it, a store may be there or not.
        begin(("verify",), folder).end().expect(0, *([] if found else [66]))
        if found != self.after:
            said = done(folder, *self.verb.words)
            if self.verb.folds:
                executed = json.loads(said.splitlines()[-1])["executed"]
                missing = _steps(self.after) - _steps(found)
                assert executed == missing, (
                    f"{executed} steps were executed, {missing} were missing"
                )
            left = [path.name for path in folder.glob(".durproj-*")]
            assert not left, f"the same command has left {left}"
        assert contents(folder) == self.after
        assert files(folder) == self.files, files(folder)

    def _expect_said(self, ended: Ended, folder: Path, found: dict[str, Any]) -> None:
        """What it said is done is in `folder`."""
        verb, is_over = self.verb, b"\n" in ended.out + ended.err
        if verb.folds:
            expect_printed(ended, folder / "durproj.db")
            is_over = any(b'{"type":"summary"' in line for line in ended.lines)
        elif verb.parts:
            now, whole = (_journals(each) for each in (found, self.after))
            for id in (line.decode().split()[1] for line in ended.lines):
                assert now.get(id) == whole.get(id), f"{id} is not as was said: {ended}"
            is_over = any(b" workflows " in line for line in ended.lines)
        assert found == self.after or not is_over, f"it said that it was done: {ended}"


def expect_beginning(found: Any, before: Any, after: Any) -> None:
    """Of every journal at least what was there before, and no other step than there are in the end."""
    was, now, whole = (_journals(each) for each in (before, found, after))
    assert was.keys() <= now.keys() <= whole.keys()
    for id, journal in now.items():
        records = journal["records"]
        assert records == whole[id]["records"][: len(records)]
        assert len(records) >= (was[id]["steps"] if id in was else 0)


def _steps(found: Any) -> int:
    """How many steps there are in the store, of what `contents` says."""
    return sum(journal["steps"] for journal in _journals(found).values())


def _journals(found: Any) -> Any:
    """The journals in the store, by workflow, of what `contents` says."""
    return found.get("durproj.db", ({}, {}))[1]


def contents(folder: Path) -> dict[str, Any]:
    """What the files of `folder` hold that somebody may look at, by name."""
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.name == "table.db":
            found[path.name] = _rows(path)
        elif path.suffix == ".db":
            found[path.name] = _stored(path)
        elif path.suffix in (".csv", ".html"):
            found[path.name] = path.read_bytes()
    return {name: held for name, held in found.items() if held}


def files(folder: Path) -> set[str]:
    """The names of all files there, but for what a killed process could not remove."""
    beside = ("-wal", "-shm", "-journal", ".lock")
    return {
        name
        for name in os.listdir(folder)
        if name != "__pycache__" and not name.startswith(".durproj-") and not name.endswith(beside)
    }


def _stored(path: Path) -> Any:
    """The runs and the journals of a store; None when it has neither."""
    try:
        with closing(SqliteStore.open_reader(path)) as opened:
            runs = {(run.name, run.identity): run.options for run in opened.runs()}
    except durproj.NotFound:
        return None
    held = existing(path)
    return (runs, held) if held or runs else None


def _rows(path: Path) -> Any:
    with closing(sqlite3.connect(path)) as conn:
        names = [
            name for (name,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        return {name: conn.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
