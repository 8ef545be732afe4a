"""States as lines: what an edit keeps, what it replaces, and which step a line is blamed on."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from durproj import codec
from durproj.history.paths import ABSENT
from durproj.page.lines import Sheet, lines_of

LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([1.0, "a", "{", "]", ""])
NAMES = st.sampled_from(["a", "b", "c", 'o"dd'])
STATES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.recursive(
    LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


def read(lines):
    """The value that lines show."""
    text = ""
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        text += f"{line.name}: {line.text}" if line.name else line.text
        ends = following is None or following.text in ("}", "]")
        text += "" if ends or line.text in ("{", "[") else ","
    return json.loads(text)


def apply(lines, edits):
    """What the page's script does with an edit."""
    done, at = [], 0
    for part in edits:
        if isinstance(part, int):
            done += lines[at : at + part]
            at += part
        else:
            done += part[1]
            at += part[0]
    return done + lines[at:]


def leaves(state, path=()):
    if isinstance(state, dict) and state:
        for name, part in state.items():
            yield from leaves(part, (*path, name))
    else:
        yield path, codec.encode(state)


def turned(states, base=ABSENT):
    sheet = Sheet(base, None)
    for step, state in enumerate(states):
        sheet.turn(state, step)
    return sheet


def blamed(sheet):
    """The leaves by their lines, and the steps they are blamed on."""
    pairs = zip(sheet.lines, sheet.blame, strict=True)
    return [(line.name + line.text, step) for line, step in pairs if line.is_leaf]


@given(st.lists(STATES, min_size=1, max_size=6))
def test_the_lines_after_every_step_show_its_state(states):
    sheet = Sheet(ABSENT, None)
    shown = []
    for step, state in enumerate(states):
        shown = apply(shown, sheet.turn(state, step))
        assert shown == sheet.lines
        assert read(shown) == state
        assert len(sheet.blame) == len(sheet.lines)


@given(st.lists(OBJECTS, min_size=1, max_size=8))
def test_a_leaf_is_blamed_on_the_step_that_last_set_it(states):
    sheet, expected, before = Sheet(ABSENT, None), {}, {}
    for step, state in enumerate(states):
        now = dict(leaves(state))
        expected = {
            path: expected[path] if before.get(path) == value else step
            for path, value in now.items()
        }
        before = now
        sheet.turn(state, step)
    # Paths in the order of the lines: names are shown in the order in which they came.
    found, open_ = {}, []
    for line, step in zip(sheet.lines, sheet.blame, strict=True):
        open_[line.depth :] = [json.loads(line.name)] if line.name else []
        if line.is_leaf:
            found[tuple(open_[1:] if line.depth else ())] = step
        if line.depth == 0:
            open_ = [None]
    assert found == expected


def test_an_element_that_moves_up_keeps_its_blame():
    sheet = turned([["a", "b"], ["a", "b", "c"], ["b", "c"]])
    assert blamed(sheet) == [('"b"', 0), ('"c"', 1)]


def test_what_is_within_an_element_that_moves_keeps_its_blame():
    one, two = {"id": 1, "paid": False}, {"id": 2, "paid": False}
    sheet = turned([[one, two], [one, two | {"paid": True}], [two | {"paid": True}]])
    assert blamed(sheet) == [('"id"2', 0), ('"paid"true', 1)]


def test_what_no_step_set_is_blamed_on_none():
    sheet = turned([{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": []}], {"a": 1, "b": 1})
    assert blamed(sheet) == [('"a"1', None), ('"b"2', 0), ('"c"[]', 1)]


def test_an_edit_names_only_what_changed():
    sheet = Sheet({"a": 1, "b": [1, 2], "c": "x"}, None)
    assert sheet.turn({"c": "x", "b": [1, 2], "a": 1}, 0) == []
    assert sheet.turn({"a": 1, "b": [1, 2], "c": "y"}, 1) == [6, (1, [(1, '"c"', '"y"')])]


def test_numbers_stay_as_they_are_stored():
    state = {"whole": 2**64 - 1, "float": 1.0, "small": 1e-7}
    assert [line.text for line in lines_of(state)][1:4] == ["18446744073709551615", "1.0", "1e-7"]


def test_a_state_as_deep_as_a_store_takes_is_shown():
    state, other = 1, 2
    for _ in range(codec.DUMPS_DEPTH - 1):
        state, other = {"a": state}, {"a": other}
    assert turned([state, other]).blame[codec.DUMPS_DEPTH - 1] == 1
