"""compare: where two folds of the same events part."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

import durproj
from durproj.errors import NotFound, UsageError
from durproj.history import compare as module
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

KEYS = [f"u{n}" for n in range(6)]


def line(user, n, type="T"):
    return json.dumps({"user": user, "type": type, "n": n}) + "\n"


LINES = [line(user, n) for n in range(10) for user in KEYS]


def total(state, event):
    return {
        "events": state["events"] + 1,
        "sum": state["sum"] + event.data["n"],
        "of": {"a": [1, 2]},
    }


total.initial = {"events": 0, "sum": 0}


def turned(state, event):
    """The same states, written in another order."""
    return dict(reversed(total(state, event).items()))


def versioned(state, event):
    following = total(state, event)
    return following | {"version": 2, "of": {"a": [1, state["events"]]}}


def parted(state, event):
    following = total(state, event)
    if event.key == "u2" and following["events"] == 5:
        following["sum"] += 100
    if event.key == "u4" and following["events"] == 4:
        following["extra"] = True
    return {
        name: value for name, value in following.items() if name in ("extra", "events", "sum", "of")
    }


for reducer in (turned, versioned, parted):
    reducer.initial = total.initial


@pytest.fixture
def fold(tmp_path):
    def into(name, reducer=total, lines=LINES, **how):
        log = tmp_path / f"{name}.jsonl"
        log.write_text("".join(lines))
        durproj.fold(log, reducer=reducer, name=name, store=tmp_path / "s.db", **how)
        return tmp_path / "s.db"

    return into


def compared(*args, **how):
    *records, summary = durproj.compare(*args, **how)
    assert summary.pop("type") == "summary"
    return records, {name: value for name, value in summary.items() if type(value) is int and value}


def test_the_same_states_are_the_same_in_whatever_order_their_names_are(fold):
    fold("one")
    store = fold("two", turned)
    assert compared("one", "two", store=store) == ([], {"keys": 6, "same": 6})
    records, _ = compared("one", "two", equal=True, store=store)
    assert [(each["key"], each["result"]) for each in records] == [(key, "same") for key in KEYS]


def test_the_first_step_at_which_states_differ_is_told_with_its_event_and_its_paths(fold):
    fold("one")
    store = fold("two", parted)
    records, counts = compared("one", "two", store=store)
    assert counts == {"keys": 6, "same": 4, "different": 2}
    first, second = records
    assert first == {
        "type": "comparison",
        "key": "u2",
        "result": "different",
        "ids": ["one/u2", "two/u2"],
        "steps": [10, 10],
        "status": ["resolved", "resolved"],
        "step": 4,
        "event": {"id": None, "type": "T", "time": None},
        "changes": [{"path": "sum", "kind": "changed", "old": 10, "new": 110}],
        "final": "different",
    }
    assert (second["key"], second["step"], second["final"]) == ("u4", 3, "same")
    assert second["changes"] == [{"path": "extra", "kind": "added", "new": True}]


def test_the_latest_states_alone_may_be_the_same(fold):
    fold("one")
    store = fold("two", parted)
    records, counts = compared("one", "two", final=True, store=store)
    assert counts == {"keys": 6, "same": 5, "different": 1}
    assert [each["key"] for each in records] == ["u2"]
    assert "step" not in records[0]


def test_paths_that_are_ignored_are_left_out_of_both(fold):
    fold("one")
    store = fold("two", versioned)
    assert compared("one", "two", store=store)[1]["different"] == 6
    assert compared("one", "two", ignore=["version"], store=store)[1]["different"] == 6
    for part in ("of", "of.a", "of.a[1]", "/of/a/1"):
        assert compared("one", "two", ignore=["version", part], store=store)[1] == {
            "keys": 6,
            "same": 6,
        }
    records, _ = compared("one", "two", ignore=["version", "of.a[0]"], store=store)
    assert records[0]["changes"] == [{"path": "of.a[1]", "kind": "changed", "old": 2, "new": 0}]
    with pytest.raises(UsageError, match="the whole state"):
        durproj.compare("one", "two", ignore=["$"], store=store)


def test_keys_of_one_side_only_and_journals_that_go_further_are_told_apart(fold):
    fold("one", lines=[*LINES[:-6], line("only", 1)])
    store = fold("two", lines=[*LINES[:-5], line("other", 1), line("more", 2)])
    records, counts = compared("one", "two", store=store)
    assert counts == {"keys": 9, "same": 5, "steps": 1, "only_first": 1, "only_second": 2}
    assert [(each["key"], each["result"], each["steps"]) for each in records] == [
        ("u0", "steps", [9, 10]),
        ("only", "only_first", [1]),
        ("other", "only_second", [1]),
        ("more", "only_second", [1]),
    ]


def test_other_events_are_told_instead_of_what_they_made(fold):
    fold("one", lines=[line("u1", 1), line("u1", 2, "A"), line("u1", 3)])
    store = fold("two", lines=[line("u1", 1), line("u1", 20, "B"), line("u1", 3)])
    (record,), counts = compared("one", "two", store=store)
    assert counts == {"keys": 1, "event": 1}
    assert (record["result"], record["step"]) == ("event", 1)
    assert [event["type"] for event in record["events"]] == ["A", "B"]
    assert "changes" not in record


def test_events_that_are_only_written_otherwise_are_the_same(fold):
    fold("one", lines=['{"user":"u1","type":"T","n":1}\n'])
    store = fold("two", lines=['{ "type": "T", "user": "u1", "n": 1 }\n'])
    assert compared("one", "two", store=store) == ([], {"keys": 1, "same": 1})


def test_limits_leave_records_out_and_count_all(fold):
    fold("one")
    store = fold("two", versioned)
    records, counts = compared("one", "two", limit=2, store=store)
    assert [each["key"] for each in records] == ["u0", "u1"]
    assert counts == {"keys": 6, "different": 6}
    assert compared("one", "two", limit=0, store=store)[0] == []


def test_two_projections_are_compared_by_their_ids(fold):
    fold("one")
    store = fold("two", parted)
    (record,), counts = compared("one/u2", "two/u2", store=store)
    assert (record["step"], counts) == (4, {"keys": 1, "different": 1})
    (record,), _ = compared("one/u2", "two/u3", store=store)
    assert (record["result"], record["step"]) == ("event", 0)


def broken(state, event):
    if event.data["n"] == 3 or event.key == "u1":
        raise ValueError
    return total(state, event)


def test_parked_projections_are_compared_as_far_as_they_go(fold):
    fold("one")
    broken.initial = total.initial
    store = fold("two", broken, on_error="park")
    records, counts = compared("one", "two", store=store)
    assert counts == {"keys": 6, "steps": 6}
    assert records[0]["status"] == ["resolved", "parked"]
    assert (records[0]["steps"], records[1]["steps"]) == ([10, 3], [10, 0])
    records, counts = compared("one", "two", final=True, store=store)
    assert counts == {"keys": 6, "different": 6}
    # Where there is no step there is no state.
    assert records[1]["changes"][0]["kind"] == "removed"


def program(ctx):
    return (yield ctx.run(len, "abc"))


def test_what_cannot_be_compared_is_refused(fold):
    store = fold("one")
    durproj.run("pay/A", program, store=store)
    with pytest.raises(UsageError, match="one is an id, the other a name"):
        durproj.compare("one", "two/u1", store=store)
    with pytest.raises(NotFound, match=r"no workflow in .* has the name two"):
        list(durproj.compare("one", "two", store=store))
    with pytest.raises(NotFound, match="one/x: no such workflow"):
        list(durproj.compare("one/x", "one/u1", store=store))
    with pytest.raises(UsageError, match="is a program's workflow"):
        list(durproj.compare("pay/A", "one/u1", store=store))
    with pytest.raises(UsageError, match="… is a program's workflow"):
        list(durproj.compare("pay", "pay", store=store))


def test_states_of_equal_bytes_are_not_decoded(fold, monkeypatch):
    fold("one")
    store = fold("two")
    monkeypatch.setattr(module, "changes", None)
    assert compared("one", "two", store=store)[1] == {"keys": 6, "same": 6}


def trim(store, name, keep):
    with closing(SqliteStore.open_writer(store)) as opened:
        for key in KEYS:
            Journal.open(opened, f"{name}/{key}").trim(keep)


def test_what_is_not_kept_of_one_side_is_not_claimed_to_be_the_same(fold):
    fold("one", parted)
    store = fold("two")
    trim(store, "one", 3)
    records, counts = compared("one", "two", equal=True, store=store)
    assert counts == {"keys": 6, "same": 5, "different": 1}
    same, other = records[0], records[2]
    assert (same["result"], same["compared_from"], same["kept_from"]) == ("same", 7, [7, 0])
    # It may have differed before.
    assert (other["step"], other["compared_from"]) == (7, 7)


def test_where_no_step_is_kept_of_both_the_latest_states_are_compared(fold):
    fold("one", parted)
    fold("two")
    store = fold("three", lines=[*LINES, line("u0", 99)])
    trim(store, "one", 0)
    records, counts = compared("one", "two", equal=True, store=store)
    assert counts == {"keys": 6, "same": 5, "different": 1}
    assert {record["compared_from"] for record in records} == {None}
    assert ("step" in records[2], records[2]["changes"][0]["path"]) == (False, "sum")
    records, counts = compared("three", "one", store=store)
    assert (records[0]["result"], records[0]["compared_from"]) == ("steps", None)


def test_both_names_are_looked_at_before_anything_is_said(fold):
    store = fold("one", lines=[line("A", 1)])
    durproj.run("pay/A", program, store=store)
    for names in (("one", "pay"), ("pay", "one")):
        with pytest.raises(UsageError, match="pay/… is a program's workflow"):
            next(durproj.compare(*names, equal=True, store=store))


@pytest.mark.parametrize("verb", ["find", "compare"])
def test_names_that_move_meanwhile_bring_nothing_twice_and_lose_nothing(fold, verb):
    fold("one")
    store = fold("two", parted)
    if verb == "find":
        found = durproj.find(None, "step == 0", store=store)
        expected = [f"{name}/{key}" for name in ("one", "two") for key in KEYS]
    else:
        found = (
            each
            for each in durproj.compare("one", "two", equal=True, store=store)
            if each["type"] != "summary"
        )
        expected = [[f"one/{key}", f"two/{key}"] for key in KEYS]
    ids = "id" if verb == "find" else "ids"
    met = [next(found)[ids], next(found)[ids]]
    durproj.promote("two", "one", force=True, store=store)
    records = list(found)
    assert met + [each[ids] for each in records] == expected
    if verb == "compare":
        results = ["same", "same", "different", "same", "different", "same"]
        assert [each["result"] for each in records] == results[2:]
