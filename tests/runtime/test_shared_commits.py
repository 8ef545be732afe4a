"""Steps that wait for a commit, one by one: who waits, for whom, and what a refusal ends."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from durproj.runtime import commits as commits_module
from durproj.runtime.commits import BATCH_SECONDS, BATCH_STEPS, Commits
from durproj.stores.packing import Records


class Told:
    """A store and its journals, which write down what they are told."""

    def __init__(self):
        self.written, self.refuses = [], False

    @contextmanager
    def transaction(self):
        self.written.append("begin")
        yield
        self.written.append("commit")

    def journal(self, name):
        return ToldJournal(self, name)

    def write(self, *what):
        if self.refuses:
            raise OSError("no room")
        self.written.append(what)


class ToldJournal:
    def __init__(self, store, name):
        self.store, self.name = store, name

    def add(self, step, _record):
        self.store.write(self.name, step)

    def append(self, first, records, status):
        self.store.write(self.name, first, len(records), status)

    def save(self, status):
        self.store.write(self.name, status)


def at(monkeypatch, now):
    monkeypatch.setattr(commits_module, "time", SimpleNamespace(monotonic=lambda: now))


@pytest.fixture
def store(monkeypatch):
    at(monkeypatch, 0.0)
    return Told()


def records(count):
    return Records([b"m"] * count, [b"i"] * count, [b"o"] * count)


@pytest.mark.parametrize("durability", ["step", "fsync"])
def test_each_step_is_written_by_itself_until_one_is_refused(store, durability):
    commits, journal = Commits(store, durability), store.journal("a")
    commits.add(journal, 4, records(2))
    assert store.written == [("a", 4), ("a", 5)]
    store.refuses = True
    with pytest.raises(OSError, match="no room"):
        commits.add(journal, 6, records(1))
    store.refuses = False
    commits.add(journal, 6, records(1))
    assert store.written == [("a", 4), ("a", 5)]


def test_shared_commits_are_over_once_one_is_refused(store):
    commits, journal = Commits(store, "batch"), store.journal("a")
    assert commits.budget(journal, 1) == (BATCH_STEPS, BATCH_SECONDS)
    commits.add(journal, 0, records(1))
    store.refuses = True
    with pytest.raises(OSError, match="no room"):
        commits.flush()
    store.refuses = False
    commits.add(journal, 1, records(1))
    commits.flush()
    assert store.written == ["begin"]


def waiting(store, held):
    """Commits in which the journals a, b and c wait, with `held` steps together; the last of them is c."""
    commits, first, last = Commits(store, "batch"), store.journal("a"), store.journal("c")
    commits.budget(first, 1)
    commits.add(first, 0, records(1))
    commits.add(store.journal("b"), 0, records(1))
    commits.add(last, 0, records(held - 2))
    return commits, first, last


@pytest.mark.parametrize(
    ("held", "steps", "goes_first"),
    [
        (900, 100, False),
        (900, 101, True),
        (900, BATCH_STEPS, True),
        (900, BATCH_STEPS + 1, False),
        (3, BATCH_STEPS - 2, True),
    ],
)
def test_a_short_stream_that_would_be_split_lets_the_others_go_first(
    store, held, steps, goes_first
):
    commits, _, _ = waiting(store, held)
    left, due = commits.budget(store.journal("d"), steps)
    there = [("a", 0, 1, "pending"), ("b", 0, 1, "pending"), ("c", 0, held - 2, "pending")]
    assert store.written == (["begin", *there, "commit"] if goes_first else [])
    assert (left, due) == (BATCH_STEPS - (0 if goes_first else held), BATCH_SECONDS)


def test_a_stream_does_not_go_before_itself(store):
    commits, first, last = waiting(store, 900)
    assert commits.budget(last, 200)[0] == 100
    assert store.written == []
    assert commits.budget(first, 200)[0] == BATCH_STEPS
    assert store.written[-1] == "commit"


def test_what_is_done_is_told_when_it_is_committed(store):
    commits, _, last = waiting(store, 3)
    told = []
    commits.add(last, 1, records(2))
    commits.close(last, "resolved", lambda: told.append("c"))
    commits.close(store.journal("d"), "pending", lambda: told.append("d"))
    assert (store.written, told) == ([], [])
    commits.flush()
    assert store.written == [
        "begin", ("a", 0, 1, "pending"), ("b", 0, 1, "pending"), ("c", 0, 3, "resolved"),
        ("d", "pending"), "commit",
    ]  # fmt: skip
    assert told == ["c", "d"]
    commits.flush()
    assert store.written.count("begin") == 1


def test_alone_it_is_told_at_once(store):
    commits, told = Commits(store, "step"), []
    commits.close(store.journal("a"), "resolved", lambda: told.append("a"))
    assert (store.written, told) == ([("a", "resolved")], ["a"])


@pytest.mark.parametrize("count", [BATCH_STEPS - 1, BATCH_STEPS])
def test_so_many_steps_are_committed_at_once(store, count):
    commits, journal = Commits(store, "batch"), store.journal("a")
    commits.budget(journal, 1)
    commits.add(journal, 0, records(count))
    assert bool(store.written) == (count == BATCH_STEPS)


@pytest.mark.parametrize("now", [BATCH_SECONDS / 2, BATCH_SECONDS])
def test_steps_are_committed_when_their_time_has_come(store, monkeypatch, now):
    commits, journal = Commits(store, "batch"), store.journal("a")
    commits.budget(journal, 1)
    commits.add(journal, 0, records(1))
    at(monkeypatch, now)
    commits.add(journal, 1, records(1))
    assert bool(store.written) == (now == BATCH_SECONDS)
