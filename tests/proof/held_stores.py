"""A store that is held by a run in the middle of a step: nobody else writes, under whatever name of the store,
and everybody reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from dying import inputs, journals, stream

from durproj import codec
from proof.children import Child, begin
from proof.mounts import bind, mounting
from proof.trial import Proof, Trial
from proof.verbs import EVENTS, written

STALLS = "stalls.py:stalls"
WRITERS = (
    ("run", "log.jsonl", "--reducer", STALLS),
    ("resume",),
    ("rewind", "projection/a", "--to", "1"),
    ("promote", "other", "projection"),
    ("fork", "other/a", "--as", "x"),
    ("gc", "--keep-last", "1"),
    ("parked", "drop", "projection/a"),
)
READERS = (
    ("inspect", "projection/a"),
    ("list",),
    ("log", "projection/a"),
    ("blame", "projection/a"),
    ("verify",),
    ("export", "--journal"),
    ("doctor",),
    ("report", "projection/a"),
    ("backup", "copy.db"),
)

STALLING = """
import os

def stalls(state, event):
    if event.body["v"] == 9:
        os.write(2, b"stalled\\n")
        os.read(0, 1)
    return {"n": state["n"] + 1}

stalls.initial = {"n": 0}
"""


def prove_held(trial: Trial) -> None:
    """While one is in the middle of a step nobody else writes, under whatever name of the store, everybody
    reads; it goes on as if nobody had been there, or is killed, and the next has the store at once."""
    mounting()
    names = ("durproj.db", "deep/link.db", "bound/durproj.db", "file.db")
    folder = trial.folder / "held"
    folder.mkdir()
    (folder / "stalls.py").write_text(STALLING)
    for name in ("deep", "bound"):
        (folder / name).mkdir()
    written(folder)
    (folder / "deep" / "link.db").symlink_to(Path("..", "durproj.db"))
    (folder / "file.db").touch()
    while trial.cases < trial.count:
        with _Stalled(folder) as stalled:
            for words in trial.rng.sample(WRITERS, min(trial.count, 4)):
                name = trial.rng.choice(names)
                with trial.case(f"{' '.join(words)} on {name}, which is held"):
                    stalled.expect_refused(words, name)
            for words in trial.rng.sample(READERS, min(trial.count, 4)):
                with trial.case(f"{' '.join(words)} beside who holds the store"):
                    stalled.expect_read(words)
            killed = trial.rng.random() < 0.5
            with trial.case(f"the holder goes on, killed: {killed}"):
                stalled.expect_end(killed=killed)


class _Stalled:
    """A run that is in the middle of its tenth event."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.store = folder, folder / "durproj.db"

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        words = ("run", "log.jsonl", "--reducer", STALLS, "-q")
        os.write(self._write, b"..")  # both streams have such an event
        self._run("--name", "other").end().expect(0)
        self.child = self._run(*words[4:])
        self.child.heard(b"stalled")
        self.before = journals(self.store)
        return self

    def _run(self, *words: str) -> Child:
        return begin(
            ("run", "log.jsonl", "--reducer", STALLS, *words), self._folder, stdin=self._read
        )

    def expect_refused(self, words: tuple[str, ...], name: str) -> None:
        """A writer is told who is at it, and changes nothing."""
        mounted = {"bound/durproj.db": ("", "bound"), "file.db": ("durproj.db", "file.db")}.get(
            name
        )
        before: Callable[[], object] = lambda: None  # noqa: E731
        if mounted:
            what, where = (self._folder / each for each in mounted)
            before = lambda: bind(what, where)  # noqa: E731
        ended = begin((*words, "--store", name), self._folder, before=before).end()
        if name == "file.db":
            ended.expect(2)
            assert b"mounted there as a single file" in ended.err
        else:
            ended.expect(75)
            assert b"in use by process %d on " % self.child.pid in ended.err, ended.err
        assert journals(self.store) == self.before

    def expect_read(self, words: tuple[str, ...]) -> None:
        """A reader gets what is committed."""
        ended = begin(words, self._folder).end()
        with suppress(FileNotFoundError):
            (self._folder / "report.html").unlink()
        copy = self._folder / "copy.db"
        try:
            ended.expect(0)
            if copy.exists():
                assert journals(copy) == self.before
        finally:
            copy.unlink(missing_ok=True)
        assert self.child.runs()

    def expect_end(self, *, killed: bool) -> None:
        """Killed or not: what is there in the end is the fold of the log."""
        if killed:
            self.child.kill()
            assert self.child.end().killed
            assert journals(self.store) == self.before
            os.write(self._write, b"..")
            self._run("-q").end().expect(0)
        else:
            os.write(self._write, b"..")
            self.child.end().expect(0)
        found = journals(self.store)
        for key in ("a", "b"):
            lines = stream(EVENTS, key)
            assert inputs(found[f"projection/{key}"]) == lines
            assert codec.decode(found[f"projection/{key}"]["state"]) == {"n": len(lines)}

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.end()
        os.close(self._read)
        os.close(self._write)
        for file in self._folder.glob("durproj.db*"):
            file.unlink()


PROOFS = [
    Proof("a second runner of a store that is held, under any of its names", ("P6",), prove_held,
          quick=9, nightly=900, case_ms=110),
]  # fmt: skip
