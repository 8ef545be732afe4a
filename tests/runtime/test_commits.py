"""When steps are committed, told by a clock that only the reducer moves."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import pytest

import durproj
from durproj import Mapping, StoreError, fold
from durproj.runtime import commits, stream
from durproj.runtime.commits import BATCH_SECONDS, BATCH_STEPS
from durproj.stores.base import Head, Run
from durproj.stores.journal import Journal
from durproj.stores.packing import Records
from durproj.stores.sqlite import SqliteStore


class Watched:
    """A fold's commits: for each, how many steps it brought and how long the oldest of them waited."""

    def __init__(self, monkeypatch, step_s):
        self.now, self.step_s = 0.0, step_s
        self.begun, self.ages, self.steps = None, [], []
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(commits, "time", clock)
        monkeypatch.setattr(stream, "time", clock)
        written = SqliteStore.transaction

        def append(journal, first, records, status="pending"):
            self.steps[-1] += len(records)
            return real(journal, first, records, status)

        def transaction(store):
            if not store._open:
                self.steps.append(0)
                if self.begun is not None:
                    self.ages.append(self.now - self.begun)
                    self.begun = None
            return written(store)

        real = Journal.append
        monkeypatch.setattr(Journal, "append", append)
        monkeypatch.setattr(SqliteStore, "transaction", transaction)

    def reduce(self, state, _event):
        if self.begun is None:
            self.begun = self.now
        self.now += self.step_s
        return state + 1


def write(path, events):
    path.write_text("".join(json.dumps({"k": key, "n": n}) + "\n" for n, key in enumerate(events)))


@pytest.mark.parametrize("keys", [1, 7, 400])
def test_no_step_waits_longer_than_the_time_for_a_commit_and_one_step(tmp_path, monkeypatch, keys):
    write(tmp_path / "log.jsonl", [f"u{n % keys}" for n in range(1200)])
    watched = Watched(monkeypatch, step_s := 0.004)
    _fold(tmp_path, watched, keys)
    assert max(watched.ages) <= BATCH_SECONDS + step_s + 1e-9
    assert sum(watched.steps) == 1200


@pytest.mark.parametrize("keys", [1, 7, 30, 400])
def test_no_more_steps_wait_for_a_commit_than_are_promised(tmp_path, monkeypatch, keys):
    write(tmp_path / "log.jsonl", [f"u{n % keys}" for n in range(9000)])
    watched = Watched(monkeypatch, 0.0)
    _fold(tmp_path, watched, keys)
    assert max(watched.steps) <= BATCH_STEPS
    assert sum(watched.steps) == 9000
    # Nor are there many more commits than that takes.
    assert sum(count > 0 for count in watched.steps) <= 3 * 9000 / BATCH_STEPS


def _fold(folder, watched, keys):
    def reduce(state, event):
        return watched.reduce(state, event)

    one = ["u0"] if keys == 1 else None
    log, store = folder / "log.jsonl", folder / "s.db"
    mapping = Mapping(key="k")
    fold(
        *(log,),
        keys=one,
        reducer=reduce,
        initial=0,
        store=store,
        mapping=mapping,
        durability="batch",
    )


class Reading(durproj.Silent):
    """Of every step that it is told of: which, whence, and whether the store has it by then."""

    wants_steps = True

    def __init__(self, store):
        self.store, self.told = store, []

    def step(self, id, step, _event, source, _attempts, _state):
        try:
            there = step < durproj.inspect(id, store=self.store)["steps"]
        except durproj.NotFound:
            there = False
        self.told.append((id, step, source, there))


@pytest.mark.parametrize("durability", ["step", "fsync", "batch"])
def test_a_step_is_told_of_when_it_is_in_the_store_and_in_its_turn(tmp_path, durability):
    log, store = tmp_path / "log.jsonl", tmp_path / "s.db"
    options = {"initial": 0, "store": store, "mapping": Mapping(key="k"), "durability": durability}
    expected = []
    for events in ("abc", "abcabcd"):
        write(log, events)
        reading = Reading(store)
        fold(log, reducer=lambda state, _event: state + 1, observer=reading, **options)
        held, expected = {(id, step) for id, step, *_ in expected}, []
        for key in sorted(set(events)):
            steps = [(f"projection/{key}", step) for step in range(events.count(key))]
            expected += [(*at, "cached" if at in held else "executed", True) for at in steps]
        assert reading.told == expected


def test_nothing_is_told_of_steps_whose_commit_is_refused(tmp_path, monkeypatch):
    log, store = tmp_path / "log.jsonl", tmp_path / "s.db"
    write(log, "ab")

    def refused(*_):
        raise StoreError("the disk is full")

    monkeypatch.setattr(SqliteStore, "add_row", refused)
    reading = Reading(store)
    with pytest.raises(StoreError, match="full"):
        fold(
            *(log,), reducer=lambda state, _event: state + 1, initial=0, store=store,
            mapping=Mapping(key="k"), durability="batch", observer=reading,
        )  # fmt: skip
    assert reading.told == []


@pytest.mark.parametrize("durability", ["step", "fsync", "batch"])
@pytest.mark.parametrize("shown", [False, True])
def test_steps_whose_commit_is_refused_are_not_counted(tmp_path, monkeypatch, durability, shown):
    log, store = tmp_path / "log.jsonl", tmp_path / "s.db"
    write(log, ["u"] * 900)
    written, saved = [], SqliteStore.save_head

    def save_head(self, head):
        if len(written) == 3:
            raise StoreError("the disk is full")
        written.append(head.steps)
        saved(self, head)

    class Counted(durproj.Silent):
        wants_steps = shown

        def counted(self, counts):
            self.executed = counts.executed

    monkeypatch.setattr(SqliteStore, "save_head", save_head)
    monkeypatch.setattr(stream, "BATCH_SECONDS", 0.0)
    monkeypatch.setattr(commits, "BATCH_SECONDS", 0.0)
    told = Counted()
    with pytest.raises(StoreError, match="full"):
        fold(
            *(log,), reducer=lambda state, _event: state + 1, initial=0, store=store,
            mapping=Mapping(key="k"), durability=durability, observer=told,
        )  # fmt: skip
    (found,) = durproj.workflows(store=store)
    assert told.executed == found["steps"] > 0


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_after_a_refusal_no_workflow_is_closed(tmp_path, monkeypatch, durability):
    saved, told = SqliteStore.save_head, []

    def refused(*_):
        monkeypatch.setattr(SqliteStore, "save_head", saved)
        raise StoreError("the disk is full")

    with contextlib.closing(SqliteStore.open_writer(tmp_path / "s.db")) as store:
        run = Run("projection", "x", {})
        store.save_run(run)
        journal = Journal(store, Head("projection/u", "projection", "u", run.no))
        shared = commits.Commits(store, durability)
        monkeypatch.setattr(SqliteStore, "save_head", refused)
        with pytest.raises(StoreError, match="full"):
            shared.add(journal, 0, Records([b"{}"], [b"{}"], [b"{}"]))
            shared.flush()
        shared.close(journal, "resolved", lambda: told.append(journal))
        shared.flush()
        assert (store.head("projection/u"), told, shared.uncommitted) == (None, [], 1)
