"""Laws of the journal: what it holds depends on the records, never on how they came in."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from making import attempt, begin, columns, fill, read_all, record

from durproj.errors import NotFound, StoreDamaged, StoreError
from durproj.stores import block as block_module
from durproj.stores import packing
from durproj.stores.journal import Journal
from durproj.stores.packing import unpack
from durproj.stores.sqlite import SqliteStore
from durproj.zstd import compress, decompress

ID = "projection/u1"


@contextmanager
def opened_writer():
    with (
        TemporaryDirectory() as folder,
        closing(SqliteStore.open_writer(Path(folder, "store.db"))) as store,
    ):
        yield store


@pytest.fixture
def store():
    with opened_writer() as store:
        yield store


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Blocks of 16 steps or 1,200 bytes, so that few steps fill many of them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (block_module, packing):
            patch.setattr(module, "BLOCK_STEPS", 16)
            patch.setattr(module, "BLOCK_BYTES", 1200)
        yield


# Mostly small records, now and then one that fills a block alone or nearly.
sizes = st.lists(
    st.one_of(st.integers(0, 8), st.sampled_from([100, 500, 1100, 1140, 1160, 1200, 3000])),
    max_size=70,
)
ways = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "append", "reopen", "rewind", "save", "batch"]),
        st.integers(0, 40),
    ),
    max_size=25,
)


def follow(store, records, ways):
    """Append all records, the way `ways` says; one by one when they say no more."""
    journal = begin(store, ID)
    for way, count in ways:
        at = journal.steps
        if way == "append":
            for step in range(at, min(at + count, len(records))):
                journal.add(step, records[step])
        elif way == "batch" and at < len(records) and count:
            journal.append(at, columns(records[at : at + count]))
        elif way == "reopen":
            journal = Journal.open(store, ID) or journal
            assert journal.steps == at
        elif way == "save":
            journal.save("rejected", error=b'{"why":1}')
            assert journal.head.steps == at
        elif way == "rewind":
            journal.rewind(at * count // 40)
            assert journal.steps == at * count // 40
    for step in range(journal.steps, len(records)):
        journal.add(step, records[step])
    return journal


def stand(store, journal):
    """All that must not depend on the way here."""
    journal.save("resolved")
    reopened = Journal.open(store, ID)
    blocks = [(start, list(block)) for start, block in reopened.blocks()]
    return blocks, reopened.head.hash, reopened.head.state, reopened.head.steps


@examples(40)
@given(sizes=sizes, ways=ways)
def test_however_steps_are_appended_the_journal_is_the_same(sizes, ways):
    records = [record(step, size) for step, size in enumerate(sizes)]
    with opened_writer() as store, opened_writer() as plain:
        journal = follow(store, records, ways)
        found = stand(store, journal)
        assert found == stand(plain, follow(plain, records, []))
        blocks, hash, state, steps = found
        assert [found for _, block in blocks for found in block] == records
        assert steps == len(records)
        assert state == (records[-1][2] if records else None)
        assert len(hash) == 16
        for first in range(len(records) + 1):
            reopened = Journal.open(store, ID)
            expected = [block for block in blocks if block[0] + len(block[1]) > first]
            # From the end on, the block that is open is all there is to give.
            got = [(start, list(block)) for start, block in reopened.blocks(first)]
            assert got == (expected or got)
            assert all(start + len(block) >= first for start, block in got)
        for step, one in enumerate(records):
            assert journal.read(step) == one
            assert Journal.open(store, ID).read(step) == one


@examples(20)
@given(sizes=sizes, ways=ways, data=st.data())
def test_after_a_rewind_the_journal_is_as_if_the_rest_had_never_been(sizes, ways, data):
    records = [record(step, size) for step, size in enumerate(sizes)]
    kept = data.draw(st.integers(0, len(records)))
    with opened_writer() as store, opened_writer() as plain:
        journal = follow(store, records, ways)
        journal.save("resolved")
        store.add_attempt(journal.head.no, kept, attempt(1))
        journal.rewind(kept)
        assert journal.head.status == "pending"
        assert journal.head.state == (records[kept - 1][2] if kept else None)
        assert store.head(ID) == journal.head
        assert Journal.open(store, ID).steps == kept
        assert store.attempts(journal.head.no, kept) == []
        assert stand(store, journal) == stand(plain, follow(plain, records[:kept], []))


def resolved_hash(id, records):
    with opened_writer() as store:
        journal = begin(store, id)
        journal.append(0, columns(records), "resolved")
        return journal.head.hash


@pytest.mark.parametrize("at", [0, 15, 16, 20, 39])
def test_any_other_record_gives_another_hash(at):
    records = [record(step) for step in range(40)]
    hashes = {resolved_hash(ID, records)}
    for part in range(3):
        changed = [list(parts) for parts in records]
        changed[at][part] += b" "
        hashes.add(resolved_hash(ID, changed))
    swapped = [list(parts) for parts in records]
    swapped[at], swapped[at - 1] = swapped[at - 1], swapped[at]
    hashes |= {resolved_hash(ID, swapped), resolved_hash(ID, records[:at] + records[at + 1 :])}
    assert len(hashes) == 6


def test_the_same_records_of_another_workflow_give_another_hash():
    records = [record(step) for step in range(40)]
    assert resolved_hash(ID, records) != resolved_hash("projection/u2", records)


def test_a_step_that_exists_and_a_gap_are_refused(store):
    journal = fill(store, ID, 20)
    before = read_all(journal)
    for first, why in ((19, "recorded already"), (0, "recorded already"), (21, "leave a gap")):
        with pytest.raises(StoreError, match=why):
            journal.add(first, record(first))
        with pytest.raises(StoreError, match=why):
            journal.append(first, columns([record(first), record(first + 1)]))
    assert journal.steps == 20
    assert read_all(Journal.open(store, ID)) == before


def test_a_second_journal_of_the_workflow_cannot_record_a_step_again(store):
    one = fill(store, ID, 3)
    two = Journal.open(store, ID)
    one.add(3, record(3, salt="one"))
    with pytest.raises(StoreError):
        two.add(3, record(3, salt="two"))
    assert Journal.open(store, ID).read(3) == record(3, salt="one")


@pytest.mark.parametrize("steps", [0, 1, 15, 16, 17, 40])
def test_reading_beyond_the_journal_says_what_there_is(store, steps):
    journal = begin(store, ID)
    if steps:
        journal.append(0, columns([record(step) for step in range(steps)]))
    else:
        journal.save("pending")
    last = f"steps 0 to {steps - 1}" if steps else "no step"
    for step in (steps, steps + 1, -1, 2**63, -(2**63)):
        with pytest.raises(NotFound, match=last):
            Journal.open(store, ID).read(step)
    has = "1 step" if steps == 1 else f"{steps} steps"
    with pytest.raises(NotFound, match=f"it has {has}, so it cannot go back to {steps + 1}$"):
        journal.rewind(steps + 1)
    with pytest.raises(NotFound, match="cannot go back"):
        journal.rewind(-1)


def test_the_newest_steps_are_rows_and_a_full_block_is_one_segment(store):
    journal = fill(store, ID, 15)
    no = journal.head.no
    assert [row.step for row in store.rows(no)] == list(range(15))
    assert store.segment(no) is None
    journal.add(15, record(15))
    assert store.rows(no) == []
    journal.add(16, record(16))
    segment = store.segment(no)
    assert (segment.start, segment.steps, segment.full) == (0, 16, True)
    assert [row.step for row in store.rows(no)] == [16]


def test_a_large_record_closes_its_block(store):
    journal = fill(store, ID, 3)
    journal.add(3, record(3, size=5000))
    assert store.rows(journal.head.no) == []
    assert store.segment(journal.head.no).steps == 4


def test_the_head_moves_in_the_transaction_that_packs(store):
    journal = fill(store, ID, 60)
    head = store.head(ID)
    segment = store.segment(head.no)
    assert segment.start + segment.steps <= head.steps
    assert head.state == record(head.steps - 1)[2]
    assert journal.steps == 60


def test_a_resolved_workflow_that_goes_on_is_pending_again(store):
    journal = fill(store, ID, 3, status="resolved")
    journal.add(3, record(3))
    head = store.head(ID)
    assert (head.status, head.steps, head.state) == ("pending", 4, record(3)[2])
    journal.append(4, columns([record(4)]), "resolved")
    head = store.head(ID)
    assert (head.status, head.steps, head.state) == ("resolved", 5, record(4)[2])


def test_a_result_that_is_not_the_last_output_is_the_state(store):
    journal = fill(store, ID, 3)
    journal.save("resolved", state=b'"done"')
    assert store.head(ID).state == b'"done"'
    assert journal.last_output() == record(2)[2]


def test_a_workflow_without_steps_has_no_last_output(store):
    journal = begin(store, ID)
    assert journal.last_output() is None
    assert list(journal.blocks()) == []
    journal.rewind(0)
    assert Journal.open(store, ID) is None


def test_bytes_added_within_a_frame_are_damage(store):
    journal = fill(store, ID, 300, batch=100)
    segment = store.segment(journal.head.no, 0)
    assert len(unpack(ID, segment)) == segment.steps
    for text in (decompress(segment.packed) + b"more", decompress(segment.packed)[:-1]):
        with pytest.raises(StoreDamaged):
            unpack(ID, segment._replace(packed=compress(text)))
