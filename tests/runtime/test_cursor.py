"""The shortcut of replay: however runs, users, crashes, rewinds and edits follow one another, a journal
is always the beginning of its stream, and a run that ends well holds all of it."""

from __future__ import annotations

import functools
import gzip
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from dying import Died, Dying, dying, folded, inputs, journals, line, stream, trail, write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import durproj
from durproj import PastChanged
from durproj.codec import decode
from durproj.events.reader import Source
from durproj.runtime import setup

USERS = ("u1", "u2", "u3")
VALUES = st.integers(0, 9)
EVENTS = st.lists(st.tuples(st.sampled_from(USERS), VALUES), min_size=1, max_size=6)
DURABILITIES = st.sampled_from(["step", "batch"])
POINTS = st.one_of(st.none(), st.integers(0, 40))


class Folding(RuleBasedStateMachine):
    """A log, a store, and everything that can happen to them."""

    def __init__(self):
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.log, self.store = Path(self.place.name, "log.jsonl"), Path(self.place.name, "s.db")
        self.events: list[tuple[str, int]] = []
        self.blanks = 0
        self.zipped = False
        # Small blocks, so that a short log has many chunks and the cursor many places to stand.
        self.source = setup.Source
        setup.Source = functools.partial(Source, block=64)

    def teardown(self):
        setup.Source = self.source
        self.place.cleanup()

    @initialize(events=EVENTS)
    def begin(self, events):
        self.events = events
        self.save()

    def save(self, end="\n"):
        text = "\n" * self.blanks + "\n".join(line(*event) for event in self.events) + end
        data = text.encode()
        self.log.write_bytes(gzip.compress(data, mtime=0) if self.zipped else data)

    def held(self):
        """The inputs that each key's journal holds."""
        if not self.store.exists():
            return {}
        return {
            id.partition("/")[2]: inputs(journal) for id, journal in journals(self.store).items()
        }

    def fold(self, at, **options):
        with dying(at):
            try:
                durproj.fold(self.log, reducer=trail, store=self.store, **options)
            except Died:
                return False
        return True

    def check(self, keys):
        found = journals(self.store)
        for key in keys:
            lines = stream(self.events, key)
            if lines:
                journal = found[f"projection/{key}"]
                assert journal["status"] == "resolved"
                assert inputs(journal) == lines
                assert decode(journal["state"]) == folded(lines)

    @rule(events=EVENTS, end=st.sampled_from(["\n", ""]))
    def append(self, events, end):
        self.events += events
        self.save(end)

    @rule(blanks=st.integers(0, 3), zipped=st.booleans())
    def write_the_same_events_in_other_bytes(self, blanks, zipped):
        self.blanks, self.zipped = blanks, zipped
        self.save()

    @rule(at=POINTS, durability=DURABILITIES)
    def run_all(self, at, durability):
        if self.fold(at, durability=durability):
            self.check(USERS)

    @rule(at=POINTS, durability=DURABILITIES, data=st.data())
    def run_users(self, at, durability, data):
        there = sorted({key for key, _ in self.events})
        keys = data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=2, unique=True))
        if self.fold(at, durability=durability, keys=keys):
            self.check(keys)

    @precondition(lambda self: self.store.exists())
    @rule(at=POINTS)
    def resume(self, at):
        with dying(at):
            try:
                durproj.resume(store=self.store)
            except Died:
                return
        for key, lines in self.held().items():
            # A workflow that a complete run left behind is not resume's business; it has no gap.
            assert lines == stream(self.events, key)[: len(lines)]

    @precondition(lambda self: self.held())
    @rule(at=POINTS, data=st.data())
    def resume_one(self, at, data):
        key = data.draw(st.sampled_from(sorted(self.held())))
        with dying(at):
            try:
                durproj.resume([f"projection/{key}"], store=self.store)
            except Died:
                return

    @precondition(lambda self: any(self.held().values()))
    @rule(data=st.data())
    def rewind(self, data):
        key, lines = data.draw(st.sampled_from(sorted((k, v) for k, v in self.held().items() if v)))
        last = data.draw(st.integers(-1, len(lines) - 1))
        durproj.rewind(f"projection/{key}", last, store=self.store)
        assert self.held()[key] == lines[: last + 1]

    @rule(at=POINTS, data=st.data())
    def restart(self, at, data):
        there = sorted({key for key, _ in self.events})
        keys = data.draw(st.one_of(st.none(), st.lists(st.sampled_from(there), min_size=1)))
        if self.fold(at, restart=True, keys=keys):
            self.check(USERS if keys is None else keys)

    @precondition(lambda self: any(self.held().values()))
    @rule(data=st.data(), how=st.sampled_from(["edit", "insert", "delete", "truncate"]))
    def change_the_past_and_put_it_back(self, data, how):
        """Refused, naming the step; nothing is lost or gained by it."""
        key, held = data.draw(st.sampled_from(sorted((k, v) for k, v in self.held().items() if v)))
        step = data.draw(st.integers(0, len(held) - 1))
        places = [i for i, event in enumerate(self.events) if event[0] == key]
        good = list(self.events)
        if how == "edit":
            self.events[places[step]] = (key, self.events[places[step]][1] + 10)
        elif how == "insert":
            self.events.insert(places[step], (key, 77))
        elif how == "delete":
            # As if it had never been, and nothing of the stream after it.
            del self.events[places[step]]
            self.events = [e for i, e in enumerate(self.events) if i < places[step] or e[0] != key]
        else:
            self.events = self.events[: places[step]]
        self.save()
        with pytest.raises((PastChanged, durproj.NotFound)) as caught:
            durproj.fold(self.log, reducer=trail, store=self.store, keys=[key])
        if isinstance(caught.value, PastChanged):
            assert (caught.value.id, caught.value.step) == (f"projection/{key}", step)
        # Of a stream that is gone altogether, a run that never had it cannot know.
        if step or how in {"edit", "insert"}:
            with pytest.raises(PastChanged):
                durproj.fold(self.log, reducer=trail, store=self.store)
        self.events = good
        self.save()

    @invariant()
    def every_journal_is_the_beginning_of_its_stream(self):
        for key, lines in self.held().items():
            assert lines == stream(self.events, key)[: len(lines)], key


