"""Workflows of any steps, as a program runs them: `durproj.run`."""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import environment

import durproj
from durproj import (
    Constant,
    Exponential,
    Never,
    PastChanged,
    StepFailed,
    StoreBusy,
    Unstorable,
    UsageError,
)
from durproj.projections.reducer import from_function
from durproj.stores.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return "shop.db"


class Shop:
    """The outside world: it counts, and its card machine refuses as often as it is told to."""

    def __init__(self, refusals=0):
        self.quoted = self.charged = 0
        self.refusals = refusals

    def checkout(self, ctx, order):
        price = yield ctx.run(quote, self, order)
        try:
            return (yield ctx.run(charge, self, order, price).options(retry=FAST))
        except StepFailed as failed:
            return f"declined: {failed.kind}"


FAST = Exponential(retries=3, delay_s=0)


class CardRefusedError(Exception):
    pass


def quote(shop, order):
    shop.quoted += 1
    return 10 * len(order)


def charge(shop, order, price):
    shop.charged += 1
    if shop.charged <= shop.refusals:
        raise CardRefusedError(order)
    return {"order": order, "paid": price}


def run(shop, store, order="A-17", **options):
    return durproj.run("checkout/A-17", shop.checkout, order, store=store, **options)


@pytest.mark.parametrize(
    ("refusals", "charged", "result"),
    [
        (0, 1, {"order": "A-17", "paid": 40}),
        (3, 4, {"order": "A-17", "paid": 40}),
        (9, 4, "declined: CardRefusedError"),
    ],
)
def test_a_checkout_charges_once_whatever_happens(store, refusals, charged, result):
    shop = Shop(refusals)
    assert run(shop, store) == result
    assert (shop.quoted, shop.charged) == (1, charged)
    for _ in range(2):
        assert run(shop, store) == result
    assert (shop.quoted, shop.charged) == (1, charged)
    record = durproj.inspect("checkout/A-17", store=store)
    assert (record["status"], record["steps"], record["state"]) == ("resolved", 2, result)
    failed = refusals == 9
    step = durproj.inspect("checkout/A-17", 1, store=store)
    assert step["attempts"] == min(refusals, 3) + 1
    assert ("error" in step) == failed


def test_other_arguments_are_refused(store):
    run(Shop(), store)
    with pytest.raises(PastChanged, match=r'arguments \["A-17"\]') as caught:
        run(Shop(), store, "B-1")
    assert '["B-1"]' in caught.value.present
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(("rate", "changed"), [(1, 2), (Decimal(1), Decimal(2))])
def test_every_argument_of_a_step_is_compared(store, rate, changed):
    event = durproj.Event("u", "T", None, None, {}, b'{"n":1}')

    def workflow(ctx):
        return (yield ctx.run(tax, event, rate))

    def tax(_event, rate):
        return str(rate)

    assert durproj.run("w/1", workflow, store=store) == "1"
    assert durproj.run("w/1", workflow, store=store) == "1"
    rate = changed
    with pytest.raises(PastChanged) as caught:
        durproj.run("w/1", workflow, store=store)
    assert ("1" in caught.value.recorded, "2" in caught.value.present) == (True, True)


def test_events_among_the_arguments_of_a_workflow_are_compared_step_by_step(store):
    events = [durproj.Event("u", "T", None, None, {}, b'{"n":%d}' % n) for n in range(3)]
    reducer = from_function(lambda state, event: [*state, event.line.decode()], initial=[])
    for _ in range(2):
        durproj.run("w/1", durproj.process_events, events, reducer, store=store)
    assert len(durproj.inspect("w/1", store=store)["input"]) < 200
    events[1] = events[0]
    with pytest.raises(PastChanged, match="w/1#1"):
        durproj.run("w/1", durproj.process_events, events, reducer, store=store)


