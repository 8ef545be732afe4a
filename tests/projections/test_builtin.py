from __future__ import annotations

import pytest

from durproj.events.event import Event
from durproj.projections.counts import counts
from durproj.projections.merge import merge


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
