"""What the engine records of a program, what it waits for, and what it says where the two do not fit."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing

import pytest

import durproj
from durproj import (
    Constant,
    Interrupted,
    NotFound,
    PastChanged,
    Retry,
    Silent,
    StepFailed,
    Stop,
    UsageError,
)
from durproj.codec import decode
from durproj.runtime.driver import NEW_CODE
from durproj.stores.base import Attempt
from durproj.stores.journal import Journal
from durproj.stores.lock import Lock
from durproj.stores.sqlite import SqliteStore

ID = "shop/A-1"


def one(order):
    return {"order": order}


def two(order):
    return {"order": order, "paid": True}


def checkout(ctx, order):
    first = yield ctx.run(one, order)
    second = yield ctx.run(two, order)
    return [first, second]


def shorter(ctx, order):
    return [(yield ctx.run(one, order))]


def longer(ctx, order):
    yield ctx.run(one, order)
    yield ctx.run(two, order)
    return (yield ctx.run(one, order))


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
        yield store


class Told(Silent):
    def __init__(self):
        self.failures = []

    def failed(self, id, step, event, function, error, retry_s):
        self.failures.append((id, step, event, function, error, retry_s))


class Clock(Stop):
    """Waits for nothing, and knows how long."""

    def __init__(self):
        super().__init__()
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)


def refused(store, workflow, *args, **options):
    with pytest.raises(PastChanged) as caught:
        durproj.run(ID, workflow, *args, store=store, **options)
    return str(caught.value)


def test_what_was_asked_for_is_recorded(store):
    assert durproj.run(ID, checkout, "A", store=store) == [one("A"), two("A")]
    head = store.head(ID)
    assert (head.name, head.key, head.status) == ("shop", "A-1", "resolved")
    options = store.run(head.run).options
    assert options == {
        "kind": "workflow", "workflow": f"{__name__}:checkout", "args": '["A"]'
    }  # fmt: skip


def test_other_arguments_are_refused(store):
    durproj.run(ID, checkout, "A", store=store)
    assert refused(store, checkout, "B") == (
        f'{ID}: the past changed\n  recorded: arguments ["A"]\n            [0] = "A"\n'
        '  now:      arguments ["B"]\n            [0] = "B"\nuse another id'
    )


def test_the_id_of_a_projection_is_refused(store, tmp_path):
    log = tmp_path / "log"
    log.write_text('{"key":"A-1","type":"T"}\n')
    other = tmp_path / "other.db"
    durproj.fold(log, reducer="counts", name="shop", store=other)
    with closing(SqliteStore.open_writer(other)) as opened:
        assert refused(opened, checkout, "A") == (
            f"{ID}: the past changed\n  recorded: a projection of a log\n"
            "  now:      a workflow\nuse another id"
        )


def test_a_program_that_goes_on_after_its_end_is_refused(store):
    durproj.run(ID, shorter, "A", store=store)
    assert refused(store, checkout, "A") == (
        f"{ID}#1: the past changed\n  recorded: the workflow ended before it\n"
        f"  now:      a step 'two'\n{NEW_CODE}"
    )


def test_a_changed_function_is_served_where_that_is_accepted(store, monkeypatch):
    durproj.run(ID, checkout, "A", store=store)
    monkeypatch.setitem(globals(), "two", named_two)
    assert "two as" in refused(store, checkout, "A")
    assert durproj.run(ID, checkout, "A", store=store, accept_functions=True) == [
        one("A"), {"order": "A", "paid": True}
    ]  # fmt: skip


def named_two(order):
    return order


named_two.__qualname__ = named_two.__name__ = "two"


def test_a_back_off_that_a_crash_cut_short_is_waited_out_once(store):
    made = broken_off(store)
    at = 10**15
    store.add_attempt(made.no, 1, Attempt(at - 1000, "Retry", "no", at))
    clock = Clock()
    durproj.run(ID, longer, "A", store=store, stop=clock)
    # A clock that was put back does not make it longer than it was.
    assert clock.slept == [1.0]


def test_no_back_off_is_waited_out_where_there_was_none(store):
    broken_off(store)
    clock = Clock()
    durproj.run(ID, longer, "A", store=store, stop=clock)
    assert clock.slept == []


def broken_off(store):
    """The head of the workflow `longer`, of which the first step alone is there."""
    durproj.run(ID, longer, "A", store=store)
    journal = Journal.open(store, ID)
    journal.rewind(1)
    return journal.head


def test_failures_are_told_and_recorded(store):
    tries = []

    def failing(ctx):
        def shaky():
            tries.append(1)
            raise Retry("later")

        return (yield ctx.run(shaky))

    told = Told()
    retry = Constant(retries=1, delay_s=0)
    with pytest.raises(StepFailed):
        durproj.run(ID, failing, store=store, observer=told, stop=Clock(), retry=retry)
    assert len(tries) == 2
    assert [(each[:2], each[4:]) for each in told.failures] == [
        ((ID, 0), ("Retry: later", 0)), ((ID, 0), ("Retry: later", None))
    ]  # fmt: skip
    assert {each[3].rpartition(".")[2] for each in told.failures} == {"shaky"}
    head = store.head(ID)
    assert head.status == "rejected"
    assert decode(head.error) == {"step": 0, "kind": "Retry", "message": "later"}


def test_an_error_of_the_program_is_recorded_after_the_steps_before_it(store):
    def breaking(ctx):
        yield ctx.run(one, "A")
        raise KeyError("gone")

    with pytest.raises(KeyError):
        durproj.run(ID, breaking, store=store)
    assert decode(store.head(ID).error) == {"step": 1, "kind": "KeyError", "message": "'gone'"}


def test_what_is_no_workflow_is_refused_before_anything_is_stored(store):
    with pytest.raises(UsageError) as caught:
        durproj.run(ID, lambda _ctx: 5, store=store)
    assert str(caught.value) == (
        f"{__name__}:test_what_is_no_workflow_is_refused_before_anything_is_stored.<locals>.<lambda>"
        " is not a workflow: it returned int\n"
        "a workflow is a generator function: result = yield ctx.run(function, …)"
    )
    assert store.head(ID) is None
    assert store.runs() == []


def test_a_program_whose_first_steps_are_gone_is_not_replayed(store):
    durproj.run(ID, longer, "A", store=store)
    journal = Journal.open(store, ID)
    journal.trim(1)
    assert durproj.run(ID, shorter, "A", store=store) == one("A")
    journal.save("pending")
    with pytest.raises(NotFound) as caught:
        durproj.run(ID, longer, "A", store=store)
    assert str(caught.value) == (
        f"{ID}: steps before 2 are no longer kept\n"
        "a program is replayed from step 0, so it cannot go on from a later one;\n"
        "run it again under another id"
    )


def test_a_result_that_cannot_be_stored_is_named(store):
    def odd(ctx):
        yield ctx.run(one, "A")
        return {1, 2}

    with pytest.raises(TypeError, match=f"^{ID}: the workflow's result cannot be stored: "):
        durproj.run(ID, odd, store=store)


def test_a_wait_for_the_store_ends_when_stopping_is_asked_for(tmp_path):
    stop = Stop()

    def ask(signum, _frame):
        stop.signum = signum
        if stop.interruptible:
            raise Interrupted(signum)

    former = signal.signal(signal.SIGUSR1, ask)
    asking = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    holder = Lock(tmp_path / "store.db")
    holder.acquire()
    releasing = threading.Timer(5, holder.release)
    asking.start()
    releasing.start()
    try:
        with pytest.raises(Interrupted):
            durproj.run(ID, checkout, "A", store=tmp_path / "store.db", wait_s=3600, stop=stop)
        assert holder.held()
        # Asked before it began to wait.
        with pytest.raises(Interrupted):
            durproj.run(ID, checkout, "A", store=tmp_path / "store.db", wait_s=3600, stop=stop)
        assert holder.held()
    finally:
        releasing.cancel()
        asking.join()
        holder.release()
        signal.signal(signal.SIGUSR1, former)
    assert durproj.run(ID, checkout, "A", store=tmp_path / "store.db", stop=Stop()) == [
        one("A"), two("A")
    ]  # fmt: skip
