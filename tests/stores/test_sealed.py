"""Rows that are not what was written are refused, and named."""

from __future__ import annotations

import pytest
from making import CURSOR, OPTIONS

from durproj import codec
from durproj.errors import StoreDamaged
from durproj.stores.base import ORIGIN, Attempt, Past
from durproj.stores.packing import Record, seal
from durproj.stores.sealed import attempts_of, head_of, row_of, run_of, segment_of

ID = "projection/u1"
HEAD = (7, ID, "projection", "u1", 3, "resolved", 2, '{"n":2}', None, 90, 2, b"h" * 16, 1234)
PAST = ("first/u1", 1, b"p" * 16, b"i" * 16)
NO_PAST = (None,) * 5
RUN = (3, "projection", "x", codec.encode(OPTIONS).decode(), codec.encode(CURSOR).decode(), 1, 1234)
FAILED = [(1, 50, "OSError", "no", 60), (2, 60, "OSError", "no", None)]


def sealed(*columns, before=()):
    return (*columns, seal(*before, *columns))


def attempts(no=7, step=4):
    return [sealed(*each, before=(no, step)) for each in FAILED]


def head(past=NO_PAST, row=HEAD):
    return head_of((*sealed(*row), *past))


def refused(call, *args):
    with pytest.raises(StoreDamaged) as caught:
        call(*args)
    where, _, why = caught.value.message.partition(": the store is damaged: ")
    return where, why


def test_a_sound_row_is_read():
    found = head()
    assert (found.no, found.id, found.state, found.error) == (7, ID, b'{"n":2}', None)
    assert (found.status, found.steps, found.hash) == ("resolved", 2, b"h" * 16)
    assert (found.run, found.prefix_bytes, found.prefix_steps) == (3, 90, 2)
    assert (found.updated_ms, found.past) == (1234, None)
    assert head(sealed(*PAST, before=(7,))).past == Past(*PAST)
    run = run_of(sealed(*RUN))
    assert (run.no, run.name, run.identity, run.options) == (3, "projection", "x", OPTIONS)
    assert (run.cursor, run.complete, run.updated_ms) == (CURSOR, True, 1234)
    assert attempts_of(7, 4, attempts()) == [Attempt(*each[1:]) for each in FAILED]


def test_a_head_of_schema_2_has_no_seal_on_its_time():
    assert head_of((*HEAD, seal(*HEAD[:-1]), *NO_PAST)).updated_ms == 1234


@pytest.mark.parametrize("at", range(len(HEAD)))
def test_every_column_of_a_head_is_under_its_seal(at):
    row = [*sealed(*HEAD)]
    row[at] = 99
    shown = 99 if at == 1 else ID
    assert refused(head_of, (*row, *NO_PAST)) == (
        f"workflow {shown!r}", "the seal of its head does not match"
    )  # fmt: skip


@pytest.mark.parametrize("at", range(1, 5))
def test_every_column_of_a_past_is_under_its_seal(at):
    past = [*sealed(*PAST, before=(7,))]
    past[at] = 99
    told = (f"workflow {ID!r}", "the seal of its past does not match")
    assert refused(head, past) == told
    assert refused(head, sealed(*PAST, before=(8,))) == told


@pytest.mark.parametrize("at", range(len(RUN)))
def test_every_column_of_a_run_is_under_its_seal(at):
    row = [*sealed(*RUN)]
    row[at] = 99
    no = 99 if at == 0 else 3
    assert refused(run_of, row) == (f"run {no}", "its seal does not match")


def test_attempts_are_all_there_and_of_their_step():
    told = "it is not what was recorded"
    assert refused(attempts_of, 7, 5, attempts()) == ("attempt 1 at step 5", told)
    assert refused(attempts_of, 8, 4, attempts()) == ("attempt 1 at step 4", told)
    assert refused(attempts_of, 7, 4, attempts()[1:]) == ("attempt 1 at step 4", told)
    assert refused(attempts_of, 7, 4, [*attempts(), attempts()[1]]) == ("attempt 3 at step 4", told)
    assert attempts_of(7, 4, []) == []


def test_rows_are_of_the_types_that_were_written():
    told = ("a step of workflow 7", "its values have other types than were written")
    row = (4, b"m", b"i", b"o", b"h")
    found = row_of(7, row)
    assert (found.step, found.record, found.hash) == (4, Record(b"m", b"i", b"o"), b"h")
    for at in range(5):
        assert refused(row_of, 7, [*row[:at], None, *row[at + 1 :]]) == told


def test_segments_are_of_the_types_that_were_written():
    told = ("a segment of workflow 7", "its values have other types than were written")
    row = (0, 256, 1, ORIGIN, b"h", b"p")
    assert segment_of(7, row) == (0, 256, True, ORIGIN, b"h", b"p")
    assert segment_of(7, (0, 1, 0, *row[3:])).full is False
    for at in range(6):
        assert refused(segment_of, 7, (*row[:at], None, *row[at + 1 :])) == told
    for others in ((0, 0, 1), (0, 257, 1), (0, -1, 0), (0, 5, 2), (0, 5, -1)):
        assert refused(segment_of, 7, (*others, *row[3:])) == told
