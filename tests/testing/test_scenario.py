"""Given some events, when some more come, then the state is this: what passes, what fails, and in which
words."""

from __future__ import annotations

import functools
import json
import random
import re
from unittest.mock import ANY

import pytest

import durproj
from durproj import Event, Mapping, NotFound, Unstorable, UsageError
from durproj.testing import given, given_log


def orders(state, event):
    match event.type:
        case "OrderPlaced":
            return state | {"open": [*state["open"], event.data["orderId"]]}
        case "OrderPaid":
            return state | {"revenue": state["revenue"] + event.data["amount"]}
        case "OrderShipped":
            return state | {"open": [id for id in state["open"] if id != event.data["orderId"]]}
        case "Nothing":
            return None
        case "Forget":
            return {"open": state["open"]}
        case _:
            return state


orders.initial = {"open": [], "revenue": 0}


def placed(id):
    return "OrderPlaced", {"orderId": id}


def paid(amount):
    return "OrderPaid", {"amount": amount}


def told(act, error=AssertionError):
    """The lines that `act` fails with."""
    with pytest.raises(error) as caught:
        act()
    return str(caught.value).split("\n")


def body(state, event):
    return event.body


def test_the_state_in_the_end_is_compared():
    given(placed("a"), placed("b")).using(orders).then({"open": ["a", "b"], "revenue": 0})
    given().using(orders).then({"open": [], "revenue": 0})
    given().using(orders, initial={"open": ["x"]}).when(placed("a")).then({"open": ["x", "a"]})
    given(key="u7").using(orders, initial=lambda key: {"for": key}).then({"for": "u7"})
    given(placed("a")).using("counts").then(
        {"events": 1, "types": {"OrderPlaced": 1}, "first": None, "last": None}
    )


def test_a_scenario_is_never_changed_so_that_tests_can_share_it():
    base = given(placed("a")).using(orders)
    base.when(paid(1)).then({"open": ["a"], "revenue": 1}).when(paid(2)).then(
        {"open": ["a"], "revenue": 3}
    )
    base.then({"open": ["a"], "revenue": 0})
    assert base.when(paid(5)).states() == [
        {"open": ["a"], "revenue": 0},
        {"open": ["a"], "revenue": 5},
    ]
    assert base.when(paid(5)).state["revenue"] == 5


def test_every_difference_is_told_with_its_path_and_the_event_that_made_it():
    scenario = given(placed("a"), paid(40)).when(placed("b"), ("Other",)).using(orders)
    assert told(lambda: scenario.then({"open": ["a", "c"], "revenue": 4, "name": "x"})) == [
        "3 differences in the state after 4 events",
        '  open[1]: expected "c", was "b" (set by event 2 OrderPlaced)',
        "  revenue: expected 4, was 40 (set by event 1 OrderPaid)",
        '  name: expected "x", is missing (no event set it)',
        '  the whole state: {"open":["a","b"],"revenue":40}',
    ]
    assert told(lambda: scenario.then({"open": ["a", "b"]}))[1] == (
        "  revenue: not expected, was 40 (set by event 1 OrderPaid)"
    )
    assert told(lambda: scenario.then([1])) == [
        "1 difference in the state after 4 events",
        '  the state: expected [1], was {"open":["a","b"],"revenue":40} (set by event 2 OrderPlaced)',
    ]


def test_what_was_removed_and_what_never_changed_is_told_so():
    scenario = given(("Forget",), placed("a"), {"type": "Forget", "id": "e9"}).using(orders)
    assert told(lambda: scenario.then({"open": ["a"], "revenue": 0}))[1] == (
        "  revenue: expected 0, is missing (removed by event 0 Forget)"
    )
    assert told(lambda: given(placed("a")).using(orders).then({"open": ["a"], "revenue": 2}))[
        1
    ] == ("  revenue: expected 2, was 0 (so from the start)")
    named = given({"type": "OrderPaid", "id": "e9", "data": {"amount": 3}}).using(orders)
    assert told(lambda: named.then({"open": [], "revenue": 0}))[1].endswith(
        "(set by event 0 OrderPaid (e9))"
    )


def test_elements_that_are_missing_or_too_many_are_told_alone():
    scenario = given(placed("a"), placed("b"), placed("c")).using(orders)
    lines = told(lambda: scenario.then({"open": ["a", "x", "b", "c"], "revenue": 0}))
    assert lines[1:-1] == ['  open[1]: expected "x", is missing (set by event 2 OrderPlaced)']
    lines = told(lambda: scenario.then({"open": ["b", "c"], "revenue": 0}))
    assert lines[1:-1] == ['  open[0]: not expected, was "a" (set by event 0 OrderPlaced)']


