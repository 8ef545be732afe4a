"""Dropping a journal's oldest steps, and what it goes by under another id."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from making import begin, columns, fill, record

from durproj.errors import NotFound, StoreDamaged
from durproj.stores import sqlite
from durproj.stores.base import Past
from durproj.stores.journal import Journal
from durproj.stores.packing import ORIGIN, Chain, digest_inputs
from durproj.stores.sqlite import SqliteStore

ID = "projection/u1"


def steps_of(journal):
    return [
        (start + n, each) for start, records in journal.blocks() for n, each in enumerate(records)
    ]


def expected(first, stop):
    return [(n, record(n)) for n in range(first, stop)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@examples(20)
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    keep=st.integers(0, 700),
    more=st.integers(0, 300),
    again=st.integers(0, 400),
)
def test_what_is_kept_stays_as_it_was_and_goes_on(tmp_path_factory, sizes, keep, more, again):
    path = tmp_path_factory.mktemp("trim") / "store.db"
    total = sum(sizes)
    with closing(SqliteStore.open_writer(path)) as store:
        journal = begin(store)
        for size in sizes:
            journal.append(journal.steps, columns([record(journal.steps + n) for n in range(size)]))
        journal.save("resolved")
        state = journal.head.state
        dropped = journal.trim(keep)
        assert total - dropped >= min(keep, total)
        assert dropped == max(0, total - keep) or dropped % 256 == 0
    with closing(SqliteStore.open_writer(path)) as store:
        journal = Journal.open(store, ID)
        head = journal.head
        assert (head.dropped, journal.steps, head.state) == (dropped, total, state)
        assert head.status == "resolved"
        assert steps_of(journal) == expected(dropped, total)
        assert journal.last_output() == state
        if dropped:
            inputs = (record(n).input for n in range(dropped))
            assert head.past.inputs == digest_inputs(ORIGIN, inputs)
        if more:
            journal.append(total, columns([record(total + n) for n in range(more)]))
            journal.save("resolved")
        second = journal.trim(again)
    with closing(SqliteStore.open_reader(path)) as store:
        journal = Journal.open(store, ID)
        assert steps_of(journal) == expected(dropped + second, total + more)
        assert journal.last_output() == record(total + more - 1).output
        if dropped + second:
            inputs = (record(n).input for n in range(dropped + second))
            assert journal.head.past.inputs == digest_inputs(ORIGIN, inputs)


@pytest.mark.parametrize("batch", [1, 50])
def test_a_step_that_was_dropped_is_told_from_one_that_never_was(path, batch):
    with closing(SqliteStore.open_writer(path)) as store:
        journal = fill(store, ID, 300, batch=batch, status="resolved")
        assert journal.trim(10) == 290
        for opened in (journal, Journal.open(store, ID)):
            with pytest.raises(NotFound, match="durproj gc dropped the first 290 steps"):
                opened.read(289)
            with pytest.raises(NotFound, match="no such step"):
                opened.read(300)
            with pytest.raises(NotFound, match="no longer kept"):
                list(opened.blocks(0))
            assert opened.read(290) == record(290)


def test_a_trimmed_journal_goes_back_as_far_as_it_is_kept(path):
    with closing(SqliteStore.open_writer(path)) as store:
        journal = fill(store, ID, 300, batch=100, status="resolved")
        journal.trim(10)
        for steps in (0, 5, 290):
            with pytest.raises(NotFound, match="no longer kept"):
                journal.rewind(steps)
        journal.rewind(295)
        journal.add(295, record(295))
        assert steps_of(Journal.open(store, ID)) == expected(290, 296)


def test_a_journal_without_steps_keeps_its_state_and_goes_on(path):
    with closing(SqliteStore.open_writer(path)) as store:
        journal = fill(store, ID, 20, status="resolved")
        assert journal.trim(0) == 20
        assert journal.trim(0) == 0
        journal.rewind(20)
        assert journal.head.state == record(19).output
        journal = Journal.open(store, ID)
        journal.add(20, record(20))
    with closing(SqliteStore.open_reader(path)) as store:
        assert steps_of(Journal.open(store, ID)) == expected(20, 21)


def test_a_reader_tells_what_was_dropped_meanwhile_from_damage(path):
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, ID, 1100, batch=100, status="resolved")
        with closing(SqliteStore.open_reader(path)) as reader:
            opened, behind = Journal.open(reader, ID), Journal.open(reader, ID)
            blocks = behind.blocks()
            next(blocks)
            Journal.open(store, ID).trim(10)
            with pytest.raises(NotFound, match="dropped the first 1,090 steps"):
                opened.read(3)
            with pytest.raises(NotFound, match="no longer kept"):
                list(blocks)
            fill(store, "other/u1", 600, batch=100)
            other = Journal.open(reader, "other/u1")
            store.drop_workflow(other.head.no)
            with pytest.raises(NotFound, match="dropped meanwhile"):
                other.read(3)


def test_attempts_at_dropped_steps_are_forgotten(path):
    with closing(SqliteStore.open_writer(path)) as store:
        journal = fill(store, ID, 20, status="resolved")
        no = journal.head.no
        store.add_crash(no, 3)
        store.add_crash(no, 15)
        journal.trim(10)
        assert not store.crashed(no, 3)
        assert store.crashed(no, 15)


def test_under_another_id_the_same_steps_are_read_and_more_are_added(path):
    with closing(SqliteStore.open_writer(path)) as store:
        journal = fill(store, ID, 300, batch=100, status="resolved")
        head = journal.head
        head.past, head.id, head.name = Past(head.id), "old/u1", "old"
        store.save_past(head)
        fill(store, ID, 5)
    with closing(SqliteStore.open_writer(path)) as store:
        journal = Journal.open(store, "old/u1")
        assert steps_of(journal) == expected(0, 300)
        journal.append(300, columns([record(300 + n) for n in range(300)]))
        journal.add(600, record(600))
        assert steps_of(Journal.open(store, "old/u1")) == expected(0, 601)
        assert steps_of(Journal.open(store, ID)) == expected(0, 5)
        assert [each.id for each in store.heads()] == ["old/u1", ID]


def test_upkeep_leaves_the_time_when_a_workflow_was_moved(path, monkeypatch):
    with closing(SqliteStore.open_writer(path)) as store:
        monkeypatch.setattr(sqlite, "_now_ms", lambda: 5)
        head = fill(store, ID, 300, batch=100, status="resolved").head
        monkeypatch.setattr(sqlite, "_now_ms", lambda: 9)
        for keep in (280, 10):  # a block's rest is written anew, or it is dropped wholly
            Journal.open(store, ID).trim(keep)
            assert store.head(ID).updated_ms == 5
        head = store.head(ID)
        head.id, head.name = "old/u1", "old"
        store.save_past(head)
        assert store.head("old/u1").updated_ms == 5
        Journal.open(store, "old/u1").save("pending")
        assert store.head("old/u1").updated_ms == 9


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE past SET id = 'x/u1'",
        "UPDATE past SET steps = 256",
        "UPDATE past SET hash = zeroblob(16)",
        "UPDATE past SET inputs = zeroblob(16)",
        "DELETE FROM past",
    ],
)
@pytest.mark.parametrize("keep", [0, 10])
def test_damage_to_the_past_is_found(path, damage, keep):
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, ID, 300, batch=100, status="resolved").trim(keep)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(damage)
        conn.commit()
    with closing(SqliteStore.open_reader(path)) as store, pytest.raises(StoreDamaged):
        journal = Journal.open(store, ID)
        journal.last_output()
        list(journal.blocks())


@pytest.mark.parametrize(
    ("keep", "step", "hint"), [(300, 300, "drop the workflow"), (600, 600, "rewind the workflow")]
)
def test_what_is_said_of_damage_can_be_followed(path, keep, step, hint):
    """Before the first step that is kept no workflow can be rewound."""
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, ID, 800, batch=100, status="resolved")
        journal = Journal.open(store, ID)
        journal.trim(keep)
        head = store.head(ID)
        head.past, head.id, head.name = head.past or Past(ID), "old/u1", "old"
        store.save_past(head)
        segment = store.segment(head.no, step)
        store._write("UPDATE segment SET hash = zeroblob(16) WHERE start = ?", (segment.start,))
        with pytest.raises(StoreDamaged, match="old/u1: steps") as harmed:
            list(Journal.open(store, "old/u1").blocks())
        assert hint in harmed.value.hint
        if "rewind" in hint:
            Journal.open(store, "old/u1").rewind(segment.start)
        else:
            with pytest.raises(NotFound, match="no longer kept"):
                Journal.open(store, "old/u1").rewind(segment.start)


@pytest.mark.parametrize("first", [None, 60, 44])
@pytest.mark.parametrize(("keep", "dropped"), [(1, 299), (10, 290), (43, 257), (44, 256), (45, 0)])
def test_a_past_is_chained_over_all_that_was_dropped(path, first, keep, dropped):
    with closing(SqliteStore.open_writer(path)) as store:
        journal = fill(store, ID, 300, batch=100, status="resolved")
        before = 0 if first is None else journal.trim(first)
        assert before == (256 if first == 44 else 0)
        state = journal.head.state
        assert journal.trim(keep) == max(0, dropped - before)
        dropped = max(dropped, before)
        head = journal.head
        assert (head.dropped, head.state, journal.steps) == (dropped, state, 300)
        if dropped:
            records = [record(n) for n in range(dropped)]
            seed = ORIGIN
            for start in range(0, dropped, 256):
                chain = Chain(ID, start, seed)
                chain.absorb(columns(records[start : start + 256]).texts())
                seed = chain.digest()
            inputs = digest_inputs(ORIGIN, [each.input for each in records])
            assert head.past == Past(ID, dropped, seed, inputs)
        assert steps_of(journal) == expected(dropped, 300)
        assert steps_of(Journal.open(store, ID)) == expected(dropped, 300)


def test_a_block_that_is_missing_is_named(path):
    with closing(SqliteStore.open_writer(path)) as store:
        fill(store, ID, 600, batch=600, status="resolved")
        store._conn.execute("DELETE FROM segment WHERE start = 256")
        journal = Journal.open(store, ID)
        for step in (256, 511):
            with pytest.raises(StoreDamaged) as caught:
                journal.read(step)
            assert caught.value.message == (
                f"{ID}#{step}: the store is damaged: its segment is missing"
            )


@pytest.mark.parametrize(("keep", "what"), [(4, "step"), (3, "2 steps")])
def test_how_much_was_dropped_is_told_of_one_step_and_of_more(path, keep, what):
    with closing(SqliteStore.open_writer(path)) as store:
        journal = fill(store, ID, 5, status="resolved")
        journal.trim(keep)
        with pytest.raises(NotFound, match=f"durproj gc dropped the first {what}\n"):
            journal.read(0)