def test_a_workflow_that_has_not_ended_has_no_state(store):
    def workflow(ctx):
        yield ctx.run(len, "abc")
        try:
            yield ctx.run(int, "x")
        except StepFailed:
            yield ctx.run(len, "ab")
        if rejects:
            raise LookupError
        raise KeyboardInterrupt

    ends = ((False, KeyboardInterrupt, "pending"), (True, LookupError, "rejected"))
    for rejects, error, status in ends:  # noqa: B007  the workflow sees it
        with pytest.raises(error):
            durproj.run("w/1", workflow, store=store)
        record = durproj.inspect("w/1", store=store)
        assert (record["status"], record["steps"], record["state"]) == (status, 3, None)
        with contextlib.closing(sqlite3.connect(store)) as conn:
            rows = conn.execute("SELECT status, steps, state FROM projections").fetchall()
        assert rows == [(status, 3, None)]


def test_a_program_without_the_right_arguments_leaves_no_trace(store):
    def workflow(ctx, one):
        return (yield ctx.run(str, one))

    with pytest.raises(TypeError):
        durproj.run("w/1", workflow, store=store)
    assert durproj.run("w/1", workflow, 1, store=store) == "1"


@pytest.mark.parametrize("thing", [lambda _: 7, lambda _: None, lambda ctx: ctx.run(len, "x")])
def test_what_is_no_generator_is_no_workflow(store, thing):
    with pytest.raises(UsageError, match="is not a workflow"):
        durproj.run("w/1", thing, store=store)
    with pytest.raises(durproj.NotFound):
        durproj.inspect("w/1", store=store)


@pytest.mark.parametrize("id", ["", "w", "/a", "a b/c", "w/%\x00"])
def test_an_id_has_a_name_and_a_key(store, id):
    with pytest.raises(UsageError, match="is not a workflow id"):
        durproj.run(id, Shop().checkout, "A", store=store)


def test_a_workflow_knows_its_id_name_and_key(store):
    def workflow(ctx):
        return [ctx.id, ctx.name, ctx.key, (yield ctx.run(str, 1))]

    assert durproj.run("w/a/b%23c", workflow, store=store) == ["w/a/b%23c", "w", "a/b#c", "1"]


def test_a_step_may_have_keyword_arguments_and_any_callable(store):
    def workflow(ctx):
        one = yield ctx.run(int, "ff", base=16)
        two = yield ctx.run(functools.partial(pow, 2), 5)
        three = yield ctx.run("-".join, ["a", "b"])
        return [one, two, three]

    assert durproj.run("w/1", workflow, store=store) == [255, 32, "a-b"]
    assert durproj.inspect("w/1", 0, store=store)["event"] == ["ff", {"base": 16}]
    assert durproj.run("w/1", workflow, store=store) == [255, 32, "a-b"]


def test_a_value_is_the_same_live_and_replayed(store):
    seen = []

    def workflow(ctx):
        value = yield ctx.run(pair)
        seen.append(value)
        return (value, 1)

    first = durproj.run("w/1", workflow, store=store)
    second = durproj.run("w/1", workflow, store=store)
    assert seen == [[1, {"two": [2]}]] * 2
    assert first == second == [[1, {"two": [2]}], 1]


def pair():
    return (1, {"two": (2,)})


def test_what_cannot_be_stored_fails_the_step(store):
    def workflow(ctx):
        try:
            yield ctx.run(set, "ab")
        except StepFailed as failed:
            return failed.kind, failed.reason

    kind, reason = durproj.run("w/1", workflow, store=store)
    assert kind == "Unstorable"
    assert "set" in reason


def test_a_result_that_cannot_be_stored_is_an_error_that_names_the_workflow(store):
    results = [{1, 2}]

    def workflow(ctx):
        yield ctx.run(len, "abc")
        return results[0]

    with pytest.raises(Unstorable, match="w/1: the workflow's result cannot be stored"):
        durproj.run("w/1", workflow, store=store)
    assert durproj.inspect("w/1", store=store)["status"] == "pending"


def test_an_uncaught_failure_rejects_and_is_raised_again(store):
    shop = Shop(refusals=9)

    def workflow(ctx):
        yield ctx.run(len, "abc")
        yield ctx.run(charge, shop, "A-17", 40)

    errors = []
    for _ in range(3):
        with pytest.raises(StepFailed) as caught:
            durproj.run("w/1", workflow, store=store)
        errors.append((caught.value.step, caught.value.kind, caught.value.reason))
    assert errors == [(1, "CardRefusedError", "A-17")] * 3
    assert shop.charged == 1
    record = durproj.inspect("w/1", store=store)
    assert record["status"] == "rejected"
    assert record["error"] == {"step": 1, "kind": "CardRefusedError", "message": "A-17"}


