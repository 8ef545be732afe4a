"""What a store has of a journal's end: its hash after any step, and how a step that is damaged or not kept
is told."""

from __future__ import annotations

from contextlib import closing

import pytest
from making import begin, columns, fill, record

from durproj.errors import NotFound, StoreDamaged, StoreError
from durproj.stores import block, packing
from durproj.stores.base import Head, Past
from durproj.stores.journal import Journal
from durproj.stores.loading import damaged_step, first_block, hash_after
from durproj.stores.packing import ORIGIN, Chain
from durproj.stores.sqlite import SqliteStore

ID = "projection/u1"
STEPS = 37
RECORDS = [record(step) for step in range(STEPS)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    for module in (packing, block):
        monkeypatch.setattr(module, "BLOCK_STEPS", 10)


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
        yield store


def chained(steps):
    """The hash after so many of RECORDS."""
    digest = ORIGIN
    for start in range(0, steps, 10):
        chain = Chain(ID, start, digest)
        chain.absorb(columns(RECORDS[start : min(start + 10, steps)]).texts())
        digest = chain.digest()
    return digest


def in_parts(store, *sizes, status="pending"):
    """RECORDS, appended so many at a time: one alone is a row, many are packed."""
    journal = begin(store, ID)
    for size in sizes:
        first = journal.steps
        if size == 1:
            journal.add(first, RECORDS[first])
        else:
            journal.append(first, columns(RECORDS[first : first + size]), status)
    return journal


@pytest.mark.parametrize(
    "sizes", [[1] * 37, [37], [30], [20, 9], [28, *[1] * 9], [5] * 7, [25, 1, 1], [1] * 9, [9]]
)
def test_the_hash_after_any_step_is_that_of_the_steps_up_to_it(store, sizes):
    in_parts(store, *sizes)
    head = store.head(ID)
    for steps in range(1, sum(sizes) + 1):
        assert hash_after(store, head, steps) == chained(steps), steps
    assert hash_after(store, head, sum(sizes) + 1) is None


def test_the_hash_of_a_trimmed_journal_goes_on_from_what_was_dropped(store):
    journal = in_parts(store, 37, status="resolved")
    journal.trim(14)
    head = store.head(ID)
    assert head.dropped == 20
    for steps in range(21, 38):
        assert hash_after(store, head, steps) == chained(steps), steps


def head(dropped):
    past = Past("first/u1", dropped, b"h" * 16, ORIGIN) if dropped else None
    return Head(ID, "projection", "u1", 1, past=past)


@pytest.mark.parametrize(
    ("dropped", "step", "way_back"),
    [(0, 0, True), (0, 5, True), (1, 2, True), (1, 1, False), (1, 0, False), (9, 9, False)],
)
def test_a_damaged_step_is_named_with_a_way_on_that_can_be_gone(dropped, step, way_back):
    error = damaged_step(head(dropped), step, "it is odd")
    assert type(error) is StoreDamaged
    assert error.message == f"{ID}#{step}: the store is damaged: it is odd"
    assert error.hint == (
        "restore the store from a backup, or rewind the workflow before these steps and run again"
        if way_back
        else "restore the store from a backup, or drop the workflow and run again:"
        " durproj gc ID --drop\n"
        "it cannot be rewound before these steps: what comes before is no longer kept"
    )


def test_the_first_block_is_of_the_first_id_and_begins_after_what_was_dropped():
    plain, renamed = first_block(head(0)), first_block(head(9))
    assert (plain.start, plain.seed) == (0, ORIGIN)
    assert (renamed.start, renamed.seed) == (9, b"h" * 16)
    for found, id in ((plain, ID), (renamed, "first/u1")):
        found.take(columns(RECORDS[:1]), columns(RECORDS[:1]).texts())
        chain = Chain(id, found.start, found.seed)
        chain.absorb(columns(RECORDS[:1]).texts())
        assert found.hash() == chain.digest()


@pytest.mark.parametrize(
    ("keep", "hint"),
    [(14, f"{ID} has steps 20 to 36"), (0, f"of {ID} only the latest state is kept")],
)
def test_what_is_no_longer_kept_is_told_with_what_is(store, keep, hint):
    journal = fill(store, ID, STEPS, status="resolved")
    dropped = journal.trim(keep)
    for opened in (journal, Journal.open(store, ID)):
        for step in (0, 3):
            with pytest.raises(NotFound) as caught:
                opened.read(step)
            assert str(caught.value) == (
                f"{ID}#{step}: no longer kept: durproj gc dropped the first {dropped} steps\n{hint}"
            )


def test_the_steps_of_a_segment_take_equal_shares_of_its_bytes(store):
    journal = begin(store, ID)
    for step, each in enumerate(RECORDS[:13]):
        journal.add(step, each)
    no = store.head(ID).no
    packed = len(store.segment(no, 0).packed)
    sizes = [sum(map(len, each)) for each in RECORDS[:13]]
    assert store.bytes_before(no, 0) == 0
    for step in range(1, 11):
        assert store.bytes_before(no, step) == packed * step // 10
    for step in range(11, 14):
        assert store.bytes_before(no, step) == packed + sum(sizes[10:step])
    assert store.bytes_before(no, 1 << 62) == packed + sum(sizes[10:])
    assert store.bytes_before(no + 1, 1 << 62) == 0


@pytest.mark.parametrize("batch", [1, 12])
def test_a_step_is_recorded_once_and_after_the_one_before_it(store, batch):
    journal = fill(store, ID, 12, batch=batch)
    for first, what in (
        (0, "is recorded already"),
        (11, "is recorded already"),
        (13, "would leave a gap"),
    ):
        for refused in (
            lambda first=first: journal.add(first, RECORDS[first]),
            lambda first=first: journal.append(first, columns(RECORDS[first : first + 2])),
        ):
            with pytest.raises(StoreError) as caught:
                refused()
            assert caught.value.message == (f"{ID}#{first}: the step {what}; the journal holds 12")
    assert Journal.open(store, ID).steps == 12


@pytest.mark.parametrize(
    ("steps", "has"), [(0, "no step"), (1, "steps 0 to 0"), (12, "steps 0 to 11")]
)
def test_a_step_that_is_not_there_is_told_with_those_that_are(store, steps, has):
    journal = fill(store, ID, steps)
    journal.save("pending")
    for opened in (journal, Journal.open(store, ID)):
        for step in (-1, steps, steps + 1):
            with pytest.raises(NotFound) as caught:
                opened.read(step)
            assert caught.value.hint == f"{ID} has {has}"
            assert caught.value.message.endswith(": no such step")


def test_the_inputs_from_any_step_on(store):
    journal = in_parts(store, 25, 1, 1)
    inputs = [each.input for each in RECORDS[:27]]
    for opened in (journal, Journal.open(store, ID)):
        for first in range(30):
            assert list(opened.inputs(first)) == inputs[first:]
    begun = journal.inputs(24)
    journal.append(27, columns(RECORDS[27:]))
    assert list(begun)[:3] == inputs[24:]
