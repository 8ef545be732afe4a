"""Two and more at one store: whoever comes second waits or is told, readers see whole steps and hold nobody
up, and whatever they did together is what one of them alone would have done."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from dying import folded, inputs, journals, stream, write

import durproj
from durproj import codec
from durproj.runtime import ownership
from durproj.runtime.commits import Commits
from durproj.stores.lock import Lock
from durproj.stores.sqlite import SqliteStore
from proof.children import PATIENCE_S, Child, Ended, begin
from proof.kept import existing
from proof.trial import Proof, Trial
from proof.verbs import EVENTS, RUN, Template, Verb, crashed, done, grown, versions, written

AT_ONCE = 8
"""So many start at the same instant."""

ENOUGH = 20
"""Of so many cases there is one at least in which somebody is refused."""

COUNTING = """
import os
import time

folds = trail

def trail(state, event):
    while os.path.exists("holding"):
        time.sleep(0.01)
    calls = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(calls, f"{os.getpid()} {event.key} {event.body['v']}\\n".encode())
    os.close(calls)
    return folds(state, event)

trail.initial = folds.initial
"""
"""The reducer, which notes by whom and for which event it is called, in the order of the calls. It does not go on
as long as there is a file `holding`."""


class Crowd:
    """Commands in `folder` that wait for a start they have in common."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start, self._go = os.pipe()
        self._children: list[Child] = []

    def add(self, *words: object, before: Callable[[], object] = lambda: None) -> Child:
        """One more. before: done in its process when the others start, too."""
        child = begin(words, self._folder, self._start, before=lambda: (os.read(0, 1), before()))
        self._children.append(child)
        return child

    def start(self) -> None:
        os.write(self._go, b"." * len(self._children))

    def until_one_is_left(self) -> None:
        """Wait until all the others have ended, if they do."""
        late = time.monotonic() + PATIENCE_S
        while sum(child.runs(0.01) for child in self._children) > 1 and time.monotonic() < late:
            pass

    def end(self) -> list[Ended]:
        """How they ended, in their order."""
        try:
            return [child.end() for child in self._children]
        finally:
            os.close(self._start)
            os.close(self._go)


def counted(folder: Path) -> None:
    """A folder with a log and a reducer that counts."""
    written(folder)
    with (folder / "trail.py").open("a") as source:
        source.write(COUNTING)


READY: dict[str, Callable[[Path], object]] = {
    "new": counted,
    "grown": partial(grown, made=counted),
    "crashed": partial(crashed, made=counted),
}


def prove_starts(trial: Trial) -> None:
    """Many that start at once on a new store, an old one and one that a killed holder has left."""
    ended_with = _starts(trial)
    assert ended_with[75] or trial.count < ENOUGH, "nobody was refused"


def _starts(
    trial: Trial,
    ready: Sequence[str] = tuple(READY),
    before: Callable[[], object] = lambda: None,
    patience: float = 0.7,
) -> Counter[int]:
    """Cases of one crowd each: some wait, some do not, some are killed in the middle. How they ended, by exit
    code. ready: which of READY; before: done in the process of each; patience: how many of the crowds wait."""
    templates = {name: Template(Verb(RUN, READY[name]), trial.folder / name) for name in ready}
    ended_with: Counter[int] = Counter()
    while trial.cases < trial.count:
        name = trial.rng.choice(ready)
        patient, killed = trial.rng.random() < patience, trial.rng.random() < 0.4
        with trial.case(f"{name}, waiting: {patient}, some killed: {killed}"):
            every = start_at_once(trial, templates[name], before, patient=patient, killed=killed)
            ended_with.update(ended.code for ended in every)
    trial.note(f"exit codes: {dict(sorted(ended_with.items()))}")
    return ended_with