def test_an_error_of_the_workflow_itself_rejects_and_is_raised_as_it_is(store):
    def workflow(ctx):
        yield ctx.run(len, "abc")
        raise LookupError("gone")

    for _ in range(2):
        with pytest.raises(LookupError, match="gone"):
            durproj.run("w/1", workflow, store=store)
    record = durproj.inspect("w/1", store=store)
    assert record["error"] == {"step": 1, "kind": "LookupError", "message": "gone"}


def test_a_step_has_its_own_retry_policy(store):
    attempts = []

    def flaky(name):
        attempts.append(name)
        raise ValueError(name)

    def workflow(ctx):
        for name, retry in (("never", Never()), ("thrice", Constant(retries=2, delay_s=0))):
            with contextlib.suppress(StepFailed):
                yield ctx.run(flaky, name).options(retry=retry, name=f"call {name}")
        try:
            yield ctx.run(flaky, "run")
        except StepFailed:
            return "survived"

    again = Constant(retries=1, delay_s=0)
    assert durproj.run("w/1", workflow, store=store, retry=again) == "survived"
    assert attempts == ["never", "thrice", "thrice", "thrice", "run", "run"]
    names = [durproj.inspect("w/1", step, store=store)["function"] for step in range(3)]
    assert names == ["call never", "call thrice", "flaky"]


def test_a_finished_workflow_that_asks_for_more_is_refused(store):
    more = []

    def workflow(ctx):
        one = yield ctx.run(len, "abc")
        if more:
            one = yield ctx.run(len, "de")
        return one

    assert durproj.run("w/1", workflow, store=store) == 3
    more.append(1)
    with pytest.raises(PastChanged, match="the workflow ended before it") as caught:
        durproj.run("w/1", workflow, store=store)
    assert caught.value.step == 1
    more.clear()
    assert durproj.run("w/1", workflow, store=store) == 3


def test_a_finished_workflow_keeps_its_result(store):
    results = iter([1, 2])

    def workflow(ctx):
        yield ctx.run(len, "abc")
        return next(results)

    assert [durproj.run("w/1", workflow, store=store) for _ in range(2)] == [1, 1]


def test_a_rewound_workflow_goes_on_from_there(store):
    shop = Shop()
    run(shop, store)
    assert durproj.rewind("checkout/A-17", 0, store=store) == 1
    assert durproj.inspect("checkout/A-17", store=store)["status"] == "pending"
    assert run(shop, store) == {"order": "A-17", "paid": 40}
    assert (shop.quoted, shop.charged) == (1, 2)


def test_a_store_that_is_open_can_be_given(store, tmp_path):
    opened = SqliteStore.open_writer(Path("s.db"))
    try:
        assert run(Shop(), opened)["paid"] == 40
        assert run(Shop(), opened)["paid"] == 40
        assert durproj.inspect("checkout/A-17", store=opened)["steps"] == 2
        with pytest.raises(StoreBusy):
            run(Shop(), "s.db")
    finally:
        opened.close()


PROGRAM = """
import sys, os, durproj

def note(text):
    with open("notes", "a") as file:
        file.write(text)
    return text

def workflow(ctx):
    a = yield ctx.run(note, "a")
    if "crash" in sys.argv:
        os._exit(9)
    b = yield ctx.run(note, "b")
    return a + b

if __name__ == "__main__":
    print(durproj.run("w/1", workflow))
"""


def test_a_program_that_crashed_goes_on_and_resume_says_who_must(tmp_path, durproj):
    (tmp_path / "program.py").write_text(PROGRAM)

    def program(*args):
        return subprocess.run(
            [sys.executable, "program.py", *args],
            cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert program("crash").returncode == 9
    resumed = durproj("resume")
    assert resumed.code == 0
    assert "w/1 was started by a program" in resumed.err
    assert "run that program to go on" in resumed.err
    assert program().stdout == "ab\n"
    assert (tmp_path / "notes").read_text() == "ab"
    assert "started by a program" not in durproj("resume").err
    shown = json.loads(durproj("inspect", "w/1", "--json").out)
    assert (shown["status"], shown["state"]) == ("resolved", "ab")
