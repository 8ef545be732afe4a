"""When steps are committed, told by a clock that only the reducer moves."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from durproj import Mapping, fold
from durproj.runtime import commits, stream
from durproj.runtime.commits import BATCH_SECONDS, BATCH_STEPS
from durproj.stores.journal import Journal
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
