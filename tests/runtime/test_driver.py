"""The driver as a table: a journal and a workflow go in, commands come out. No store, clock or thread."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import uuid
from collections import Counter
from copy import deepcopy
from decimal import Decimal
from pathlib import Path

import pytest

from durproj import Context, Event, PastChanged, StepFailed, UsageError, codec
from durproj.codec import encode
from durproj.projections.fingerprint import fingerprint
from durproj.projections.reducer import from_function
from durproj.runtime.arguments import step_input
from durproj.runtime.driver import NEW_CODE, Driver, Execute, Failed, Finish, Ok, step_meta
from durproj.runtime.workflow import ApplyEvent, process_events
from durproj.stores.packing import Record

ID = "w/k"
CTX = Context(ID)


def add(a, b):
    return a + b


def double(a):
    return 2 * a


def recorded(fn, args, value, *, failed=False, by=None, name=None):
    meta = step_meta(name or fn.__name__, by or fingerprint(fn), failed=failed)
    return Record(meta, encode(list(args)), encode(value))


def failure(fn, args, kind="ValueError", message="no"):
    return recorded(fn, args, {"kind": kind, "message": message}, failed=True)


def drive(workflow, journal=(), *args, **options):
    """Start, then carry out every command. (indices executed, finish, driver)"""
    driver = Driver(ID, workflow(CTX, *args), journal, **options)
    command, executed = driver.start(), []
    while isinstance(command, Execute):
        executed.append(command.index)
        try:
            value = command.step.fn(*command.step.args, **command.step.kwargs)
        except ValueError as error:
            command = driver.send(Failed(type(error).__name__, str(error)))
        else:
            command = driver.send(Ok(value))
    return executed, command, driver


def sums(ctx, start=1):
    one = yield ctx.run(add, start, 2)
    two = yield ctx.run(double, one)
    return (yield ctx.run(add, two, one))


def sums_from(ctx, start=1):
    one = yield from ctx.run(add, start, 2)
    two = yield from ctx.run(double, one)
    return (yield from ctx.run(add, two, one))


def nested(ctx, start=1):
    one = yield from inner(ctx, start)
    return (yield ctx.run(add, one[1], one[0]))


def inner(ctx, start):
    one = yield ctx.run(add, start, 2)
    return one, (yield ctx.run(double, one))


WHOLE = [recorded(add, (1, 2), 3), recorded(double, (3,), 6), recorded(add, (6, 3), 9)]


@pytest.mark.parametrize("workflow", [sums, sums_from, nested])
@pytest.mark.parametrize("held", [0, 1, 2, 3])
def test_it_goes_on_at_the_first_step_that_the_journal_does_not_hold(workflow, held):
    executed, finish, driver = drive(workflow, WHOLE[:held])
    assert executed == list(range(held, 3))
    assert finish == Finish(result=9)
    assert driver.cached == held


def test_a_command_says_what_is_to_be_recorded():
    command = Driver(ID, sums(CTX), []).start()
    assert (command.index, command.meta, command.input) == (0, *WHOLE[0][:2])


def test_cached_values_reach_the_workflow_not_what_the_function_would_give():
    executed, finish, _ = drive(sums, [recorded(add, (1, 2), 30), recorded(double, (30,), 1)])
    assert (executed, finish.result) == ([2], 31)


def catching(ctx):
    try:
        return (yield ctx.run(add, 1, 2))
    except StepFailed as failed:
        return [failed.id, failed.step, failed.kind, failed.reason, str(failed)]


CAUGHT = [ID, 0, "ValueError", "no", f"{ID}#0: ValueError: no"]


def test_a_failed_step_is_an_exception_in_the_workflow_live():
    driver = Driver(ID, catching(CTX), [])
    assert isinstance(driver.start(), Execute)
    assert driver.send(Failed("ValueError", "no")) == Finish(result=CAUGHT)


def test_a_failed_step_is_the_same_exception_when_replayed():
    assert drive(catching, [failure(add, (1, 2))])[:2] == ([], Finish(result=CAUGHT))


def test_an_uncaught_failure_finishes_with_its_error_live_and_replayed():
    driver = Driver(ID, sums(CTX), [])
    driver.start()
    live = driver.send(Failed("ValueError", "no")).error
    replayed = drive(sums, [failure(add, (1, 2))])[1].error
    assert str(live) == str(replayed) == CAUGHT[4]
    assert type(live) is type(replayed) is StepFailed


def going_on(ctx):
    try:
        yield ctx.run(double, 0)
    except StepFailed as failed:
        kind = yield ctx.run(double, failed.kind)
    return kind


def test_a_workflow_may_go_on_after_a_failure_it_caught():
    journal = [failure(double, (0,), "E"), recorded(double, ("E",), "EE")]
    assert drive(going_on, journal[:1])[:2] == ([1], Finish(result="EE"))
    assert drive(going_on, journal)[:2] == ([], Finish(result="EE"))


def raising(ctx):
    raise KeyError("before any step")
    yield ctx.run(add, 1, 2)


def test_an_error_before_the_first_step_finishes_with_it():
    executed, finish, _ = drive(raising)
    assert executed == []
    assert type(finish.error) is KeyError


def no_steps(ctx):
    return 7
    yield ctx.run(add, 1, 2)


def test_a_workflow_without_steps_finishes_at_once():
    assert drive(no_steps)[:2] == ([], Finish(result=7))


def refused(workflow, journal, *args, **options):
    with pytest.raises(PastChanged) as caught:
        drive(workflow, journal, *args, **options)
    assert (caught.value.id, caught.value.hint) == (ID, NEW_CODE)
    return caught.value


def test_a_workflow_that_ends_before_its_journal_is_refused():
    error = refused(no_steps, WHOLE)
    assert (error.step, error.recorded) == (0, "a step 'add'")
    assert error.present == "the workflow ended before it"


def test_a_workflow_that_breaks_before_its_journal_ends_shows_the_error_too():
    assert type(refused(raising, WHOLE).__cause__) is KeyError


def test_one_step_left_over_at_the_end_is_refused():
    assert refused(sums, [*WHOLE, recorded(double, (9,), 18)]).step == 3


@pytest.mark.parametrize("at", [0, 1, 2])
def test_another_step_is_refused_where_it_differs(at):
    journal = list(WHOLE)
    journal[at] = recorded(sorted, (1,), 1, by="0" * 16)
    error = refused(sums, journal)
    assert error.step == at
    assert error.recorded == "a step 'sorted'"
    assert error.present in {"a step 'add'", "a step 'double'"}
    assert error.exit_code == 4
    assert "durproj rewind" in error.hint


@pytest.mark.parametrize("at", [0, 1, 2])
def test_another_input_is_refused_where_it_differs(at):
    journal = list(WHOLE)
    journal[at] = journal[at]._replace(input=b"[41,42]")
    error = refused(sums, journal)
    assert error.step == at
    assert error.recorded.startswith("[41,42]")
    assert error.present.startswith(WHOLE[at].input.decode())


def test_changed_code_is_refused_unless_it_is_accepted():
    journal = [recorded(add, (1, 2), 3, by="0123456789abcdef"), *WHOLE[1:]]
    error = refused(sums, journal)
    assert error.step == 0
    assert "0123456789abcdef" in error.recorded
    assert fingerprint(add) in error.present
    assert drive(sums, journal, accept_functions=True)[:2] == ([], Finish(result=9))


def test_accepting_changed_code_accepts_no_changed_input():
    journal = [WHOLE[0]._replace(input=b"[9,9]")]
    assert refused(sums, journal, accept_functions=True).step == 0


@pytest.mark.parametrize("thing", [None, 3, add, "step"])
def test_what_is_no_step_cannot_be_yielded(thing):
    def workflow(ctx):
        yield ctx.run(add, 1, 2)
        yield thing

    with pytest.raises(UsageError) as caught:
        drive(workflow)
    assert str(caught.value) == (
        f"w/k#1: the workflow yielded {type(thing).__name__}, not a step\n"
        "write: yield ctx.run(function, …)"
    )


def test_a_workflow_that_asks_its_driver_for_one_more_step_gets_it_executed():
    def longer(ctx):
        last = yield from sums(ctx)
        return (yield ctx.run(double, last))

    assert drive(longer, WHOLE)[:2] == ([3], Finish(result=18))


def event_of(line):
    return Event("u1", "T", None, None, {}, line)


def test_every_argument_is_recorded_an_event_as_its_line():
    line = b'{"key": "u1",   "type":"T"}'
    event = event_of(line)
    assert step_input(CTX.run(add, 1, event)) == b"[1," + line + b"]"
    assert step_input(CTX.run(add, event, {"all": [event]})) == b'[%b,{"all":[%b]}]' % (line, line)
    assert step_input(CTX.run(add, 1, b=2)) == b'[1,{"b":2}]'
    assert step_input(CTX.run(ApplyEvent(from_function(add)), 0, event, {1})) == line


class Size(enum.Enum):
    S = (object(), 1)
    L = (object(), 2)


class Rank(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Price:
    net: Decimal
    seen: set[int] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Till:
    door: object
    prices: list[Price] = dataclasses.field(default_factory=list)


INSTANT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.0"), Decimal(1)),
        (INSTANT, INSTANT.replace(tzinfo=None)),
        (INSTANT.date(), INSTANT.date().replace(day=3)),
        (INSTANT.time(), INSTANT.time().replace(hour=1)),
        (dt.timedelta(1), dt.timedelta(2)),
        (uuid.UUID(int=1), uuid.UUID(int=2)),
        (Size.S, Size.L),
        (Path("a"), Path("b")),
        (b"a", b"b"),
        ({1, 2}, {1, 3}),
        (2**70, 2**71),
        pytest.param(10**5000, 10**5000 + 1, id="huge"),
        (math.nan, math.inf),
        (math.nan, None),
        ("\ud800", "\ud801"),
        ({1: "x"}, {2: "x"}),
        ({1: "x"}, {"1": "x"}),
        (Counter("a"), Counter("b")),
        (Price(Decimal(1)), Price(Decimal(2))),
        (Price(Decimal(1), {1}), Price(Decimal(1), {2})),
        (event_of(b"[1]"), event_of(b"[2]")),
    ],
)
def test_what_has_a_value_of_its_own_is_recorded_by_it_wherever_it_hides(one, other):
    ways = [
        lambda x: x,
        lambda x: [1, (x,)],
        lambda x: {"a": x},
        Price,
        lambda x: {0: x},
    ]
    for wrap in ways:
        was, again, now = (
            step_input(CTX.run(add, 1, b=wrap(x))) for x in (one, deepcopy(one), other)
        )
        assert was == again != now
        codec.decode(was)


def test_values_that_are_equal_are_recorded_alike():
    assert step_input(CTX.run(add, {"b", "a", "c"}, Rank.ONE)) == step_input(
        CTX.run(add, {"c", "b", "a"}, 1)
    )


@pytest.mark.parametrize("thing", [object(), add, Till, Till(object()), Till(0, [Price(object())])])
def test_of_other_things_only_the_type_is_recorded(thing):
    (recorded,) = codec.decode(step_input(CTX.run(len, thing)))
    kind = type(thing)
    assert recorded == {"$type": f"{kind.__module__}.{kind.__qualname__}"}


def test_a_value_that_holds_itself_can_be_an_argument():
    ring = [Decimal(1)]
    ring += [ring, ring]
    deep = [Decimal(1)]
    for _ in range(5000):
        deep = [deep]
    for value in (ring, deep):
        codec.decode(step_input(CTX.run(len, value)))


@pytest.mark.parametrize("line", [b'{\n"a":1}', b'{"a":1}\n', b"", b"{"])
def test_an_event_whose_line_is_no_line_is_refused_before_it_is_recorded(line):
    reducer = from_function(lambda state, _: state)
    for step in (CTX.run(len, event_of(line)), CTX.run(ApplyEvent(reducer), 0, event_of(line), {})):
        with pytest.raises(UsageError, match="not one line of JSON"):
            step_input(step)


def test_process_events_is_one_apply_event_step_per_event():
    reducer = from_function(lambda state, event: [*state, event.type], initial=[])
    events = [Event("k", kind, None, None, {}, b'"%d"' % i) for i, kind in enumerate("ABC")]
    executed, finish, _ = drive(process_events, [], events, reducer)
    assert (executed, finish.result) == ([0, 1, 2], ["A", "B", "C"])
    first = Driver(ID, process_events(CTX, events, reducer), []).start()
    assert first.meta == step_meta("apply_event", reducer.fingerprint)
    assert first.input == b'"0"'


def test_a_reducer_that_changes_what_it_is_given_changes_nobody_elses():
    def mutating(state, event):
        state["n"] += 1
        event.body["touched"] = True
        return state

    before, event = {"n": 0}, Event("k", "T", None, None, {}, b"{}")
    assert ApplyEvent(from_function(mutating))(0, event, before) == {"n": 1}
    assert before == {"n": 0}
    assert event.body == {}