def test_long_values_are_cut_to_where_they_differ_and_many_differences_to_ten():
    long = "x" * 500
    scenario = given({"type": "T", "a": long + "1"}).using(body)
    line = told(lambda: scenario.then({"type": "T", "a": long + "2"}))[1]
    assert re.fullmatch(r'  a: expected …x{20}2", was …x{20}1" \(set by event 0 T\)', line)
    many = given({"type": "T", **{f"n{i}": i for i in range(30)}}).using(body)
    lines = told(lambda: many.then({"type": "T"}))
    assert lines[0].startswith("30 differences")
    assert len(lines) == 13
    assert lines[11] == "  and 20 more"
    assert len(lines[12]) < 200


def test_expected_values_may_be_what_compares_equal():
    scenario = given(paid(0.1), paid(0.2)).using(orders)
    scenario.then({"open": ANY, "revenue": pytest.approx(0.3)})
    lines = told(lambda: scenario.then({"open": [], "revenue": pytest.approx(0.4)}))
    assert lines[1].startswith("  revenue: expected 0.4 ± ")
    assert "is missing" in told(lambda: scenario.then({"open": [], "revenue": ANY, "x": ANY}))[1]
    assert "expected true, was 1" in told(
        lambda: given(("T", {"x": 1})).using(lambda _, event: event.data).then({"x": True})
    )[1]  # fmt: skip
    given(("T", {"x": 1})).using(lambda _, event: event.data).then({"x": 1.0})


def test_what_a_terminal_would_obey_is_written_out():
    evil = "\x1b]0;x\x07\u202e"
    scenario = given({"type": evil, "a" + evil: evil}).using(body)
    for line in told(lambda: scenario.then({})):
        assert line.isprintable()

    def fails(state, event):
        raise ValueError(evil)

    for line in told(lambda: given((evil,)).using(fails).then({})):
        assert line.isprintable()


def test_an_event_that_fails_fails_the_test_and_says_where():
    scenario = given(placed("a")).when(("OrderPaid", {})).using(orders)
    first, place, before = told(lambda: scenario.then({}))
    assert first == "event 1 OrderPaid failed: KeyError: 'amount'"
    assert re.fullmatch(r"  raised at .*test_scenario\.py:\d+ in orders", place)
    assert before == '  the state before it: {"open":["a"],"revenue":0}'
    for ask in (scenario.states, lambda: scenario.state):
        assert told(ask)[0] == first
    with pytest.raises(AssertionError) as caught:
        scenario.then({})
    assert type(caught.value.__cause__) is KeyError


def test_a_failure_can_be_what_is_expected():
    scenario = given(placed("a")).when(("OrderPaid", {})).using(orders)
    assert type(scenario.then_fails()) is KeyError
    scenario.then_fails(KeyError, match="am.unt", at=1)
    scenario.then_fails((ValueError, LookupError))
    assert told(lambda: scenario.then_fails(ValueError))[-1] == "  expected: ValueError"
    assert told(lambda: scenario.then_fails((ValueError, OSError), match="x"))[-1] == (
        "  expected: ValueError or OSError with a match for 'x'"
    )
    assert told(lambda: scenario.then_fails(KeyError, match="x"))[0].startswith("event 1 OrderPaid")
    assert told(lambda: scenario.then_fails(at=0))[-1] == "  expected to fail: event 0"
    fine = given(placed("a")).using(orders)
    assert told(fine.then_fails) == ['no event failed: 1 event gave {"open":["a"],"revenue":0}']


def test_a_failure_among_the_given_events_is_not_the_expected_one():
    scenario = given(("OrderPaid", {})).when(placed("a")).using(orders)
    assert told(scenario.then_fails)[-1] == "  expected to fail: one of the new events"
    scenario.then_fails(at=0)
    given(("OrderPaid", {})).using(orders).then_fails(KeyError)


def test_what_a_run_refuses_to_record_fails():
    given(("Nothing",)).using(orders).then_fails(
        Unstorable, match="the reducer returned None", at=0
    )
    given(("T",)).using(lambda *_: {"x": float("nan")}).then_fails(
        Unstorable, match=r"\$\.x is nan"
    )
    given(("T",)).using(lambda *_: {1, 2}).then_fails(Unstorable)
    lines = told(lambda: given(("Nothing",)).using(orders).then({}))
    assert [line for line in lines if "raised at" in line] == []

    def leaves(state, event):
        raise SystemExit(3)

    given(("T",)).using(leaves).then_fails(SystemExit)


