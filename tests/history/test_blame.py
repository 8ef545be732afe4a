"""blame: which step last set each value, and the life of one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pasts import become, counted, keep, past, program
from test_changes import values

import durproj
from durproj.errors import NotFound, UsageError
from durproj.history.changes import same
from durproj.history.paths import ABSENT, dig, parse_path


def blamed(store, id="projection/u"):
    return {each["path"]: each["step"] for each in durproj.blame(id, store=store)}


def life(store, path, id="projection/u"):
    """(step, path, old, new) of each change."""
    return [
        (record["step"], each["path"], each.get("old"), each.get("new"))
        for record in durproj.blame(id, path, store=store)
        for each in record["changes"]
    ]


def test_each_leaf_names_the_event_that_last_set_it(tmp_path):
    store = past(
        tmp_path,
        {"a": 1, "b": {"c": 1, "d": []}},
        {"a": 1, "b": {"c": 2, "d": []}},
        {"a": 2, "b": {"c": 2, "d": []}},
        {"a": 1, "b": {"c": 2, "d": []}, "e": {}},
        initial={},
    )
    assert list(durproj.blame("projection/u", store=store))[1] == {
        "type": "blame",
        "id": "projection/u",
        "path": "b.c",
        "value": 2,
        "step": 1,
        "event": {"id": "e1", "type": "Set", "time": "2026-01-01T00:00:01.5Z"},
    }
    assert blamed(store) == {"a": 3, "b.c": 1, "b.d": 0, "e": 3}
    assert blamed(store, "projection/u#1") == {"a": 0, "b.c": 1, "b.d": 0}


def test_an_element_that_moved_keeps_its_blame(tmp_path):
    store = past(tmp_path, ["a", "b"], ["a", "b", "c"], ["b", "c"], ["x", "b", "c"], initial=[])
    assert blamed(store) == {"$[0]": 3, "$[1]": 0, "$[2]": 1}
    one, two = {"id": 1, "paid": False}, {"id": 2, "paid": False}
    store = past(tmp_path, {"o": [one]}, {"o": [one, two]}, {"o": [two | {"paid": True}]})
    assert blamed(store) == {"o[0].id": 1, "o[0].paid": 2}


def test_what_is_emptied_was_set_by_what_emptied_it(tmp_path):
    store = past(
        tmp_path, {"l": [1], "o": {"x": 1}}, {"l": [], "o": {}}, {"l": [], "o": {}, "n": 1}
    )
    assert blamed(store) == {"l": 1, "o": 1, "n": 2}


def test_what_was_there_before_any_event_is_blamed_on_none(tmp_path):
    store = past(tmp_path, {"a": 1, "b": 1}, {"a": 1, "b": 2}, initial={"a": 1, "b": 1})
    first, second = durproj.blame("projection/u", store=store)
    assert (first["step"], first["event"], second["step"]) == (None, None, 1)
    made = durproj.from_function(become, initial=lambda key: {"a": 1, "key": key})
    store = past(tmp_path, {"a": 1}, {"a": 1, "b": 2}, reducer=made)
    first, second = durproj.blame("projection/u", store=store)
    assert (first["step"], first["at_latest"], second["step"]) == (None, 0, 1)
    assert "kept_from" not in first
    (record,) = durproj.blame("projection/u", "a", store=store)
    assert (record["step"], record["at_latest"], record["changes"][0]["new"]) == (None, 0, 1)
    with pytest.raises(NotFound, match="has not had it since step 0, and what was before"):
        list(durproj.blame("projection/u", "key", store=store))


def test_a_state_may_be_one_leaf(tmp_path):
    assert blamed(past(tmp_path, 1, 1.0, 1.0)) == {"$": 1}
    assert blamed(past(tmp_path, {"a": 1}, {})) == {"$": 1}


def test_a_workflow_without_a_step_shows_its_initial_state(tmp_path):
    store = past(tmp_path, 1, failing=0, on_error="park", initial={"a": 5})
    assert blamed(store) == {"a": None}
    made = durproj.from_function(become, initial=lambda key: {"key": key})
    store = past(tmp_path, 1, failing=0, on_error="park", reducer=made)
    assert blamed(store) == {}


def test_the_life_of_a_value_is_every_step_that_changed_it(tmp_path):
    store = past(tmp_path, {"a": 1}, {"a": 2}, {"a": 2, "b": 0}, {}, {"a": 3}, initial={})
    assert life(store, "a") == [
        (0, "a", None, 1),
        (1, "a", 1, 2),
        (3, "a", 2, None),
        (4, "a", None, 3),
    ]
    assert life(store, "a", "projection/u#1") == [(0, "a", None, 1), (1, "a", 1, 2)]
    # What is not there now has had a life all the same.
    assert life(store, "b") == [(2, "b", None, 0), (3, "b", 0, None)]
    store = past(tmp_path, {"a": 1}, {"a": 2}, initial={"a": 1})
    assert life(store, "a") == [(None, "a", None, 1), (1, "a", 1, 2)]


def test_an_element_is_followed_through_the_places_it_had(tmp_path):
    lists = [
        [{"id": 1, "n": 0}],
        [{"id": 1, "n": 0}, {"id": 2, "n": 0}],
        [{"id": 1, "n": 7}, {"id": 2, "n": 5}],
        [{"id": 2, "n": 5}],
        [{"id": 3, "n": 0}, {"id": 2, "n": 6}],
    ]
    store = past(tmp_path, *({"l": each} for each in lists), initial={})
    assert life(store, "l[1].n") == [
        (1, "l[1].n", None, 0),
        (2, "l[1].n", 0, 5),
        (4, "l[1].n", 5, 6),
    ]
    assert life(store, "/l/1/n") == life(store, "l[1].n")
    assert life(store, "l[0].n", "projection/u#3") == [(1, "l[1].n", None, 0), (2, "l[1].n", 0, 5)]


def test_a_value_that_never_was_is_not_found(tmp_path):
    store = past(tmp_path, {"a": [1]}, {"a": []})
    with pytest.raises(NotFound, match="b: projection/u has never had it"):
        life(store, "b")
    with pytest.raises(NotFound, match=r"a\[0\]: there is no such element .* after step 1"):
        life(store, "a[0]")
    with pytest.raises(NotFound, match="no such step"):
        blamed(store, "projection/u#2")
    with pytest.raises(UsageError, match="cannot be read"):
        life(store, "a[")
    with pytest.raises(UsageError, match="a program's workflow: its steps are calls"):
        blamed(program(tmp_path / "p.db"), "checkout/A")


def test_it_goes_back_no_further_than_it_must(tmp_path, monkeypatch):
    store = past(tmp_path, *({"n": n} for n in range(2560)))
    unpacked = counted(monkeypatch)
    assert blamed(store, "projection/u#2000") == {"n": 2000}
    assert set(unpacked) <= {1792, 2304}


def test_what_began_before_the_history_that_is_kept_says_so(tmp_path):
    store = past(tmp_path, {"a": 1}, {"a": 1, "b": [1]}, {"a": 1, "b": [1, 2]}, initial={})
    keep(store, 2)
    first, second, third = durproj.blame("projection/u", store=store)
    assert (first["step"], first["kept_from"], second["at_latest"]) == (None, 1, 1)
    assert (third["step"], "at_latest" in third) == (2, False)
    (record,) = durproj.blame("projection/u", "a", store=store)
    assert (record["step"], record["kept_from"], record["changes"][0]["new"]) == (None, 1, 1)
    with pytest.raises(NotFound, match="has not had it since step 1, and what was before"):
        list(durproj.blame("projection/u", "c", store=store))


def test_of_a_state_of_which_no_step_is_kept_all_is_as_old_as_its_last_step(tmp_path):
    store = past(tmp_path, {"a": 1}, {"a": 1, "b": 2}, initial={})
    keep(store, 0)
    for id in ("projection/u", "projection/u#1"):
        for record in durproj.blame(id, store=store):
            assert (record["step"], record["at_latest"], record["kept_from"]) == (None, 1, 2)
    (record,) = durproj.blame("projection/u", "b", store=store)
    assert (record["at_latest"], record["changes"][0]["new"]) == (1, 2)


@example([[None], [], False, [None]])
@example([[None], {"0": None}])
@example([[], [None], {"1": None}])
@example([{"a": []}, {"a": [None]}, {}, {"a": {"1": None}}])
@given(st.lists(values.filter(lambda value: value is not None), min_size=1, max_size=6))
def test_the_last_step_in_a_life_is_the_one_that_is_blamed(states):
    with tempfile.TemporaryDirectory() as folder:
        store = past(Path(folder), *states, initial={})
        for leaf in durproj.blame("projection/u", store=store):
            records = list(durproj.blame("projection/u", leaf["path"], store=store))
            assert records[-1]["step"] == leaf["step"]
            assert same(dig(states[-1], parse_path(leaf["path"])), leaf["value"])


objects = st.recursive(
    st.integers(0, 2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), objects), min_size=1, max_size=6))
def test_in_objects_the_blame_is_what_the_states_say(states):
    with tempfile.TemporaryDirectory() as folder:
        for path, step in blamed(past(Path(folder), *states, initial={})).items():
            place = parse_path(path)
            seen = [dig(state, place) for state in ({}, *states)]
            changed = [n for n in range(len(states)) if not same(seen[n], seen[n + 1])]
            assert step == (changed[-1] if changed else None)
            assert seen[-1] is not ABSENT
