"""Two and more at one store: whoever comes second waits or is told, readers see whole steps and hold nobody
up, and whatever they did together is what one of them alone would have done."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

from dying import folded, inputs, journals, stream, write

import durproj
from durproj import codec
from durproj.stores.sqlite import SqliteStore
from proof.children import Child, Ended, command
from proof.kept import existing
from proof.mounts import bind
from proof.trial import Proof, Trial
from proof.verbs import EVENTS, RUN, Template, Verb, crashed, done, grown, versions, written

AT_ONCE = 8
"""So many start at the same instant."""
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


class Crowd:
    """Commands in `folder` that wait for a start they have in common."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start, self._go = os.pipe()
        self._children: list[Child] = []

    def add(self, *words: object) -> Child:
        child = command(words, self._folder, self._start, before=lambda: os.read(0, 1))
        self._children.append(child)
        return child

    def start(self) -> None:
        os.write(self._go, b"." * len(self._children))

    def end(self) -> list[Ended]:
        """How they ended, in their order."""
        try:
            return [child.end() for child in self._children]
        finally:
            os.close(self._start)
            os.close(self._go)


def prove_starts(trial: Trial) -> None:
    """Many that start at once on a new store, an old one and one that a killed holder has left; some wait,
    some do not, some are killed in the middle."""
    verbs = [Verb(RUN, ready) for ready in (written, grown, crashed)]
    templates = [Template(verb, trial.folder / str(n)) for n, verb in enumerate(verbs)]
    ended_with: Counter[int] = Counter()
    while trial.cases < trial.count:
        template = trial.rng.choice(templates)
        patient, killed = trial.rng.random() < 0.7, trial.rng.random() < 0.4
        what = f"{template.verb.ready.__name__}, waiting: {patient}, some killed: {killed}"
        with template.copy(trial.folder / "case") as folder, trial.case(what):
            if trial.rng.random() < 0.5:  # what a dead holder leaves
                (folder / "durproj.db.lock").write_text('{"pid":1,"host":"x","since":"y"}')
            crowd = Crowd(folder)
            waits = ("--wait", "90") if patient else ()
            children = [crowd.add(*RUN, *waits) for _ in range(AT_ONCE)]
            crowd.start()
            if killed:
                for child in trial.rng.sample(children, 3):
                    child.runs(trial.rng.expovariate(1 / 0.05))
                    child.kill()
            every = crowd.end()
            ended_with.update(ended.code for ended in every)
            _expect_turns(every, patient=patient, killed=killed)
            done(folder, *RUN)
            _same(folder, template)
            trial.passed(AT_ONCE - 1)
    trial.note(f"exit codes: {dict(sorted(ended_with.items()))}")


def _expect_turns(every: list[Ended], *, patient: bool, killed: bool) -> None:
    """Each ran alone or was told who runs; together they executed every step once."""
    executed: list[tuple[str, int]] = []
    for ended in every:
        ended.expect(0, *([] if patient else [75]), *([-9] if killed else []))
        assert ended.code != 75 or b"the store is in use by " in ended.err, ended.err
        lines = [json.loads(line) for line in ended.lines]
        executed += [
            (line["id"], line["step"])
            for line in lines
            if line["type"] == "step" and line["source"] == "executed"
        ]
    assert len(executed) == len(set(executed)), "a step was executed by two"
    assert killed or any(ended.code == 0 for ended in every), "all were refused"