def test_each_step_gets_the_state_as_decoded_and_an_event_of_its_own():
    kinds = []

    def tuples(state, event):
        kinds.append(type(state["t"]))
        event.data["seen"] = True
        state["t"].append(1)  # in place, as a run allows
        return {"t": tuple(state["t"])}

    scenario = given(("T", {}), ("T", {})).using(tuples, initial={"t": []})
    scenario.then({"t": [1, 1]})
    assert set(kinds) == {list}
    assert [event.data for event in scenario.stream.events] == [{}, {}]


def test_a_reducer_that_goes_by_something_else_than_its_arguments_is_caught():
    def dice(state, event):
        return {"fixed": 1, "n": random.random()}

    lines = told(lambda: given(("T",), ("U",)).using(dice).then({}))
    assert lines[0] == (
        "the reducer is not deterministic: event 0 T was applied to the same state twice"
    )
    assert re.fullmatch(r"  n: first 0\.\d+, then 0\.\d+", lines[1])
    assert "no clock" in lines[2]

    def collects(state, event, seen=[]):  # noqa: B006
        seen.append(event.type)
        return {"n": len(seen)}

    assert "not deterministic" in told(lambda: given(("T",)).using(collects).state)[0]

    def reorders(state, event, seen=[]):  # noqa: B006
        seen.append(1)
        return {"a": 1, "b": 1} if len(seen) % 2 else {"b": 1, "a": 1}

    assert "in another order" in told(lambda: given(("T",)).using(reorders).state)[1]

    def fails_later(state, event, seen=[]):  # noqa: B006
        seen.append(1)
        if len(seen) > 1:
            raise ValueError("now")
        return state

    assert told(lambda: given(("T",)).using(fails_later).state)[1] == (
        "  first it gave a state, then it failed with ValueError: now"
    )


def test_a_reducer_that_remembers_earlier_events_is_caught_though_every_whole_fold_is_the_same():
    memory = []

    def remembers(state, event):
        if not state:
            memory.clear()
        memory.append(event.type)
        return {"types": list(memory)}

    events = [("T",), ("U",), ("V",)]
    made = [Event("k", *event) for event in events]
    assert functools.reduce(remembers, made, {}) == functools.reduce(remembers, made, {})
    assert "not deterministic: event 1 U" in told(lambda: given(events).using(remembers).state)[0]


def test_an_event_is_written_as_a_whole_line_in_short_or_as_an_event():
    line = {"kind": "T", "userId": 7, "x": 1, "payload": {"a": 1}}
    found = given(line, mapping=Mapping(type="kind")).stream
    (event,) = found.events
    assert (found.key, event.key, event.type, event.data) == ("7", "7", "T", {"a": 1})
    assert event.body == line

    (event,) = given(("T", [1])).stream.events
    assert (event.key, event.type, event.data) == ("all", "T", [1])
    assert event.body == {"type": "T", "data": [1]}
    assert given(("T",)).stream.events[0].data == {}

    made = Event("u1", "T", "e1", 5, {"a": 1})
    (event,) = given(made).stream.events
    assert (event.key, event.type, event.id, event.time, event.data) == (
        "u1",
        "T",
        "e1",
        5,
        {"a": 1},
    )
    assert event.body == {"key": "u1", "type": "T", "id": "e1", "time": 5, "data": {"a": 1}}
    (again,) = given(event).stream.events
    assert again.line == event.line


def test_lists_of_events_may_be_mixed_in():
    scenario = given([placed("a"), [placed("b")]], (placed("c"), placed("d")), iter([placed("e")]))
    assert scenario.using(orders).state["open"] == ["a", "b", "c", "d", "e"]


def test_short_events_are_put_into_the_envelope_of_the_whole_lines():
    whole = {"eventType": "T", "userId": "u1", "payload": {"a": 1}}
    _, second = given(whole).when(("U", {"b": 2})).stream.events
    assert json.loads(second.line) == {"userId": "u1", "eventType": "U", "payload": {"b": 2}}
    assert (second.key, second.type, second.data) == ("u1", "U", {"b": 2})
    deep = Mapping(key="actor.login", type="/a~1b/0", data="")
    (event,) = given(("T", {"x": 1}), key="k", mapping=deep).stream.events
    assert json.loads(event.line) == {"x": 1, "actor": {"login": "k"}, "a/b": {"0": "T"}}
    assert (event.key, event.type) == ("k", "T")


