"""The order of events: times and sequence numbers as logs have them, compared exactly."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durproj.events.sequence.order import SequenceOrder, TimeOrder, arranged, whole_number
from durproj.events.sequence.times import comparable

MOMENTS = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11, minutes=-30))])
)


def order_of(order, values):
    for value in values:
        order.add(value)
    return order.arrange()


@given(st.lists(st.integers(0, 5)))
def test_equal_values_keep_their_places(values):
    indexes, _ = arranged(values)
    assert indexes == [i for _, i in sorted((value, i) for i, value in enumerate(values))]


@given(st.lists(st.integers(0, 9)))
def test_late_is_what_comes_after_a_greater_value(values):
    late = sum(any(before > value for before in values[:i]) for i, value in enumerate(values))
    assert arranged(values)[1] == late


@given(st.lists(MOMENTS, min_size=1))
def test_times_with_zones_are_ordered_as_moments_are(moments):
    indexes, _ = order_of(TimeOrder(), [moment.isoformat() for moment in moments])
    assert [moments[i] for i in indexes] == sorted(moments)


@given(st.lists(st.integers(0, 10**13 - 1), min_size=1))
def test_no_digit_of_a_fraction_is_lost(fractions):
    times = [f"2024-02-29T23:59:59.{fraction:013}Z" for fraction in fractions]
    assert order_of(TimeOrder(), times)[0] == arranged(fractions)[0]


def test_fractions_of_any_length_are_compared_as_numbers():
    times = [
        "2024-01-01T00:00:00.1234567",
        "2024-01-01T00:00:00.123456",
        "2024-01-01T00:00:00.12345670",
    ]
    assert order_of(TimeOrder(), times) == ([1, 0, 2], 1)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00.0000005+23:59", "9999-12-31T23:59:59.9999999-23:59", "2024-W01-1"]
)
def test_times_at_the_ends_of_the_calendar_have_an_order(time):
    assert comparable(time)[1] is not None


@given(st.lists(st.floats(1.7e9, 1.7e9 + 1e-5), min_size=1))
def test_seconds_with_a_fraction_are_compared_exactly(seconds):
    assert order_of(TimeOrder(), seconds)[0] == arranged(seconds)[0]


def test_seconds_with_a_fraction_do_not_meet_their_neighbours():
    seconds, step = 1_700_000_000.1, 2**-22
    later = [seconds + n * step for n in range(200)]
    assert order_of(TimeOrder(), later[::-1])[0] == list(range(200))[::-1]


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00", "a time without a zone"),
        ("2024-01-01", 5, "the time is a number, after a time without a zone"),
        (5, None, "no time"),
        (5, "yesterday", "neither ISO 8601 nor a number"),
        (5, {"at": 5}, "neither ISO 8601 nor a number"),
        (5, True, "neither ISO 8601 nor a number"),
    ],
)
def test_a_time_that_cannot_be_compared_is_refused(before, now, why):
    order = TimeOrder()
    order.add(before)
    with pytest.raises(ValueError, match=why):
        order.add(now)


@given(st.lists(st.one_of(st.integers(), st.integers().map(str), st.just("007"))))
def test_integers_and_decimal_strings_are_ordered_as_numbers(values):
    indexes, _ = order_of(SequenceOrder(), values)
    assert indexes == arranged([int(value) for value in values])[0]


@given(st.lists(st.text(), min_size=1))
def test_other_strings_are_ordered_as_text(values):
    values = [*values, "0a"]
    assert order_of(SequenceOrder(), values)[0] == arranged(values)[0]


def test_a_format_may_say_that_digits_are_text():
    assert order_of(SequenceOrder(as_text=True), ["9", "10"])[0] == [1, 0]
    assert order_of(SequenceOrder(), ["9", "10"])[0] == [0, 1]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1, "a"], "integers and text"),
        (["a", "1", 1], "integers and text"),
        ([None], "no sequence number"),
        ([1.5], "neither an integer nor a string"),
        ([True], "neither an integer nor a string"),
    ],
)
def test_a_sequence_of_several_kinds_is_refused(values, why):
    with pytest.raises(ValueError, match=why):
        order_of(SequenceOrder(), values)


@pytest.mark.parametrize("value", [None, True, 1.0, "", "1.0", "１", "+1", "1" * 5000, [1]])  # noqa: RUF001
def test_what_is_no_whole_number_is_none(value):
    assert whole_number(value) is None
