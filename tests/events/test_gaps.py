"""Gaps in sequences, and events that come twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durproj.events.sequence.duplicates import Conflict, Duplicates
from durproj.events.sequence.gaps import Gaps, SequenceNumbers


def gaps_of(values, after=None):
    numbers = SequenceNumbers(after)
    for value in values:
        numbers.take(value)
    return numbers.gaps("s/k")


@given(st.lists(st.integers(-5, 25), min_size=1))
def test_what_is_missing_repeated_and_back_is_what_a_set_says(values):
    found = gaps_of(values)
    absent = sorted(set(range(min(values), max(values))) - set(values))
    assert found.missing == len(absent)
    assert found.first == ({"id": "s/k", "after": absent[0] - 1} if absent else None)
    seen, back, repeated = [], 0, 0
    for value in values:
        repeated += value in seen
        back += value not in seen and value < max(seen, default=value)
        seen.append(value)
    assert (found.repeated, found.back) == (repeated, back)


@given(st.lists(st.integers(0, 9)))
def test_digits_in_strings_count_as_the_numbers_they_are(values):
    assert gaps_of(map(str, values)) == gaps_of(values)


def test_what_is_no_number_is_no_part_of_the_sequence():
    assert not gaps_of([None, "a", 1.5, {}, []])
    assert gaps_of([1, None, 3]).missing == 1


def test_it_goes_on_after_the_last_number_of_a_journal():
    assert gaps_of([21, 22], after=17) == Gaps(missing=3, first={"id": "s/k", "after": 17})
    # What is below it may have been there, or not.
    assert gaps_of([4, 18], after="17") == Gaps(back=1)
    assert gaps_of([17], after=17) == Gaps(repeated=1)


def test_gaps_add_up_and_the_first_stays_the_first():
    both = gaps_of([1, 3]) + gaps_of([1, 9, 9, 8])
    assert both.describe() == "7 missing, first after 1 in s/k; 1 repeated, 1 back"
    assert Gaps.from_dict(both.to_dict()) == both


IDS = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["0", "1", "a"]))


@given(st.lists(IDS))
def test_what_is_dropped_is_what_was_seen_before(ids):
    seen, duplicates = set(), Duplicates()
    for id in ids:
        name = (type(id), id)
        assert duplicates.add(id, repr(name).encode()) == (id is None or name not in seen)
        seen.add(name)
    assert duplicates.dropped == len([id for id in ids if id is not None]) - len(
        seen - {(type(None), None)}
    )


def test_another_line_with_the_same_id_is_a_conflict_that_says_where_the_first_was():
    duplicates = Duplicates()
    assert duplicates.add(("source", 1), b"a", place=7)
    assert duplicates.add(("source", 2), b"b", place=8)
    with pytest.raises(Conflict) as conflict:
        duplicates.add(("source", 1), b"c", place=9, index=3)
    assert (conflict.value.first, conflict.value.index) == (7, 3)