def start_at_once(
    trial: Trial,
    template: Template,
    before: Callable[[], object] = lambda: None,
    *,
    patient: bool,
    killed: bool,
) -> list[Ended]:
    """How each of a crowd ended. Who waits for nobody meets one who holds the store until all others have ended.
    Raises AssertionError when they did not take turns."""
    with template.copy(trial.folder / "case") as folder:
        if trial.rng.random() < 0.5:  # what a dead holder leaves
            (folder / "durproj.db.lock").write_text('{"pid":1,"host":"x","since":"y"}')
        (folder / "calls").unlink(missing_ok=True)  # of those who made it ready
        holding = folder / "holding"
        if not patient:
            holding.touch()
        crowd = Crowd(folder)
        waits = ("--wait", "90") if patient else ()
        children = [crowd.add(*RUN, *waits, before=before) for _ in range(AT_ONCE)]
        crowd.start()
        if killed:
            for child in trial.rng.sample(children, 3):
                child.runs(trial.rng.expovariate(1 / 0.05))
                child.kill()
        if not patient:
            crowd.until_one_is_left()
            holding.unlink()
        every = crowd.end()
        gone = {child.pid for child, end in zip(children, every, strict=True) if end.killed}
        _expect_executed_once(folder, gone)
        _expect_turns(every, patient=patient, killed=killed)
        done(folder, *RUN)
        _same(folder, template)
    return every


def prove_unlocked(trial: Trial) -> None:
    """The same with a lock that is granted to everybody, so that two execute the same step: the harness has to
    see it. The store is there: of many who make a new one all but one may fail before they execute a step."""

    def break_it() -> None:
        Lock.acquire = lambda *_: None
        ownership.Commits = Meeting

    _starts(trial, ("crashed",), break_it, patience=1)


class Meeting(Commits):
    """Who has executed a first step keeps it back until another one has executed it, too. There always is one:
    however slow it is, it comes before this gives up."""

    met = False

    def add(self, *steps: Any) -> None:
        if not self.met:
            self.met = True
            Path(f"{os.getpid()}.here").touch()
            late = time.monotonic() + PATIENCE_S / 2
            while len(list(Path().glob("*.here"))) < 2 and time.monotonic() < late:
                time.sleep(0.01)
        super().add(*steps)


def _expect_executed_once(folder: Path, killed: set[int]) -> None:
    """Nobody executed what another had executed before who was not killed."""
    by: dict[bytes, list[int]] = {}
    calls = folder / "calls"
    for line in calls.read_bytes().splitlines() if calls.exists() else ():
        pid, _, event = line.partition(b" ")
        by.setdefault(event, []).append(int(pid))
    twice = {event: pids for event, pids in by.items() if not killed.issuperset(pids[:-1])}
    assert not twice, f"a step was executed by two: {twice}"


def _expect_turns(every: list[Ended], *, patient: bool, killed: bool) -> None:
    """Each ran alone or was told who runs."""
    for ended in every:
        ended.expect(0, *([] if patient else [75]), *([-9] if killed else []))
        assert ended.code != 75 or b"the store is in use by " in ended.err, ended.err
    assert killed or any(ended.code == 0 for ended in every), "all were refused"


def _same(folder: Path, template: Template) -> None:
    found = journals(folder / "durproj.db")
    assert found == template.after["durproj.db"][1]
    for id, journal in found.items():
        assert codec.decode(journal["state"]) == folded(stream(EVENTS, id.partition("/")[2]))
    left = sorted(name for name in os.listdir(folder) if name.startswith("durproj.db"))
    assert left == ["durproj.db"]


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
        child = begin([*RUN, "--durability", durability], folder)
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
          quick=3, nightly=300, case_ms=400),
    Proof("control: a lock that is always granted", ("P1", "P6"), prove_unlocked,
          quick=6, nightly=24, case_ms=350, control="a step was executed by two"),
    Proof("run beside gc, rewind, promote, fork, backup, resume", ("P2", "P6"), prove_together,
          quick=4, nightly=250, case_ms=130),
    Proof("readers beside a run", ("P2", "P6"), prove_readers, quick=40, nightly=6000, case_ms=1.5),
]  # fmt: skip
