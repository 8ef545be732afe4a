"""The corpus through each target, without atheris; and that a target finds a fault that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from proof.reading import Reading, by_the_book

from durproj.stores.packing import Record
from fuzz import line_reader, store_opener
from fuzz.fuzzing import corpus

TARGETS = {"line_reader": line_reader, "store_opener": store_opener}


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_invariant(name):
    inputs = corpus(name)
    assert len(inputs) > 10
    for data in inputs:
        TARGETS[name].check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_first_sentence_of_a_target_is_its_invariant(name):
    first = TARGETS[name].__doc__.split("\n\n")[0]
    assert first.startswith("Whatever ")
    assert first.endswith(".")


def test_the_corpus_is_small():
    sizes = [path.stat().st_size for path in Path(__file__).parent.rglob("corpus/*/*")]
    assert sum(sizes) < 64_000


def test_a_line_that_is_read_as_another_is_found():
    def wrong(content, mapping):
        right = by_the_book(content, mapping)
        return Reading([event._replace(id=None) for event in right.events], right.bad)

    found = [data for data in corpus("line_reader") if breaks(line_reader.check, data, wrong)]
    assert found


def test_a_bad_line_that_is_passed_over_is_found():
    found = [
        data
        for data in corpus("line_reader")
        if breaks(line_reader.check, data, lambda c, m: by_the_book(c, m)._replace(bad=None))
    ]
    assert found


def test_a_step_that_is_served_changed_is_found():
    def wrong(store, id):
        steps = store_opener.steps_of(store, id)
        return [(step, Record(*record[:2], b"{}")) for step, record in steps]

    assert any(breaks(store_opener.check, data, wrong) for data in corpus("store_opener"))


def test_a_fault_of_another_kind_is_found():
    def wrong(_store, _id):
        raise IndexError

    assert breaks(store_opener.check, b"\x00", wrong, IndexError)


def breaks(check, data, planted, kind=AssertionError):
    try:
        check(data, planted)
    except kind:
        return True
    return False