Folding.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
test_no_order_of_events_leads_the_cursor_astray = Folding.TestCase


# What the machine above and its readers found, one by one.


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "log.jsonl"


FIRST = [("u1", 1), ("u2", 2), ("u1", 3), ("u2", 4)]


def fold(log, **options):
    return durproj.fold(log, reducer=trail, store="s.db", **options)


def interrupted_after(log, steps, **options):
    """Fold, and die once `steps` new steps are in the store."""
    for at in range(200):
        with dying(at), suppress(Died):
            fold(log, **options)
        found = journals(Path("s.db"))
        if sum(journal["steps"] for journal in found.values()) >= steps:
            return
    raise AssertionError


def expect_whole(events):
    found = journals(Path("s.db"))
    for key in {key for key, _ in events}:
        assert inputs(found[f"projection/{key}"]) == stream(events, key)
        assert found[f"projection/{key}"]["status"] == "resolved"


@pytest.mark.parametrize("new", ["u1", "u3"])
@pytest.mark.parametrize("keys", [None, "own"])
def test_a_crash_in_an_appended_tail_repeats_nothing(log, new, keys):
    own = [new] if keys else None
    write(log, FIRST)
    fold(log)
    if own and new == "u1":
        fold(log, keys=own)
    longer = FIRST + [(new, value) for value in range(5)]
    write(log, longer)
    interrupted_after(log, 4 + 3, keys=own)
    durproj.resume(store="s.db")
    found = journals(Path("s.db"))[f"projection/{new}"]
    assert inputs(found) == stream(longer, new)
    fold(log)
    expect_whole(longer)


def test_a_prefix_that_changes_and_comes_back_does_not_bring_its_cursor_back(log):
    write(log, FIRST)
    fold(log)
    longer = [*FIRST, ("u1", 5), ("u1", 6), ("u2", 7)]
    write(log, longer)
    log.write_text("\n" + log.read_text())
    interrupted_after(log, 5)
    write(log, longer)
    durproj.resume(store="s.db")
    expect_whole(longer)


def test_a_refused_run_does_not_bring_a_cursor_back_that_others_no_longer_stand_on(log):
    write(log, FIRST)
    fold(log)
    longer = [*FIRST, ("u1", 5), ("u2", 6), ("u1", 7)]
    write(log, longer)
    interrupted_after(log, 5)
    write(log, [("u1", 1), ("u2", 99), *longer[2:]])
    with pytest.raises(PastChanged):
        fold(log)
    write(log, longer)
    fold(log)
    expect_whole(longer)


def test_a_restart_that_fails_leaves_no_cursor_over_what_it_dropped(log):
    write(log, FIRST)
    fold(log, keys=["u1"])
    write(log, [("u2", 2)])
    with pytest.raises(durproj.NotFound):
        fold(log, keys=["u1"], restart=True)
    write(log, [*FIRST, ("u1", 9)])
    assert durproj.resume(store="s.db").executed == 3
    assert inputs(journals(Path("s.db"))["projection/u1"]) == stream([*FIRST, ("u1", 9)], "u1")


def test_users_and_the_whole_log_may_take_turns(log):
    events = list(FIRST)
    for turn in range(6):
        write(log, events)
        fold(log, keys=[["u1"], None, ["u2"]][turn % 3])
        events += [("u1", turn), ("u2", turn + 10)]
    write(log, events)
    counts = fold(log)
    expect_whole(events)
    assert counts.cached + counts.executed == len(events)


def test_a_stream_that_vanished_is_refused_though_another_run_took_it_over(log):
    write(log, FIRST)
    fold(log)
    fold(log, keys=["u1"])
    write(log, [event for event in FIRST if event[0] != "u1"])
    with pytest.raises(PastChanged, match="projection/u1#0"):
        fold(log)


def test_resuming_the_one_stream_of_a_log_without_keys_finishes_its_run(log, tmp_path):
    log.write_text('{"type":"T","v":1}\n{"type":"T","v":2}\n')
    with dying(None):
        Dying.arm(12)
        with pytest.raises(Died):
            fold(log)
    durproj.resume(["projection/all"], store="s.db")
    assert durproj.resume(store="s.db").projections == 0
    assert decode(journals(Path("s.db"))["projection/all"]["state"])["n"] == 2


@pytest.mark.parametrize("durability", ["step", "batch", "fsync"])
def test_one_appended_event_moves_the_state_that_is_shown(log, durability):
    write(log, FIRST)
    fold(log)
    write(log, [*FIRST, ("u1", 9)])
    assert fold(log, durability=durability).executed == 1
    shown = durproj.inspect("projection/u1", store="s.db")
    assert (shown["steps"], shown["state"]) == (3, folded(stream([*FIRST, ("u1", 9)], "u1")))
