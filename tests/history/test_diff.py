"""diff: what differs between two states."""

from __future__ import annotations

import pytest
from pasts import become, counted, keep, past, program

import durproj
from durproj.errors import NotFound, UsageError

STATES = [
    {"n": 1, "open": ["a"]},
    {"n": 2, "open": ["a", "b"]},
    {"n": 3, "open": ["b"]},
    {"n": 3, "open": ["b"]},
]


def shown(record):
    return [
        (each["path"], each["kind"], *(each[side] for side in ("old", "new") if side in each))
        for each in record["changes"]
    ]


def ends(record):
    return record["old"]["step"], record["new"]["step"]


def test_a_range_compares_the_states_after_its_ends(tmp_path):
    store = past(tmp_path, *STATES, initial={})
    record = durproj.diff("projection/u#0..2", store=store)
    assert shown(record) == [
        ("n", "changed", 1, 3),
        ("open[0]", "changed", "a", "b"),
    ]
    assert record["old"] == {
        "id": "projection/u",
        "step": 0,
        "event": {"id": "e0", "type": "Reset", "time": "2026-01-01T00:00:00.5Z"},
    }
    assert record["steps"] == 2
    assert [(each["step"], each["event"]["id"]) for each in record["events"]] == [
        (1, "e1"),
        (2, "e2"),
    ]


def test_a_step_alone_is_what_it_did(tmp_path):
    store = past(tmp_path, *STATES, initial={"n": 0})
    assert shown(durproj.diff("projection/u#1", store=store)) == [
        ("n", "changed", 1, 2),
        ("open[1]", "added", "b"),
    ]
    first = durproj.diff("projection/u#0", store=store)
    assert ends(first) == (None, 0)
    assert shown(first) == [("n", "changed", 0, 1), ("open", "added", ["a"])]
    assert shown(durproj.diff("projection/u#3", store=store)) == []


def test_ends_that_are_left_open_are_the_beginning_and_the_newest_step(tmp_path):
    store = past(tmp_path, *STATES, initial={})
    assert ends(durproj.diff("projection/u#1..", store=store)) == (1, 3)
    assert ends(durproj.diff("projection/u#..1", store=store)) == (None, 1)
    assert durproj.diff("projection/u#..", store=store)["steps"] == 4


def test_backward_a_diff_is_turned_round(tmp_path):
    store = past(tmp_path, *STATES)
    record = durproj.diff("projection/u#1..0", store=store)
    assert shown(record) == [("n", "changed", 2, 1), ("open[1]", "removed", "b")]
    assert "steps" not in record


def test_two_workflows_are_compared_as_they_are_or_after_a_step(tmp_path):
    store = past(tmp_path, *STATES)
    past(tmp_path, *STATES[:2], store=store, name="other")
    record = durproj.diff("projection/u", "other/u", store=store)
    assert shown(record) == [("n", "changed", 3, 2), ("open[0]", "added", "a")]
    assert (ends(record), record["new"]["id"], "steps" in record) == ((3, 1), "other/u", False)
    assert shown(durproj.diff("projection/u", "projection/u#2", store=store)) == []


def test_paths_restrict_it(tmp_path):
    store = past(tmp_path, *STATES)
    assert shown(durproj.diff("projection/u#0..1", path="open", store=store)) == [
        ("open[1]", "added", "b")
    ]
    assert shown(durproj.diff("projection/u#0..1", path=["n", "/open/1"], store=store)) == [
        ("n", "changed", 1, 2),
        ("open[1]", "added", "b"),
    ]


def test_what_names_no_two_states_is_refused(tmp_path):
    store = past(tmp_path, *STATES)
    for ids in (("projection/u",), ("projection/u#0..1", "projection/u"), ("projection/u#x..1",)):
        with pytest.raises(UsageError):
            durproj.diff(*ids, store=store)
    for id in ("projection/u#4", "projection/u#0..4", "projection/u#9..", "projection/x#1"):
        with pytest.raises(NotFound, match="no such"):
            durproj.diff(id, store=store)
    with pytest.raises(UsageError, match="a program's workflow: its steps are calls"):
        durproj.diff("checkout/A#1", store=program(tmp_path / "p.db"))


def test_a_workflow_without_a_step_stands_where_it_began(tmp_path):
    store = past(tmp_path, *STATES, failing=0, on_error="park", initial={"n": 0})
    record = durproj.diff("projection/u#..", store=store)
    assert (ends(record), record["changes"]) == ((None, None), [])


def test_of_many_steps_between_only_the_newest_are_named_and_unpacked(tmp_path, monkeypatch):
    store = past(tmp_path, *({"n": n} for n in range(2560)))
    unpacked = counted(monkeypatch)
    record = durproj.diff("projection/u#5..2000", store=store)
    assert (record["steps"], [each["step"] for each in record["events"]]) == (
        1995,
        list(range(1991, 2001)),
    )
    assert set(unpacked) <= {0, 1792, 2304}


def test_a_state_that_is_not_kept_any_more_is_not_found(tmp_path):
    store = past(tmp_path, *STATES)
    keep(store, 2)
    assert ends(durproj.diff("projection/u#2..3", store=store)) == (2, 3)
    for id in ("projection/u#2", "projection/u#1..3"):
        with pytest.raises(NotFound, match="no longer kept"):
            durproj.diff(id, store=store)


def test_beside_an_initial_state_that_is_not_known_nothing_is_said_to_differ(tmp_path):
    made = durproj.from_function(become, initial=lambda key: {"key": key})
    store = past(tmp_path, {"a": 1}, {"a": 2}, reducer=made)
    assert durproj.diff("projection/u#0", store=store)["changes"] is None
    assert durproj.diff("projection/u#..1", path="a", store=store)["changes"] is None
    assert len(durproj.diff("projection/u#1", store=store)["changes"]) == 1


def test_the_newest_state_is_compared_though_no_step_is_kept(tmp_path):
    store = past(tmp_path, {"a": 1}, {"a": 2}, initial={"a": 0})
    keep(store, 0)
    found = durproj.diff("projection/u#..", store=store)
    assert found["new"] == {"id": "projection/u", "step": 1, "event": None}
    assert (found["steps"], found["events"]) == (2, [])
    assert [(each["old"], each["new"]) for each in found["changes"]] == [(0, 2)]
    with pytest.raises(NotFound, match="no longer kept"):
        durproj.diff("projection/u#0", store=store)
