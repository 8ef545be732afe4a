from __future__ import annotations

from functools import wraps
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from durproj.codec import decode, encode, settle, settle_plain
from durproj.events.event import Event
from durproj.projections.counts import counts
from durproj.projections.merge import merge
from durproj.projections.reducer import BUILT_IN, from_function, load


def event(type="t", time=None, data=None):
    return Event("k", type, None, time, data, b"")


def test_counts_by_type_with_times_in_log_order():
    state = counts.initial
    assert counts.summary(state) == "events=0 types=0"
    for type, time in (("A", None), ("B", 5), ("A", 3), ("A", None)):
        state = counts(state, event(type, time))
    assert state == {"events": 4, "types": {"A": 3, "B": 1}, "first": 5, "last": 3}
    assert counts.summary(state) == "events=4 types=2 last=3"
    assert counts.initial == {"events": 0, "types": {}, "first": None, "last": None}


def test_a_time_of_zero_is_a_time():
    assert counts(counts.initial, event(time=0))["first"] == 0


def test_merge_is_shallow_and_the_latest_wins():
    state = merge(
        merge({}, event(data={"a": {"x": 1}, "b": 1})), event(data={"a": {"y": 2}, "c": None})
    )
    assert state == {"a": {"y": 2}, "b": 1, "c": None}
    assert merge.summary(state) == '{"a":{"y":2},"b":1,"c":null}'
    assert len(merge.summary({"a": "x" * 500})) == 100
    assert merge.initial == {}


@pytest.mark.parametrize("data", [None, 1, "text", ["a"]])
def test_merge_needs_an_object(data):
    with pytest.raises(ValueError, match="not an object"):
        merge({}, event(data=data))


def test_each_has_a_version():
    assert {counts.version, merge.version} == {"1"}


DATA = st.dictionaries(
    st.sampled_from(["orderId", "name", "email", "x"]),
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=4)
    | st.lists(st.integers(0, 9), max_size=2)
    | st.dictionaries(st.text("ab", max_size=2), st.integers(0, 9), max_size=2),
    max_size=4,
)
TYPES = ["UserRegistered", "ProfileUpdated", "OrderPlaced", "OrderShipped", "OrderCancelled", "?"]


@pytest.mark.parametrize("name", BUILT_IN)
@examples(30)
@given(log=st.lists(st.tuples(st.sampled_from(TYPES), DATA), max_size=12))
def test_a_built_in_reducer_is_plain_its_states_are_what_decoding_them_gives(name, log):
    reducer = load(name, None, Path())
    assert reducer.plain
    state = reducer.initial("k")
    for n, (type, data) in enumerate(log):
        before = encode(state)
        seen = Event("k", type, n, data.get("x"), decode(encode(data)))
        try:
            after = reducer.fn(state, seen)
        except ValueError:
            continue
        # Neither changed in place nor made of anything but JSON's own types.
        assert encode(state) == before
        blob, plain = settle_plain(after)
        assert (blob, exactly(plain)) == (settle(after)[0], exactly(settle(after)[1]))
        state = after


def exactly(value):
    """A value with the types of all that is in it."""
    if isinstance(value, dict):
        return type(value), {key: exactly(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [exactly(item) for item in value]
    return type(value), value


def test_no_reducer_of_a_user_is_taken_for_plain(tmp_path):
    (tmp_path / "own.py").write_text("def fn(state, event):\n    return state\n")
    assert not load("own.py:fn", None, tmp_path).plain
    assert not from_function(lambda state, _event: state).plain

    @wraps(merge)
    def wrapping(state, event):
        return merge(state, event) | {"pair": (1, 2)}

    assert not from_function(wrapping).plain
    assert from_function(merge).plain
    assert not load("durproj.projections.account:_without", None, tmp_path).plain
