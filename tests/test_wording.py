"""What messages say of one thing, of none and of many."""

from __future__ import annotations

import pytest

from durproj.errors import BadEvent
from durproj.events.leftout import LeftOut
from durproj.wording import first, number


@pytest.mark.parametrize(
    ("count", "steps", "streams", "lines"),
    [
        (0, "0 steps", "0 streams are", None),
        (1, "1 step", "1 stream is", "the first line has"),
        (2, "2 steps", "2 streams are", "the first 2 lines have"),
        (12_345, "12,345 steps", "12,345 streams are", "the first 12,345 lines have"),
    ],
)
def test_one_is_one_and_all_else_is_many(count, steps, streams, lines):
    assert number(count, "step") == steps
    assert number(count, "stream is", "streams are") == streams
    if lines:
        assert first(count, "line has", "lines have") == lines
        assert first(count, "step") == f"the first {'step' if count == 1 else steps}"


def test_of_bad_lines_that_are_left_out_the_first_is_told():
    left, error = LeftOut(), BadEvent("a.jsonl", 3, 20, "no object")
    left.add(error)
    assert left.describe() == f"1 bad line was left out: {error}"
    left.add(BadEvent("a.jsonl", 4, 30, "no object"))
    assert left.describe() == f"2 bad lines were left out, the first: {error}"
