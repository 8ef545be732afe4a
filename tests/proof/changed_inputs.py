"""The input changed between a crash and what comes after it: the fold of the new log, or a refusal that
names the first step that differs. Never a mixture. What should happen is told here by plain lists."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dying import tables

import durproj
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore
from proof.children import run
from proof.trial import Proof, Trial

Events = list[dict[str, Any]]

STEPS = 9
"""Events of each of the two streams, which come in turns."""

EVENTS: Events = [
    {"key": f"u{1 + n % 2}", "type": "T", "id": f"e{n}", "data": {"n": n, f"f{n % 3}": n}}
    for n in range(2 * STEPS)
]


# -- changes of the events: `at` is drawn, and so decides whether what is recorded changes


def _edited(events: Events, at: int) -> Events:
    return [*events[:at], events[at] | {"data": {"n": 7777}}, *events[at + 1 :]]


def _swapped(events: Events, at: int) -> Events:
    # With the next one of the same stream.
    other = at + 2 if at + 2 < len(events) else at - 2
    one, two = sorted((at, other))
    middle = [events[two], *events[one + 1 : two], events[one]]
    return [*events[:one], *middle, *events[two + 1 :]]


def _moved_key(events: Events, at: int) -> Events:
    other = {"u1": "u2", "u2": "u1"}[events[at]["key"]]
    return [*events[:at], events[at] | {"key": other}, *events[at + 1 :]]


CHANGES: Mapping[str, Callable[[Events, int], Events]] = {
    "none": lambda events, _: events,
    "append": lambda events, at: [*events, *({**e, "id": f"new{at}"} for e in events[:3])],
    "edit": _edited,
    "insert": lambda events, at: [*events[:at], {**events[at], "id": "new"}, *events[at:]],
    "delete": lambda events, at: [*events[:at], *events[at + 1 :]],
    "swap": _swapped,
    "duplicate": lambda events, at: [*events[: at + 1], *events[at:]],
    "give to another stream": _moved_key,
    "truncate": lambda events, at: events[:at],
    "empty": lambda _events, _at: [],
    "reverse": lambda events, _: events[::-1],
}

# -- forms of a file: the same events in other bytes are the same past


def _lines(events: Events) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


FORMS: Mapping[str, Callable[[Events], bytes]] = {
    "as it was": _lines,
    "gzip": lambda events: gzip.compress(_lines(events), mtime=0),
    "CRLF": lambda events: _lines(events).replace(b"\n", b"\r\n"),
    "BOM": lambda events: b"\xef\xbb\xbf" + _lines(events),
    "no final newline": lambda events: _lines(events).rstrip(b"\n"),
    "blank lines": lambda events: _lines(events).replace(b"\n", b"\n\n"),
}


@dataclass(frozen=True)
class Case:
    """One change. cut: the step at which the run crashes (None: it is over); form: of the file afterwards;
    array: it is one JSON array, before and after; keys: the streams asked for; kept: the file keeps its
    time and, where it can, its size; renamed: it is given under another name; resumed: by `resume`."""

    change: str
    at: int
    cut: int | None
    form: str
    array: bool
    durability: str
    keys: tuple[str, ...] | None
    kept: bool
    renamed: bool
    resumed: bool

    @classmethod
    def draw(cls, rng: random.Random, change: str, *, recorded: bool) -> Case:
        """One of all there are, or of those that change what is `recorded`."""
        array = rng.random() < 0.15
        renamed = rng.random() < 0.2
        cut = rng.choice([None, 1, 3, STEPS - 1])
        keys = rng.choice([None, ("u1",), ("u2",)])
        at = rng.randrange(len(EVENTS))
        if recorded:
            # The streams come in turns, and the run crashes in the first that was asked for.
            at = 2 * rng.randrange(cut or STEPS) + (keys == ("u2",))
        return cls(
            change,
            at,
            cut,
            "as it was" if array else rng.choice(["as it was", *FORMS]),
            array,
            rng.choice(["step", "fsync", "batch"]),
            keys,
            rng.random() < 0.2,
            renamed,
            not renamed and rng.random() < 0.4,
        )

    def content(self, events: Events) -> bytes:
        """The file that holds `events`."""
        return json.dumps(events).encode() if self.array else FORMS[self.form](events)


def changed(trial: Trial) -> None:
    for n in range(trial.count):
        # Where there are few, none is of what was not read yet.
        few = trial.count < 1_000
        case = Case.draw(trial.rng, list(CHANGES)[n % len(CHANGES)], recorded=few)
        with trial.case(str(case)), trial.scratch() as folder:
            _prove(case, folder)


def _prove(case: Case, folder: Path) -> None:
    log, store = folder / "log", folder / "s.db"
    log.write_bytes(json.dumps(EVENTS).encode() if case.array else _lines(EVENTS))
    mapping = durproj.Mapping(format="array") if case.array else None
    options = {"keys": case.keys, "store": store, "reducer": "merge", "mapping": mapping}

    def begin() -> None:
        durproj.fold(log, durability=case.durability, crash=case.cut, **options)

    ended = run(begin, folder)
    assert ended.code == (0 if case.cut is None else 3), ended.err
    was, known = tables(store), recorded(store)
    before = os.stat(log)
    events = CHANGES[case.change](EVENTS, case.at)
    given = folder / "renamed" if case.renamed else log
    if case.renamed:
        log.unlink()
    given.write_bytes(case.content(events))
    if case.kept:
        os.utime(given, ns=(before.st_atime_ns, before.st_mtime_ns))
    difference = first_differences(known, events)
    try:
        if case.resumed:
            durproj.resume(store=store)
        else:
            durproj.fold(given, **options)
    except durproj.BadEvent:
        assert case.form == "BOM"  # no line of it is an event: nothing is compared, nothing done
        assert recorded(store) == known
    except durproj.PastChanged as error:
        _expect_first(error, difference)
        _expect_untouched(recorded(store), known, difference, streams(events))
        if recorded(store) == known:
            assert tables(store) == was, "what is refused changed the store"
    else:
        # Nothing is left to do for a run that is over: `resume` does not look at its log.
        if case.resumed and case.cut is None:
            assert tables(store) == was
            return
        gone = difference.keys() - streams(events)
        if case.renamed and gone == difference.keys() != set():
            # Another input that has nothing of a stream says nothing against it.
            _expect_untouched(recorded(store), known, difference, streams(events))
            return
        assert not difference, f"it went on, although {difference} differ"
        _expect_fold(store, events, case.keys)


def _expect_first(error: durproj.PastChanged, difference: dict[str, int]) -> None:
    """The refusal names the first step that differs, of one of the streams."""
    assert error.exit_code == 4
    assert (error.id, error.step) in difference.items(), f"{error} instead of {difference}"
    assert f"{error.id}#{error.step}" in str(error)


def _expect_untouched(
    now: dict[str, Events],
    known: dict[str, Events],
    difference: dict[str, int],
    given: dict[str, Events],
) -> None:
    """Streams whose past changed are as they were; others, met before those, may have come further."""
    for id in {*now, *known}:
        if id in difference:
            assert now[id] == known[id]
        else:
            assert now[id] == given[id][: len(now[id])]
            assert len(now[id]) >= len(known.get(id, []))


def _expect_fold(store: Path, events: Events, keys: tuple[str, ...] | None) -> None:
    """The store holds what `functools.reduce` would make of the log, and all of it verifies."""
    states = {}
    for event in events:
        if keys is None or event["key"] in keys:
            id = f"projection/{event['key']}"
            states.setdefault(id, [{}]).append({**states.get(id, [{}])[-1], **event["data"]})
    found = {
        id: [record["state"] for record in durproj.export_records([id], store=store, journal=True)]
        for id in recorded(store)
    }
    assert found == {id: each[1:] for id, each in states.items()}
    assert recorded(store) == streams(events, keys)
    *_, summary = durproj.verify(store=store)
    assert summary["exit"] == 0


def streams(events: Events, keys: tuple[str, ...] | None = None) -> dict[str, Events]:
    """The events by workflow."""
    found: dict[str, Events] = {}
    for event in events:
        if keys is None or event["key"] in keys:
            found.setdefault(f"projection/{event['key']}", []).append(event)
    return found


def first_differences(known: Mapping[str, Events], events: Events) -> dict[str, int]:
    """By workflow, the first step whose event is no longer the recorded one."""
    found = {}
    now = streams(events)
    for id, had in known.items():
        has = now.get(id, [])
        same = next((n for n, (a, b) in enumerate(zip(had, has, strict=False)) if a != b), None)
        if same is not None or len(has) < len(had):
            found[id] = len(has) if same is None else same
    return found


def recorded(store: Path) -> dict[str, Events]:
    """The events in the journals."""
    with closing(SqliteStore.open_reader(store)) as opened:
        return {
            head.id: [json.loads(line) for line in Journal(opened, head).inputs()]
            for head in opened.heads()
        }


def several_files(trial: Trial) -> None:
    """The same files in another order, one more, one less, or with an event edited: what counts is the events
    in their order."""
    for number in range(trial.count):
        parts = [EVENTS[at : at + 6] for at in range(0, len(EVENTS), 6)]
        names = [f"{n}.jsonl" for n in range(len(parts))]
        order = trial.rng.sample(names, trial.rng.randrange(1, len(names) + 1))
        cut = trial.rng.choice([None, 2, STEPS - 1])
        edited = trial.rng.randrange(cut or STEPS) * 2 if number % 3 == 0 else None
        if edited is not None:
            order = names
        what = f"crash at {cut}, then the files {order}, with event {edited} edited"
        with trial.case(what), trial.scratch() as folder:
            store = folder / "s.db"
            for name, part in zip(names, parts, strict=True):
                (folder / name).write_bytes(_lines(part))

            paths = [folder / name for name in names]
            begin = partial(durproj.fold, paths, store=store, reducer="merge", crash=cut)
            ended = run(begin, folder)
            assert ended.code == (0 if cut is None else 3), ended.err
            if edited is not None:
                part, at = divmod(edited, 6)
                parts[part] = _edited(parts[part], at)
                (folder / names[part]).write_bytes(_lines(parts[part]))
            was, known = tables(store), recorded(store)
            events = [event for name in order for event in parts[names.index(name)]]
            difference = first_differences(known, events)
            try:
                durproj.fold([folder / name for name in order], store=store, reducer="merge")
            except durproj.PastChanged as error:
                _expect_first(error, difference)
                _expect_untouched(recorded(store), known, difference, streams(events))
                assert tables(store) == was or recorded(store) != known
            else:
                assert not difference, f"it went on, although {difference} differ"
                _expect_fold(store, events, None)


PROOFS = [
    Proof(
        "the input changed between crash and resume", ("P2", "P5"), changed, 66, 3_000, case_ms=27
    ),
    Proof("several inputs in another order", ("P2", "P5"), several_files, 12, 400, case_ms=20),
]
