"""Attempts are durable: neither a crash in a wait nor the end of a budget is forgotten."""

from __future__ import annotations

import json
import posixpath
import re
import sys
from pathlib import Path

import pytest
from dying import line, write

import durproj
from durproj import Constant, Never, Retry, Silent, StepFailed, Stop
from durproj.runtime import attempts, observer
from durproj.stores.sqlite import SqliteStore

ID = "projection/u1"


def stored(store, id=ID, step=0):
    opened = SqliteStore.open_reader(Path(store))
    try:
        return opened.attempts(opened.head(id).no, step)
    finally:
        opened.close()


class Clock:
    """A wall clock that only sleeping moves, and that can be killed in a sleep."""

    def __init__(self, now=1_000_000.0):
        self.now, self.slept, self.dies_at = now, 0.0, None

    def time(self):
        return self.now

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        if self.dies_at is not None and self.now >= self.dies_at:
            raise KeyboardInterrupt
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(attempts, "time", clock)
    monkeypatch.setattr(observer, "time", clock)
    return clock


class Heard(Silent):
    def __init__(self):
        self.waits = []

    def failed(self, *told):
        self.waits.append(told[-1])

    def counted(self, counts):
        self.counts = counts


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "log", [("u1", 1), ("u1", 2)])
    return tmp_path


class Flaky:
    """A reducer that fails `times` times at event `v`, then works."""

    def __init__(self, times, error=None, v=1):
        self.left, self.error, self.v, self.calls = times, error or Retry("later"), v, 0

    def __call__(self, state, event):
        if event.body["v"] == self.v:
            self.calls += 1
            if self.left:
                self.left -= 1
                raise self.error
        return state | {str(event.body["v"]): True}


def test_the_waits_of_a_fold_are_those_of_the_policy(place, clock):
    heard = Heard()
    durproj.fold("log", reducer=Flaky(4), store="s.db", observer=heard)
    assert heard.waits == [2, 4, 8, 16]
    assert clock.slept == pytest.approx(30, abs=0.1)
    assert [each.retry_at - each.at for each in stored("s.db")] == [2000, 4000, 8000, 16000]
    assert durproj.inspect(ID, 0, store="s.db")["attempts"] == 5


def test_a_crash_in_the_wait_neither_skips_it_nor_begins_it_anew(place, clock):
    reducer = Flaky(3)
    clock.dies_at = clock.now + 2 + 1  # one second into the second wait, which takes four
    with pytest.raises(KeyboardInterrupt):
        durproj.fold("log", reducer=reducer, store="s.db")
    assert reducer.calls == 2
    clock.dies_at, before = None, clock.slept
    heard = Heard()
    durproj.fold("log", reducer=reducer, store="s.db", observer=heard)
    assert heard.waits == [8]
    assert clock.slept - before == pytest.approx(3 + 8, abs=0.2)
    assert reducer.calls == 4
    assert len(stored("s.db")) == 3


def test_a_wait_that_is_over_by_the_time_of_the_resume_is_not_waited_again(place, clock):
    reducer = Flaky(1)
    clock.dies_at = clock.now
    with pytest.raises(KeyboardInterrupt):
        durproj.fold("log", reducer=reducer, store="s.db")
    clock.dies_at, clock.now = None, clock.now + 3600
    durproj.fold("log", reducer=reducer, store="s.db")
    assert clock.slept == 0


def test_a_clock_put_back_does_not_make_the_wait_longer_than_it_was_planned(place, clock):
    reducer = Flaky(1)
    clock.dies_at = clock.now
    with pytest.raises(KeyboardInterrupt):
        durproj.fold("log", reducer=reducer, store="s.db")
    clock.dies_at, clock.now = None, clock.now - 86400
    durproj.fold("log", reducer=reducer, store="s.db")
    assert clock.slept == pytest.approx(2, abs=0.1)


def test_a_crash_between_attempts_does_not_give_more_of_them(place, clock):
    reducer = Flaky(99)
    for _ in range(3):
        clock.dies_at = clock.now
        with pytest.raises(KeyboardInterrupt):
            durproj.fold("log", reducer=reducer, store="s.db")
        clock.now += 60
    clock.dies_at = None
    with pytest.raises(StepFailed):
        durproj.fold("log", reducer=reducer, store="s.db")
    assert reducer.calls == 5


def test_a_spent_budget_rejects_and_the_next_run_has_a_new_one(place, clock):
    reducer = Flaky(99)
    for run in (1, 2):
        with pytest.raises(StepFailed, match=r"projection/u1#0: Retry: later"):
            durproj.fold("log", reducer=reducer, store="s.db")
        assert reducer.calls == 5 * run
        record = durproj.inspect(ID, store="s.db")
        assert record["status"] == "rejected"
        error = {"step": 0, "kind": "Retry", "message": "later"}
        assert record["error"] == error | {"event": {"id": None, "type": "T"}}
    assert [each.retry_at is None for each in stored("s.db")] == ([False] * 4 + [True]) * 2
    reducer.left = 0
    durproj.fold("log", reducer=reducer, store="s.db")
    record = durproj.inspect(ID, store="s.db")
    assert (record["status"], record["steps"], "error" in record) == ("resolved", 2, False)


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_the_steps_before_a_failure_are_kept(place, clock, durability):
    heard = Heard()
    with pytest.raises(StepFailed):
        durproj.fold(
            "log",
            reducer=Flaky(99, ValueError("bad"), v=2),
            store="s.db",
            durability=durability,
            observer=heard,
        )
    assert (heard.counts.executed, heard.counts.failed) == (1, 1)
    record = durproj.inspect(ID, store="s.db")
    assert (record["steps"], record["state"], record["events_seen"]) == (1, {"1": True}, 2)
    assert clock.slept == 0


