"""What changed between two states, and how paths are written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durproj.errors import UsageError
from durproj.history.changes import changes, changes_at
from durproj.history.paths import ABSENT, dig, meets, parse_path, show_path

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from([0.0, -0.0, 1.0, 2.5])
    | st.text(max_size=3)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def shown(old, new):
    return [
        (
            each.kind,
            show_path(each.path),
            *(
                {"old": each.old, "new": each.new}[side]
                for side in ("old", "new")
                if {"old": each.old, "new": each.new}[side] is not ABSENT
            ),
        )
        for each in changes(old, new)
    ]


def test_names_that_come_go_and_change():
    old = {"a": 1, "b": {"c": 2, "d": 3}}
    new = {"b": {"c": 5, "e": 6}, "f": None}
    assert shown(old, new) == [
        ("changed", "b.c", 2, 5),
        ("added", "b.e", 6),
        ("removed", "b.d", 3),
        ("added", "f", None),
        ("removed", "a", 1),
    ]


def test_an_element_that_comes_or_goes_moves_no_other():
    assert shown({"x": ["a", "b", "c"]}, {"x": ["b", "c"]}) == [("removed", "x[0]", "a")]
    assert shown({"x": ["b"]}, {"x": ["a", "b", "c"]}) == [
        ("added", "x[0]", "a"),
        ("added", "x[2]", "c"),
    ]
    assert shown([{"n": 1}, {"n": 2}, 3], [{"n": 1}, {"n": 5}, 3, 4]) == [
        ("changed", "$[1].n", 2, 5),
        ("added", "$[3]", 4),
    ]


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), (None, False)]
)
def test_what_python_takes_for_equal_is_told_apart(one, other):
    assert shown({"a": one}, {"a": other}) == [("changed", "a", one, other)]


def test_objects_in_lists_are_matched_by_their_ids():
    one, two, three = ({"orderId": f"o{n}", "customer": "c", "paid": False} for n in (1, 2, 3))
    assert shown([one, two, three], [two | {"paid": True}, three]) == [
        ("removed", "$[0]", one),
        ("changed", "$[0].paid", False, True),
    ]
    # Another one in the same place is another one.
    assert shown([one], [two]) == [("removed", "$[0]", one), ("added", "$[0]", two)]


def test_what_is_no_id_of_all_of_them_matches_nothing():
    assert shown([{"id": 1, "n": 1}, {"id": 1, "n": 2}], [{"id": 1, "n": 3}]) == [
        ("changed", "$[0].n", 1, 3),
        ("removed", "$[1]", {"id": 1, "n": 2}),
    ]
    assert shown([{"id": None}], [{"id": 1}]) == [("changed", "$[0].id", None, 1)]
    assert shown([{"valid": 1}], [{"valid": 2}]) == [("changed", "$[0].valid", 1, 2)]


def test_a_state_beside_nothing_is_one_change_for_each_of_its_names():
    assert shown(ABSENT, {"a": 1, "b": {"c": 2}}) == [("added", "a", 1), ("added", "b", {"c": 2})]
    assert shown(["x"], ABSENT) == [("removed", "$[0]", "x")]
    assert shown(ABSENT, {}) == [("added", "$", {})]
    assert shown(ABSENT, 5) == [("added", "$", 5)]
    assert shown(ABSENT, ABSENT) == []


def at(old, new, path):
    return [(each.kind, show_path(each.path)) for each in changes_at(old, new, parse_path(path))]


def test_changes_at_a_path_are_those_that_touch_it():
    old = {"a": {"b": 1, "c": 2}, "l": [{"n": 1}], "z": 1}
    new = {"a": {"b": 5, "c": 6}, "l": [{"n": 2}, {"n": 3}]}
    assert at(old, new, "a") == [("changed", "a.b"), ("changed", "a.c")]
    assert at(old, new, "a.b") == at(old, new, "/a/b") == [("changed", "a.b")]
    assert at(old, new, "l[0]") == at(old, new, "/l/0/n") == [("changed", "l[0].n")]
    assert at(old, new, "z") == [("removed", "z")]
    assert at(old, new, "z.deeper") == [("removed", "z")]
    assert at(old, new, "a.d") == at(old, new, "nothing.at.all") == []


def test_of_an_object_that_came_only_what_was_asked_counts():
    old, new = {}, {"a": {"b": 1, "c": 2}}
    assert at(old, new, "a.b") == [("added", "a.b")]
    assert at(ABSENT, new, "a.b") == [("added", "a.b")]
    assert at(new, {"a": None}, "a.b") == [("changed", "a")]


def test_the_order_of_names_is_no_change():
    assert changes({"a": 1, "b": [{"x": 1, "y": 2}]}, {"b": [{"y": 2, "x": 1}], "a": 1}) == []


def test_very_long_lists_are_compared_by_position():
    old = list(range(5000))
    new = [-n for n in old]
    assert len(changes(old, new)) == 4999


@given(values, values)
def test_there_are_changes_exactly_where_the_json_differs(old, new):
    alike = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    found = changes(old, new)
    assert (found == []) is alike
    for each in found:
        assert (
            each.old is ABSENT or dig(old, each.path) is not ABSENT or "[" in show_path(each.path)
        )
        assert each.new is ABSENT or dig(new, each.path) == each.new


@given(values, values, st.lists(st.text(max_size=3) | st.integers(0, 3), max_size=3).map(tuple))
def test_changes_at_the_root_are_all_and_elsewhere_no_others(old, new, path):
    assert changes_at(old, new, ()) == changes(old, new)
    for each in changes_at(old, new, path):
        assert meets(each.path, path)


@given(st.lists(st.text(max_size=4) | st.integers(0, 99), max_size=5).map(tuple))
def test_a_path_is_read_as_it_is_shown(path):
    assert parse_path(show_path(path)) == path


def test_pointers_and_roots_are_paths_too():
    assert parse_path("$") == parse_path("") == ()
    assert parse_path("$.a[0]") == parse_path(".a[0]") == parse_path("a[0]") == ("a", 0)
    assert parse_path("/a~1b/0/~0") == ("a/b", "0", "~")
    assert dig({"a/b": [{"~": 7}]}, parse_path("/a~1b/0/~0")) == 7
    assert meets(("a", 0), parse_path("/a/0"))
    assert meets(("a", 0, "b"), ("a",))
    assert meets(("a",), ("a", 0))
    assert not meets(("a", 1), ("a", 0))


@pytest.mark.parametrize("text", ["a..b", "a[", "a[x]", 'a."', "a]", "a[-1]"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(UsageError, match="cannot be read"):
        parse_path(text)
