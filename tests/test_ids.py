"""Ids: distinct keys have distinct ids, and every id leads back to its key."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durproj.errors import UsageError
from durproj.ids import check_name, encode_key, split_id, split_range, split_step, workflow_id

# Keys come out of JSON: any text but lone surrogates.
keys = st.text(st.characters(exclude_categories=["Cs"])) | st.text("#%/@.2350aA\x00\n\x7f\x9b ")


@given(keys)
def test_an_id_leads_back_to_its_key(key):
    id = workflow_id("projection", key)
    assert split_id(id) == ("projection", key)
    assert split_step(id) == (id, None)
    assert split_step(f"{id}#5") == (id, 5)


@given(keys, keys)
def test_distinct_keys_have_distinct_ids(one, two):
    assert (workflow_id("p", one) == workflow_id("p", two)) == (one == two)


@given(keys)
def test_an_id_is_one_line_without_control_characters(key):
    id = workflow_id("projection", key)
    assert not [char for char in id if unicodedata.category(char) == "Cc"]
    assert "#" not in id
    assert id.replace("%", "") == id or set(key) & {*"#%"} or any(map(is_control, key))


def is_control(char):
    return unicodedata.category(char) == "Cc"


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("u1", "u1"),
        ("", ""),
        ("a#1", "a%231"),
        ("100%", "100%25"),
        ("%23", "%2523"),
        ("%", "%25"),
        ("a\nb\tc", "a%0Ab%09c"),
        ("\x1b]0;x\x07", "%1B]0;x%07"),
        ("\x00", "%00"),
        ("\x7f\x9b", "%7F%C2%9B"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("/", "/"),
        ("a@5", "a@5"),
        (".", "."),
        ("'); DROP TABLE step;--", "'); DROP TABLE step;--"),
        ("é😀 日本", "é😀 日本"),
    ],
)
def test_only_hash_percent_and_control_characters_are_encoded(key, encoded):
    assert encode_key(key) == encoded
    assert split_id(f"p/{encoded}") == ("p", key)


def test_keys_that_look_alike_stay_apart():
    alike = ["é", "e\u0301", "É", "u1", "U1", "u1 ", " u1", "u1\u200b", "%75%31", "u%31"]
    assert len({workflow_id("p", key) for key in alike}) == len(alike)


def test_a_key_of_a_megabyte_has_an_id():
    for key in ("k" * 1_000_000, "#" * 1_000_000):
        assert split_id(workflow_id("p", key)) == ("p", key)


@pytest.mark.parametrize(
    "id", ["", "u1", "/u1", "a b/u1", "a#b/u1", "a%b/u1", "a\x00/u1", "p/a\nb", "p/\x9b"]
)
def test_what_is_no_id_is_refused(id):
    with pytest.raises(UsageError, match="not a workflow id") as caught:
        split_id(id)
    assert caught.value.exit_code == 2
    assert "projection/u1" in caught.value.hint


@pytest.mark.parametrize("text", ["p/u1#", "p/u1#x", "p/u1#-1", "p/u1#1.5", "p/u1#1#2", "p/u#٣",
                                  "p/u1# 1", "p/u1#" + "9" * 19, "p/u1#" + "9" * 5000])  # fmt: skip
def test_what_is_no_step_is_refused(text):
    with pytest.raises(UsageError, match="not a step number"):
        split_step(text)


@pytest.mark.parametrize("name", ["projection", "p", "a.b-c_d", "日本", "a@b"])
def test_a_name_may_hold_most_characters(name):
    assert check_name(name) == name
    assert split_id(workflow_id(name, "u/1")) == (name, "u/1")


@pytest.mark.parametrize("name", ["", "a/b", "a#b", "a%b", "a b", "a\nb", "\x1b", "\x9b"])
def test_a_name_that_would_break_an_id_is_refused(name):
    with pytest.raises(UsageError, match="not a name"):
        check_name(name)


def test_ranges_name_their_ends_or_leave_them_open():
    assert split_range("projection/u1#4..6") == ("projection/u1", 4, 6)
    assert split_range("projection/u1#4..") == ("projection/u1", 4, None)
    assert split_range("projection/u1#..6") == ("projection/u1", None, 6)
    assert split_range("projection/u1#..") == ("projection/u1", None, None)
    for text in ("projection/u1", "projection/u1#4", "projection/../..", "projection/..#4"):
        assert split_range(text) is None


@pytest.mark.parametrize("text", ["p/u#x..6", "p/u#4..x", "p/u#4...6", "p/u#-1..6", "p/u#4..6..8"])
def test_ranges_of_what_is_no_step_are_refused(text):
    with pytest.raises(UsageError, match="is not a step number"):
        split_range(text)


def test_an_id_with_a_step_is_refused_where_a_workflow_is_asked_for():
    with pytest.raises(UsageError, match="'p/a#1' names a step") as caught:
        split_id("p/a#1")
    assert "it takes no step: leave '#1' out" in caught.value.hint