def leaving(state, event):
    sys.exit("no more")


def nothing(state, event):
    return None


def endless(state, event):
    return endless(state, event)


@pytest.mark.parametrize(
    ("reducer", "kind", "says"),
    [
        (leaving, "SystemExit", "no more"),
        (nothing, "Unstorable", "returned None"),
        (endless, "RecursionError", "recursion"),
        (lambda *_: {1}, "Unstorable", "set"),
        (lambda *_: {"x": float("nan")}, "Unstorable", "nan"),
        (lambda *_: {"n": 2**64}, "Unstorable", "64 bits"),
        (lambda *_: {1: 2}, "Unstorable", "JSON keys are strings"),
    ],
)
@pytest.mark.parametrize("durability", ["step", "batch"])
def test_a_reducer_that_cannot_go_on_fails_its_step_at_once(
    place, clock, reducer, kind, says, durability
):
    with pytest.raises(StepFailed, match=says) as caught:
        durproj.fold("log", reducer=reducer, store="s.db", durability=durability)
    assert (caught.value.kind, caught.value.step) == (kind, 0)
    assert durproj.inspect(ID, store="s.db")["error"]["kind"] == kind
    assert clock.slept == 0


def spoilt(state, event):
    return json.loads("{") if event.id == "e-2" else state


def test_a_failed_event_is_named_with_the_line_of_the_users_code(place, clock):
    Path("log").write_text(
        '{"key":"u1","id":"e-1","type":"Placed"}\n{"key":"u1","id":"e-2","type":"Paid\\n"}\n'
    )
    with pytest.raises(StepFailed) as caught:
        durproj.fold("log", reducer=spoilt, store="s.db")
    line = spoilt.__code__.co_firstlineno + 1
    assert caught.value.hint.splitlines() == [
        r'event "e-2" of type "Paid\n"',
        f"raised at {__file__}:{line} in spoilt",
    ]
    assert caught.value.event == {"id": "e-2", "type": "Paid\n"}
    error = durproj.inspect(ID, store="s.db")["error"]
    assert (error["kind"], error["event"]) == ("JSONDecodeError", caught.value.event)


def test_every_failure_is_told_with_its_step_and_event(place, clock):
    told = []

    class Listening(Silent):
        def failed(self, id, step, event, function, error, retry_s):
            told.append((id, step, event.key, event.line, function, error, retry_s))

    failing = iter([Retry("later"), Retry(), None])

    def flaky(state, event):
        if event.body["v"] == 2 and (error := next(failing)):
            raise error
        return state

    durproj.fold("log", reducer=flaky, store="s.db", observer=Listening())
    at = (ID, 1, "u1", line("u1", 2).encode(), "apply_event")
    assert told == [(*at, "Retry: later", 2), (*at, "Retry", 4)]


def test_an_error_in_a_library_alone_has_its_line(place, clock):
    with pytest.raises(StepFailed) as caught:
        durproj.fold("log", reducer=posixpath.join, store="s.db")
    assert re.search(r"^raised at .*posixpath.*:\d+ in join$", caught.value.hint, re.MULTILINE)


def test_each_attempt_is_given_the_state_and_the_event_as_they_came(place, clock):
    given = []

    def flaky(state, event):
        given.append((dict(state), event.key, event.line, dict(event.body)))
        state["spoilt"] = event.body["v"] = event.data["v"] = -1
        if len(given) < 4:
            raise Retry("later")
        return {"n": len(given)}

    durproj.fold("log", reducer=flaky, store="s.db", keys=["u1"])
    lines = [line("u1", 1).encode()] * 4 + [line("u1", 2).encode()]
    states = [{}] * 4 + [{"n": 4}]
    assert given == [
        (state, "u1", raw, json.loads(raw)) for state, raw in zip(states, lines, strict=True)
    ]


def test_attempts_fail_as_planned(place, clock):
    options = {"reducer": Flaky(0), "store": "s.db", "fail": (1, 3)}
    durproj.fold("log", **options)
    assert stored("s.db", step=0) == []
    told = "Projection store write failed for event 1"
    assert [(each.kind, each.message) for each in stored("s.db", step=1)] == [
        ("PlannedFailure", told)
    ] * 3


def test_an_error_about_what_a_reducer_returned_has_no_line_in_it(place, clock):
    with pytest.raises(StepFailed) as caught:
        durproj.fold("log", reducer=lambda *_: {1}, store="s.db")
    assert "raised at" not in caught.value.hint


def unlucky():
    raise ValueError("odd \ud800 text")


@pytest.mark.parametrize("retry", [Never(), Constant(retries=1, delay_s=5)])
def test_a_step_failed_is_the_same_live_and_replayed(place, clock, retry):
    def workflow(ctx):
        try:
            yield ctx.run(unlucky).options(retry=retry)
        except StepFailed as failed:
            return [failed.id, failed.step, failed.kind, failed.reason, str(failed)]

    live = durproj.run("w/1", workflow, store="s.db")
    slept = clock.slept
    assert durproj.run("w/1", workflow, store="s.db") == live
    assert live[2:4] == ["ValueError", "odd \\ud800 text"]
    assert clock.slept == slept
    failures = len(stored("s.db", "w/1"))
    assert durproj.inspect("w/1", 0, store="s.db")["attempts"] == failures


def test_a_stop_ends_the_wait(place):
    stop = Stop()

    class Stopping(Silent):
        def failed(self, *_):
            stop.signum = 15

    with pytest.raises(durproj.Interrupted) as caught:
        durproj.fold("log", reducer=Flaky(1), store="s.db", stop=stop, observer=Stopping())
    assert caught.value.exit_code == 143
    assert len(stored("s.db")) == 1