def _same(folder: Path, template: Template) -> None:
    found = journals(folder / "durproj.db")
    assert found == template.after["durproj.db"][1]
    for id, journal in found.items():
        assert codec.decode(journal["state"]) == folded(stream(EVENTS, id.partition("/")[2]))
    left = sorted(name for name in os.listdir(folder) if name.startswith("durproj.db"))
    assert left == ["durproj.db"]


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
        return command(
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
        ended = command((*words, "--store", name), self._folder, before=before).end()
        if name == "file.db":
            ended.expect(2)
            assert b"mounted there as a single file" in ended.err
        else:
            ended.expect(75)
            assert b"in use by process %d on " % self.child.pid in ended.err, ended.err
        assert journals(self.store) == self.before

    def expect_read(self, words: tuple[str, ...]) -> None:
        """A reader gets what is committed."""
        ended = command(words, self._folder).end()
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


def prove_together(trial: Trial) -> None:
    """A run, and gc, rewind, promote, fork, backup and a resume that start at the same instant: each is
    done whole, or is refused, in some order."""
    template = Template(Verb((*RUN, "--name", "new"), versions), trial.folder / "t")
    others = (
        ("rewind", "v3/a", "--to", "3"), ("promote", "v3", "projection"), ("resume",),
        ("fork", "v3/a", "--as", "x"), ("gc", "--vacuum"), ("backup", "copy.db"), ("verify",),
        ("gc", "--name", "v3", "--drop"),
    )  # fmt: skip
    while trial.cases < trial.count:
        chosen = trial.rng.sample(others, 3)
        with template.copy(trial.folder / "case") as folder, trial.case(f"run beside {chosen}"):
            crowd = Crowd(folder)
            crowd.add(*RUN, "--name", "new", "--wait", "90")
            for words in chosen:
                crowd.add(*words)
            crowd.start()
            run, *rest = crowd.end()
            run.expect(0)
            for words, ended in zip(chosen, rest, strict=True):
                # v3 may be gone when its turn comes, or rewound.
                ended.expect(0, 66, *([] if words[0] in ("backup", "verify") else [75, 2]))
                assert ended.code != 2 or b"v3 is not finished" in ended.err, ended.err
            done(folder, "verify")
            found = journals(folder / "durproj.db")
            for id, journal in template.after["durproj.db"][1].items():
                if id.startswith("new/"):
                    assert found[id] == journal
            if (folder / "copy.db").exists():
                done(folder, "verify", "--store", "copy.db")


def prove_readers(trial: Trial) -> None:
    """Readers beside a run look as often as they can: never a gap, never half a step, never less than
    before; and the run never waits for them."""
    events = [(f"u{n * n % 3}", n) for n in range(300)]
    number = 0
    while trial.cases < trial.count:
        number += 1
        durability = trial.rng.choice(("step", "batch"))
        folder = trial.folder / str(number)
        folder.mkdir()
        written(folder)
        write(folder / "log.jsonl", events)
        child = command([*RUN, "--durability", durability], folder)
        last: dict[str, int] = {}
        while child.runs():
            with trial.case(f"a look at a run with durability {durability}"):
                last = _look(folder / "durproj.db", events, last, trial)
        with trial.case(f"a run with durability {durability} that was looked at"):
            child.end().expect(0)
            last = _look(folder / "durproj.db", events, last, trial)
            assert sum(last.values()) == len(events)


def _look(store: Path, events: list[Any], last: dict[str, int], trial: Trial) -> dict[str, int]:
    """What a reader finds, by one of the ways to read: how many steps of each stream."""
    way = trial.rng.randrange(3)
    try:
        if way == 0:
            found = existing(store)
            lines = {id: inputs(journal) for id, journal in found.items()}
        elif way == 1:
            with closing(SqliteStore.open_reader(store)) as opened:
                ids = [head.id for head in opened.heads()]
            lines = {}
            for id in ids:
                record = durproj.inspect(id, store=store)
                assert not record["steps"] or record["state"]["n"] == record["steps"]
                lines[id] = stream(events, id.partition("/")[2])[: record["steps"]]
        else:
            records = list(durproj.export_records(store=store, journal=True))
            lines = {}
            for record in records:
                expected = stream(events, record["key"])
                lines.setdefault(record["id"], []).append(expected[record["step"]])
                assert record["state"]["n"] == len(lines[record["id"]]) == record["step"] + 1
    except durproj.NotFound:
        assert not last
        return last
    for id, each in lines.items():
        assert each == stream(events, id.partition("/")[2])[: len(each)]
    steps = {id: len(each) for id, each in lines.items()}
    assert all(steps.get(id, 0) >= count for id, count in last.items()), (last, steps)
    return steps


PROOFS = [
    Proof("runners that start at the same instant", ("P1", "P6"), prove_starts,
          quick=24, nightly=2400),
    Proof("a second runner of a store that is held, under any of its names", ("P6",), prove_held,
          quick=9, nightly=900),
    Proof("run beside gc, rewind, promote, fork, backup, resume", ("P2", "P6"), prove_together,
          quick=4, nightly=250),
    Proof("readers beside a run", ("P2", "P6"), prove_readers, quick=40, nightly=6000),
]  # fmt: skip
