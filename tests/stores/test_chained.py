"""How the blocks of a journal are chained, and what a reader sees of a history that is rewritten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from making import begin, columns, fill, record

from durproj.errors import Rewritten, StoreDamaged
from durproj.stores.full_blocks import FullBlocks
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

ID = "projection/u1"


def rewrite(store, first, salt="x", steps=1100):
    """Fold the steps from `first` on anew, to other results."""
    journal = Journal.open(store, ID)
    journal.rewind(first)
    journal.append(first, columns([record(step, salt=salt) for step in range(first, steps)]))
    journal.save("resolved")


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
        fill(store, ID, 1100, batch=1100, status="resolved")
        yield store


@pytest.fixture
def reader(store):
    with closing(SqliteStore.open_reader(Path(store.location))) as reader:
        yield reader


def exchange(store, folder, starts):
    """Put segments of the same workflow as another reducer folded it in the places of its own."""
    with closing(SqliteStore.open_writer(folder / "other.db")) as other:
        fill(other, ID, 1100, batch=1100, status="resolved", salt="x")
        foreign = [other.segment(1, start) for start in starts]
    with closing(sqlite3.connect(store.location, isolation_level=None)) as conn:
        for segment in foreign:
            conn.execute(
                "UPDATE segment SET seed = ?, hash = ?, packed = ? WHERE start = ?",
                (segment.seed, segment.hash, segment.packed, segment.start),
            )


@pytest.mark.parametrize("start", [0, 256, 512, 768])
def test_a_sound_block_of_another_history_is_damage_to_whoever_reads_it(
    store, reader, tmp_path, start
):
    exchange(store, tmp_path, [start])
    with pytest.raises(StoreDamaged, match="the chain of hashes is broken"):
        Journal.open(reader, ID).read(start + 7)
    other = (start + 512) % 1024
    assert Journal.open(reader, ID).read(other) == record(other)


def test_the_newest_full_block_is_held_to_the_rows_behind_it(tmp_path):
    with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
        fill(store, ID, 786, status="resolved")  # step by step: what is open stays in rows
        assert len(list(store.rows(1, 768))) == 18
        exchange(store, tmp_path, [512])
        with pytest.raises(StoreDamaged, match="cannot be verified: what follows is damaged"):
            Journal.open(store, ID).read(767)
        assert Journal.open(store, ID).read(3) == record(3)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("starts", [[256], [0, 256, 512], [512, 768], [0, 256, 512, 768]])
def test_a_walk_never_passes_from_one_history_to_another(store, reader, tmp_path, starts, backward):
    exchange(store, tmp_path, starts)
    journal = Journal.open(reader, ID)
    with pytest.raises(StoreDamaged, match="the chain of hashes is broken"):
        for step in sorted([*range(0, 1024, 256), 1024], reverse=backward):
            journal.block(step)


@pytest.mark.parametrize("order", [[0, 300, 600, 900], [1050, 900, 600, 300], [900, 3, 900]])
@pytest.mark.parametrize("grown", [1100, 2000])
def test_a_history_that_is_rewritten_while_it_is_read_is_told_from_damage(
    store, reader, order, grown
):
    journal = Journal.open(reader, ID)
    journal.block(order[0])
    rewrite(store, 0, steps=grown)
    with pytest.raises(Rewritten, match="rewritten while it was read"):
        for step in order[1:]:
            journal.block(step)


@pytest.mark.parametrize("also", ["", "other/u1"])
def test_a_workflow_that_is_dropped_and_made_anew_is_not_the_one_that_was_read(store, reader, also):
    if also:  # so that its number is not given again
        fill(store, also, 3)
    journal = Journal.open(reader, ID)
    journal.block(0)
    store.drop_workflow(journal.head.no)
    fill(store, ID, 1100, batch=1100, salt="x")
    with pytest.raises(Rewritten) as caught:
        list(journal.blocks())
    assert str(caught.value) == (
        f"{ID}: its history was rewritten while it was read\nrun the command again"
    )


def test_what_is_appended_meanwhile_makes_damage_no_rewriting(store, reader, tmp_path):
    journal = Journal.open(reader, ID)
    writer = Journal.open(store, ID)
    writer.append(1100, columns([record(step) for step in range(1100, 1500)]))
    exchange(store, tmp_path, [512])
    with pytest.raises(StoreDamaged, match="the chain of hashes is broken"):
        list(journal.blocks())


def test_a_walk_forward_or_backward_fetches_each_segment_once(store, monkeypatch):
    fetched = []
    real = store.segment
    monkeypatch.setattr(
        store, "segment", lambda no, step=None: fetched.append(step) or real(no, step)
    )
    journal = Journal(store, store.head(ID))
    assert [start for start, _ in journal.blocks()] == [0, 256, 512, 768, 1024]
    assert fetched == [None, 0, 256, 512, 768]
    fetched.clear()
    journal = Journal(store, store.head(ID))
    for step in (1024, 768, 512, 256, 0):
        journal.block(step)
    assert fetched == [None, 768, 512, 256, 0]


def test_a_writer_goes_on_after_its_own_rewinding(store):
    journal = Journal.open(store, ID)
    journal.read(3)
    journal.rewind(100)
    journal.append(100, columns([record(step, salt="x") for step in range(100, 700)]))
    assert len(list(journal.blocks())) == 3
    journal.trim(300)
    assert [start for start, _ in journal.blocks()] == [256, 512]


def test_a_workflow_is_opened_by_its_number_whatever_its_id_is_by_now(store):
    begin(store, "other/u1")
    assert Journal.open(store, "projection/old", no=1).head.id == "projection/old"
    assert Journal.open(store, ID, no=99) is None


def test_a_full_block_is_found_by_any_of_its_steps_and_the_open_one_is_none(store):
    blocks = FullBlocks(store, store.head(ID))
    for step, start in ((0, 0), (255, 0), (512, 512), (256, 256), (511, 256), (1023, 768)):
        found, records = blocks.holding(step, None)
        assert (found, len(records), records[step - start]) == (start, 256, record(step))
    for step in (1024, 1099, 1100):
        assert blocks.holding(step, None) is None


def test_the_step_at_which_the_chain_is_broken_is_named(store):
    for step, broken in ((0, 256), (256, 256), (700, 768)):
        blocks = FullBlocks(store, store.head(ID))
        blocks._hashes[broken] = b"x" * 16
        with pytest.raises(StoreDamaged) as caught:
            blocks.holding(step, None)
        assert caught.value.message == (
            f"{ID}#{broken}: the store is damaged: the chain of hashes is broken"
        )