def test_one_stream_of_several_is_chosen_by_its_key():
    lines = [{"type": "T", "key": key, "n": n} for n, key in enumerate("abab")]
    scenario = given(lines[:2], key="b").when(lines[2:]).using(body)
    assert [state["n"] for state in scenario.states()] == [1, 3]
    assert scenario.stream.known == 1
    assert told(lambda: given(lines).using(body).state, UsageError) == [
        'these are events of 2 streams: "a", "b"',
        "a state is that of one stream; say which: key='a'",
    ]
    assert told(lambda: given(lines, key="c").using(body).state, UsageError) == [
        "no event has the key 'c'",
        "there are: a, b",
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: given("OrderPlaced"), "'OrderPlaced' is no event.*given_log"),
        (lambda: given(5), "5 is no event"),
        (lambda: given(("T", 1, 2)), "no event"),
        (lambda: given({"x": {1}}), r"event 0 cannot stand in a log: \$.x is a set"),
        (lambda: given(("T",), ("U", {"x": 2**70})), "event 1 cannot stand in a log.*64 bits"),
        (lambda: given({"type": [1]}, mapping=Mapping(type="type")), "event 0 is not an event: the type"),
        (lambda: given({"user": "a", "key": "b"}), r"2 fields could be the key.*mapping=durproj.Mapping"),
        (lambda: given({"x": 1}, ("T",)), "the other lines have no type"),
        (lambda: given({"type": "T"}, ("T", [1])), "the line itself is the data"),
        (lambda: given({"key": "a"}, {"x": 1}, mapping=Mapping(key="key")), "event 1 has no key"),
        (lambda: given(Event("k", line=b"{nope")), "the line of event 0 is not JSON"),
        (lambda: given(Event("k", "T", line=b'{"type":"U"}')), "the line of event 0 gives.*is not Event"),
        (lambda: given(placed("a")).using("nope"), "no built-in reducer"),
        (lambda: given(placed("a")).using(lambda state: state), "is not a reducer"),
        (lambda: given(placed("a")).using(orders, initial={1}), "cannot be stored"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_words(make, words):
    def use():
        scenario = make()
        return scenario.stream

    assert re.search(words, " ".join(told(use, UsageError)))


def test_without_a_reducer_there_is_no_state():
    with pytest.raises(UsageError, match=r"no reducer.*\n.*using"):
        _ = given(placed("a")).state


def test_a_log_gives_the_events_of_one_stream(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [{"eventId": n, "type": "T", "userId": key, "n": n} for n, key in enumerate("abab")]
    log.write_text("\n".join(map(json.dumps, [*lines, {"type": "T"}])) + "\n\n")
    with pytest.raises(durproj.BadEvent, match=r"log\.jsonl:5: byte 2\d\d: the line has no key"):
        given_log(log, "b", mapping=Mapping(key="userId"))
    scenario = given_log(log, "b", mapping=Mapping(key="userId"), no_key="skip").using(body)
    assert [state["n"] for state in scenario.when(("T", {"n": 9})).states()] == [1, 3, 9]
    with pytest.raises(NotFound, match=r"no event has the key 'c'\nthere are: a, b"):
        given_log(log, "c", mapping=Mapping(key="userId"), no_key="skip")
    log.write_text('{"type":"T","n":1}\n{"type":"T","n":2}\n')
    assert given_log(str(log)).using(body).state == {"type": "T", "n": 2}
    log.write_text('{"type":"T"}\n[]\n')
    with pytest.raises(durproj.BadEvent, match=":2: byte 13: an array"):
        given_log(log)


def test_the_states_are_those_that_a_run_records(durproj, tmp_path):
    root = durproj.folder
    (root / "shop.py").write_text(
        "def total(state, event):\n"
        "    return {'n': state.get('n', 0) + 1, 'parts': (event.key, event.data)}\n"
    )
    lines = [{"id": n, "type": "T", "userId": "u1", "data": {"x": n / 3}} for n in range(5)]
    (root / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert durproj("run", "log.jsonl", "--reducer", "shop.py:total").code == 0
    recorded = [
        durproj("inspect", "projection/u1", "--step", n, "--json").json[0]["state"]
        for n in range(5)
    ]
    scenario = given(lines).using(f"{root}/shop.py:total")
    assert scenario.states() == recorded
    assert given_log(root / "log.jsonl").using(f"{root}/shop.py:total").states() == recorded
