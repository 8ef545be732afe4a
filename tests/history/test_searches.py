"""find: conditions over steps, what they are in CEL, and how few checkpoints a bisection reads."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

import pytest

import durproj
from durproj.errors import NotFound, StoreDamaged, UsageError
from durproj.history.expressions import LONGEST, Condition, Unevaluable
from durproj.stores import loading
from durproj.stores.sqlite import SqliteStore


def account(state, event):
    if event.type == "Noted":
        return state
    if event.type == "Broken":
        raise ValueError("broken")
    sign = 1 if event.type == "Paid" else -1
    return {"n": state["n"] + 1, "balance": state["balance"] + sign * event.data["amount"]}


account.initial = {"n": 0, "balance": 0}


def line(user, type, amount=0, **more):
    return json.dumps({"user": user, "type": type, "amount": amount, **more}) + "\n"


@pytest.fixture
def fold(tmp_path):
    """`fold(lines)` folds a log into the store, whose path it returns."""

    def into(lines, reducer=account, **how):
        log = tmp_path / f"{how.get('name', 'log')}.jsonl"
        log.write_text("".join(lines))
        durproj.fold(log, reducer=reducer, store=tmp_path / "s.db", durability="batch", **how)
        return tmp_path / "s.db"

    return into


@pytest.fixture
def ledger(fold):
    amounts = [("Paid", 5), ("Spent", 7), ("Spent", 1), ("Paid", 9), ("Noted", 0), ("Spent", 8)]
    return fold([line("u1", *each) for each in amounts])


def steps(found):
    return [record["step"] for record in found]


def test_the_first_step_at_which_it_became_true_comes_with_its_event_and_what_it_changed(ledger):
    (found,) = durproj.find("projection/u1", "state.balance < 0", store=ledger)
    assert found == {
        "type": "match",
        "id": "projection/u1",
        "step": 1,
        "became": True,
        "event": {"id": None, "type": "Spent", "time": None},
        "changes": [
            {"path": "n", "kind": "changed", "old": 1, "new": 2},
            {"path": "balance", "kind": "changed", "old": 5, "new": -2},
        ],
        "state": {"n": 2, "balance": -2},
    }


def test_all_steps_at_which_it_holds_tell_where_it_became_true(ledger):
    found = list(durproj.find("projection/u1", "state.balance < 0", which="all", store=ledger))
    assert [(each["step"], each["became"]) for each in found] == [(1, True), (2, False), (5, True)]


def test_the_newest_step_at_which_it_holds(ledger):
    (found,) = durproj.find("projection/u1", "state.balance > 5", which="last", store=ledger)
    assert (found["step"], found["became"]) == (4, False)
    (found,) = durproj.find("projection/u1", "step == 3", which="last", store=ledger)
    assert (found["step"], found["became"]) == (3, True)
    (found,) = durproj.find("projection/u1", "step >= 0", which="last", bisect=False, store=ledger)
    assert found["step"] == 5


def test_an_event_has_its_envelope_its_data_and_its_body(fold):
    store = fold([line("u1", "Paid", 1, id="e7", time="2024-05-01T00:00:00Z", note="x")])
    for condition in (
        'event.key == "u1"',
        'event.type == "Paid"',
        'event.id == "e7"',
        'timestamp(event.time) < timestamp("2024-05-02T00:00:00Z")',
        "event.data.amount == 1",
        'event.body.note == "x" && event["body"]["user"] == "u1"',
        'event.key == "u1" && size(event) == 6',
    ):
        assert steps(durproj.find("projection/u1", condition, store=store)) == [0], condition


def test_over_all_projections_each_one_that_has_it_is_found_once(fold):
    lines = [line(f"u{n % 10}", "Spent" if n % 3 else "Paid", n) for n in range(40)]
    store = fold(lines)
    fold(lines, name="other")
    search = durproj.find(None, "state.balance < -50", store=store)
    found = list(search)
    assert {each["id"].partition("/")[0] for each in found} == {"projection", "other"}
    assert len({each["id"] for each in found}) == len(found) < 20
    assert (search.workflows, search.found, search.matches) == (20, len(found), len(found))
    named = list(durproj.find(None, "state.balance < -50", name="other", store=store))
    assert named == [each for each in found if each["id"].startswith("other/")]
    with pytest.raises(NotFound, match=r"no workflow in .* has the name nope"):
        list(durproj.find(None, "step == 0", name="nope", store=store))


def test_where_a_field_is_missing_a_condition_does_not_hold(fold):
    def sparse(state, event):
        return state | {event.type: event.data["amount"]}

    sparse.initial = {}
    store = fold([line("u1", "a", 1), line("u1", "b", -2), line("u1", "c", 3)], sparse)
    search = durproj.find("projection/u1", "state.b < 0", which="all", store=store)
    assert steps(search) == [1, 2]
    assert search.failed == 0
    assert steps(durproj.find("projection/u1", "has(state.c)", store=store)) == [2]


def test_a_condition_that_holds_nowhere_since_it_can_be_evaluated_nowhere_is_refused(ledger):
    with pytest.raises(UsageError, match=r"none of 6 steps: projection/u1#5: .*'blance'"):
        list(durproj.find("projection/u1", "state.blance < 0", store=ledger))
    with pytest.raises(UsageError, match="none of 6 steps"):
        list(durproj.find(None, "state.n < 'a'", store=ledger))
    with pytest.raises(UsageError, match="none of 2 steps"):
        list(durproj.find("projection/u1", "state.blance < 0", bisect=True, store=ledger))


def test_steps_at_which_the_kinds_do_not_fit_are_counted(fold):
    def kinds(_state, event):
        return {"x": event.data["amount"]}

    store = fold([line("u1", "T", amount) for amount in (None, 1, "a", 2.5)], kinds)
    search = durproj.find("projection/u1", "state.x > 1", store=store)
    assert steps(search) == [3]
    assert search.failed == 2
    assert search.reason.startswith("projection/u1#2: ")


def test_integers_and_fractions_compare_exactly(fold):
    def kept(_state, event):
        return {"x": event.data["amount"]}

    amounts = [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2.0, -(2**63)]
    store = fold([line("u1", "T", amount) for amount in amounts], kept)

    def at(condition):
        return steps(durproj.find("projection/u1", condition, which="all", store=store))

    assert at("state.x == 9007199254740993") == [1]
    assert at("state.x > 9223372036854775807") == [3, 4]
    assert at("state.x == 18446744073709551615u") == [4]
    assert at("state.x == 2") == at("state.x == 2.0") == [5]
    assert at("state.x < 0.5") == [6]
    assert at("state.x >= 2.5") == [0, 1, 2, 3, 4]


def test_a_skipped_step_keeps_the_state_and_says_so(fold):
    store = fold([line("u1", "Paid", 3), line("u1", "Broken"), line("u1", "Paid")], on_error="skip")
    (found,) = durproj.find("projection/u1", 'event.type == "Broken"', store=store)
    assert found["skipped"] == {"kind": "ValueError", "message": "broken"}
    assert (found["changes"], found["state"]) == ([], {"n": 1, "balance": 3})


def test_a_parked_projection_is_searched_as_far_as_it_goes_and_one_without_a_step_is_none(fold):
    lines = [line("a", "Paid", 3), line("a", "Broken"), line("b", "Broken")]
    store = fold(lines, on_error="park")
    search = durproj.find(None, "state.n == 1", store=store)
    assert [each["id"] for each in search] == ["projection/a"]
    assert search.workflows == 2
    for how in ({}, {"which": "last"}, {"bisect": True}):
        assert list(durproj.find("projection/b", "state.n == 1", store=store, **how)) == []


def program(ctx):
    return (yield ctx.run(len, "abc"))


def test_a_program_has_no_states_to_search(fold):
    store = fold([line("a", "Paid", 3)])
    durproj.run("checkout/A-17", program, store=store)
    with pytest.raises(UsageError, match="checkout/A-17 is a program's workflow"):
        list(durproj.find("checkout/A-17", "step == 0", store=store))
    with pytest.raises(UsageError, match="checkout/… is a program's workflow"):
        list(durproj.find(None, "step == 0", name="checkout", store=store))
    found = durproj.find(None, "step == 0", store=store)
    assert [each["id"] for each in found] == ["projection/a"]


@pytest.fixture
def unpacked(monkeypatch):
    """The segments that were unpacked, by their first step."""
    found = []
    unpack = loading.unpack

    def counted(id, segment, name):
        found.append(segment.start)
        return unpack(id, segment, name)

    monkeypatch.setattr(loading, "unpack", counted)
    return found


def test_a_bisection_unpacks_few_segments(fold, unpacked):
    store = fold([line("u1", "Paid", 1) for _ in range(30_000)])
    unpacked.clear()
    (found,) = durproj.find("projection/u1", "state.n > 22222", bisect=True, store=store)
    assert (found["step"], found["became"], found["event"]["type"]) == (22222, True, "Paid")
    assert found["read"] <= 2 + 15  # the ends, and 2**15 > 30,000
    assert len(unpacked) <= 2 + 8 + 2  # of 118 segments; 2**7 > 118
    plain = next(durproj.find("projection/u1", "state.n > 22222", store=store))
    assert {name: value for name, value in found.items() if name != "read"} == plain


@pytest.mark.parametrize("first", [1, 2, 3, 255, 256, 257, 511, 599])
def test_a_bisection_finds_what_a_search_finds(fold, first):
    store = fold([line("u1", "Paid", 1) for _ in range(600)])
    condition = f"state.n > {first}"
    assert steps(durproj.find("projection/u1", condition, bisect=True, store=store)) == [first]


def test_a_bisection_says_what_it_cannot_see(ledger):
    search = durproj.find("projection/u1", "state.n > 0", bisect=True, store=ledger)
    assert [(each["step"], each["read"]) for each in search] == [(0, 1)]
    assert search.aside == "it holds at the first step already, 0"
    search = durproj.find("projection/u1", "step == 2", bisect=True, store=ledger)
    assert list(search) == []
    assert search.aside.startswith("it does not hold at the last step, 5; ")
    with pytest.raises(UsageError, match="--bisect finds the first step"):
        durproj.find("projection/u1", "step == 2", bisect=True, which="all", store=ledger)


def test_damage_is_reported_and_not_searched(fold):
    store = fold([line("u1", "Paid", 1) for _ in range(600)])
    with closing(sqlite3.connect(store)) as raw, raw:
        raw.execute("UPDATE segment SET packed = zeroblob(length(packed)) WHERE start = 256")
    search = durproj.find("projection/u1", "state.n > 300", store=store)
    with pytest.raises(StoreDamaged, match="steps 256 to 511"):
        next(search)
    assert search.matches == 0


def test_a_store_that_is_being_written_is_searched_as_it_was_when_it_was_opened(fold):
    store = fold([line("u1", "Paid", 1) for _ in range(20)])
    with closing(SqliteStore.open_writer(store)):
        assert steps(durproj.find("projection/u1", "state.n == 20", store=store)) == [19]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state.balance <", "at character 16: it ends where a value was expected"),
        ("state.balance = 0", "at character 15: '=' means nothing there"),
        ("state.a == 1 and true", "at character 14: met 'and', where an operator or the end was"),
        ("(1", "at character 3: "),
        ("state.a <\n< 2", "at line 2, character 1: met '<', where a value was expected"),
        ("", "at character 1: it ends where a value was expected"),
        ("\x1b]0;x < 1", "at character 1: '\\x1b' means nothing there"),
        ("(" * 900 + "1" + ")" * 900, "Recursion limit"),
        ("99999999999999999999 < state.a", "at character 1: invalid int literal"),
        ("!!(!!!!!!(!!!!(((((!!(!!(!!!!((" * 60 + "1", "cannot be read"),
        ("state.a" * LONGEST, "more than 2,000"),
    ],
)
def test_what_is_no_condition_is_told_with_its_place(text, said):
    with pytest.raises(UsageError) as refused:
        Condition(text)
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state.n", "gives the number 3"),
        ("state", "gives an object"),
        ("null", "gives null"),
        ("'x'", "gives text"),
        ("[1].map(x, x)", "gives a list"),
        ("balance < 0", "speaks of 'balance', which is not one of its variables"),
    ],
)
def test_what_gives_no_answer_is_refused(text, said):
    with pytest.raises(UsageError) as refused:
        Condition(text).holds({"state": {"n": 3}})
    assert said in refused.value.message


HOSTILE = {"state": {"n": 3, "s": "a" * 50_000 + "b"}}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('state.s.matches("^(a+)+$")', False),
        ("+".join(["1"] * 995) + " > 0", True),
        ("!" * 500 + "true", True),
        ("size(state" + ".n" * 950 + ") > 0 || true", True),
    ],
)
def test_hostile_conditions_are_answered(text, answer):
    assert Condition(text).holds(HOSTILE) is answer


@pytest.mark.parametrize(
    "text",
    [
        'state.s.matches("(a{1000}){1000}")',
        'state.s.matches("(")',
        "-9223372036854775807 - state.n < 0",
        "1 / (state.n - 3) == 1",
        "state.n + 1.5 > 0.0",
        "state.s.nothing() > 1",
    ],
)
def test_what_cannot_be_evaluated_says_why_in_one_line(text):
    with pytest.raises(Unevaluable) as refused:
        Condition(text).holds(HOSTILE)
    assert str(refused.value)
    assert "\n" not in str(refused.value)
    assert not refused.value.missing


def test_values_as_deep_as_events_are_can_be_searched():
    deep = json.loads("[" * 900 + "]" * 900)
    assert Condition("size(state) == 1").holds({"state": deep})


def test_only_what_a_condition_asks_for_is_handed_over():
    def uses(text):
        return Condition(text).uses

    assert uses("state.balance < 0 && state . n > 1") == {"state": {"balance", "n"}}
    assert uses('"a" in state && state.n > 1') == {"state": None}
    assert uses("state.size() > 1") == {"state": None}
    assert uses("event.type == 'state'") == {"event": {"type"}}
    assert uses("step > 1 && state['a'] == event") == {"step": None, "state": None, "event": None}


def test_the_condition_library_is_the_one_that_a_program_imports():
    Condition("true")
    import cel

    assert cel.compile is sys.modules["cel.cel"].compile


def test_what_was_before_the_steps_that_are_kept_is_not_claimed(ledger):
    list(durproj.gc(["projection/u1"], keep_last=3, store=ledger))
    first, *rest = durproj.find("projection/u1", "state.n > 0", which="all", store=ledger)
    assert (first["step"], first["became"], first["changes"], first["kept_from"]) == (
        3,
        None,
        None,
        3,
    )
    assert [record["became"] for record in rest] == [False, False]
    (found,) = durproj.find("projection/u1", "state.n > 0", bisect=True, store=ledger)
    assert (found["step"], found["became"]) == (3, None)
    (found,) = durproj.find("projection/u1", "state.n > 4", store=ledger)
    assert (found["became"], found["changes"][0]["path"]) == (True, "n")


def test_an_initial_state_that_is_not_known_was_not_empty(fold):
    made = durproj.from_function(account, initial=lambda key: {**account.initial, "of": key})
    store = fold([line("u1", "Paid", 5)], reducer=made)
    (found,) = durproj.find("projection/u1", "state.n > 0", store=store)
    assert (found["became"], found["changes"]) == (True, None)


def test_a_search_by_halving_sees_one_history(fold):
    store = fold([line(user, "Paid", 1) for user in ("u1", "u2") for _ in range(5)])
    search = durproj.find(None, "state.balance > 2", bisect=True, store=store)
    next(search)
    list(durproj.gc(["projection/u2"], drop=True, store=store))
    assert (list(search), search.workflows) == ([], 1)
