"""The contract of stores/base.py, over every store."""

from __future__ import annotations

import pytest
from making import CURSOR, attempt, begin, columns, fill, read_all, record

from durproj.errors import StoreError
from durproj.stores.base import Head, Past, Run
from durproj.stores.journal import Journal
from durproj.stores.packing import Record, Segment
from durproj.stores.sqlite import SqliteStore


class SqliteFile:
    """How the suite opens one kind of store: one writer at a time, any number of readers."""

    def __init__(self, folder):
        self.path = folder / "store.db"

    def writer(self):
        return SqliteStore.open_writer(self.path)

    def reader(self):
        return SqliteStore.open_reader(self.path)


@pytest.fixture(params=[SqliteFile])
def place(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def store(place):
    opened = place.writer()
    yield opened
    opened.close()


@pytest.fixture
def reopened(place, store):
    """Opens the store anew, as another process would find it."""
    readers = []

    def reopen():
        readers.append(place.reader())
        return readers[-1]

    yield reopen
    for reader in readers:
        reader.close()


def test_a_new_store_is_empty(store):
    assert list(store.heads()) == []
    assert store.runs() == []
    assert store.head("projection/u1") is None
    assert store.run(1) is None
    assert store.find_run("projection", "x") is None
    assert not store.has_workflows(1)


def test_a_head_comes_back_as_it_was_saved(store, reopened):
    run = Run("projection", "x", {})
    store.save_run(run)
    heads = [
        Head("projection/u1", "projection", "u1", run.no),
        Head(
            "projection/é%23\u2028😀",
            "projection",
            "é#\u2028😀",
            run.no,
            "rejected",
            7,
            '{"name":"é\u2028"}'.encode(),
            b'{"step":6}',
            bytes(range(16)),
            2**62,
            6,
        ),
        Head("other/", "other", "", run.no, "parked", 0, b"null"),
        Head("projection/nul%00", "projection", "nul\x00", run.no, "resolved", 1, b"{}"),
    ]
    for head in heads:
        store.save_head(head)
    for where in (store, reopened()):
        assert [where.head(head.id) for head in heads] == heads
        assert list(where.heads()) == heads


def test_a_head_that_moves_is_one_head(store):
    journal = fill(store, "projection/u1", 3)
    no = journal.head.no
    journal.head.prefix_bytes, journal.head.prefix_steps = 100, 2
    journal.save("resolved", state=b'{"done":1}')
    journal.head.run = 12
    store.save_head(journal.head)
    assert list(store.heads()) == [journal.head]
    assert store.head("projection/u1") == journal.head
    assert journal.head.no == no


def test_new_heads_and_runs_get_numbers_of_their_own(store):
    journals = [fill(store, f"projection/u{n}", 1) for n in range(5)]
    runs = [Run("projection", f"run {n}", {}) for n in range(5)]
    for run in runs:
        store.save_run(run)
    assert len({journal.head.no for journal in journals}) == 5
    assert len({run.no for run in runs}) == 5
    assert None not in {journal.head.no for journal in journals} | {run.no for run in runs}


def test_two_workflows_cannot_have_one_id(store):
    fill(store, "projection/u1", 1)
    again = begin(store, "projection/u1").head
    with pytest.raises(StoreError, match="refused"):
        store.save_head(again)
    assert again.no is None
    assert len(list(store.heads())) == 1


def test_heads_come_in_the_order_in_which_the_workflows_began(store):
    # More than any page of them, moved in another order, and some dropped meanwhile.
    journals = [fill(store, f"projection/{n * 7919 % 1201}", 1) for n in range(1201)]
    for journal in reversed(journals):
        journal.head.prefix_bytes = 1
        store.save_head(journal.head)
    ids = [journal.head.id for journal in journals]
    assert [head.id for head in store.heads()] == ids
    seen = []
    for head in store.heads():
        seen.append(head.id)
        head.steps = 1
        store.save_head(head)
        if len(seen) == 3:
            store.drop_workflow(journals[600].head.no)
    assert seen == ids[:600] + ids[601:]


def test_the_heads_of_one_name_or_run(store):
    runs = [Run("a", "1", {}), Run("b", "1", {})]
    for run in runs:
        store.save_run(run)
    for name, run, steps in (("a", 0, 2), ("a", 1, 3), ("b", 1, 4)):
        journal = begin(store, f"{name}/{run}", runs[run])
        journal.append(0, columns([record(step) for step in range(steps)]))
    one, two = (run.no for run in runs)
    assert [head.id for head in store.heads(name="a")] == ["a/0", "a/1"]
    assert [head.id for head in store.heads(run=two)] == ["a/1", "b/1"]
    assert [head.id for head in store.heads(name="a", run=two)] == ["a/1"]
    assert list(store.heads(name="c")) == []
    assert store.has_workflows(one)
    for head in list(store.heads(run=one)):
        head.run = two
        store.save_head(head)
    assert not store.has_workflows(one)
    assert store.has_workflows(two)


def test_runs_come_back_as_they_were_saved(store, reopened):
    options = {"inputs": ["é.jsonl", "\u2028"], "n": 2**64 - 1, "deep": [[{"x": None}]]}
    runs = [
        Run("a", "1", options),
        Run("a", "2", {}, CURSOR, complete=True),
        Run("b", "1", {}),
    ]
    for run in runs:
        store.save_run(run)
    runs[0].cursor, runs[0].options = CURSOR | {"bytes": 3}, {"z": 1, "a": 2}
    store.save_run(runs[0])
    for where in (store, reopened()):
        assert [where.run(run.no) for run in runs] == runs
        assert [where.find_run(run.name, run.identity) for run in runs] == runs
        assert where.find_run("b", "2") is None
        assert list(where.find_run("a", "1").options) == ["z", "a"]


def test_the_run_saved_last_is_the_last_whatever_the_clock_does(store, monkeypatch):
    runs = [Run("a", str(n), {}) for n in range(4)]
    for run in runs:
        store.save_run(run)
    for when in (5_000_000_000.0, 5_000_000_000.0, 1.0, 1.0):
        monkeypatch.setattr("time.time", lambda when=when: when)
        runs.insert(3, runs.pop(1))
        store.save_run(runs[3])
        assert [run.no for run in store.runs()] == [run.no for run in runs]


def test_a_run_can_be_forgotten(store):
    run = Run("a", "1", {})
    store.save_run(run)
    store.drop_run(run.no)
    assert store.runs() == []
    assert store.run(run.no) is None


def test_a_run_and_its_workflows_change_their_name(store, reopened):
    run, other = Run("a", "1", {}), Run("b", "1", {})
    for each in (run, other):
        store.save_run(each)
    head = Head("a/1", "a", "1", run.no, state=b"[1]", error=b"{}")
    store.save_head(head)
    run.name, head.id, head.name, head.past = "c", "c/1", "c", Past("a/1")
    store.save_run(run)
    store.save_past(head)
    for where in (store, reopened()):
        assert (where.find_run("a", "1"), where.find_run("c", "1")) == (None, run)
        assert (where.head("a/1"), where.head("c/1")) == (None, head)
    head.past = None
    store.save_past(head)
    assert reopened().head("c/1") == head
    other.name = "c"
    with pytest.raises(StoreError, match="refused"):
        store.save_run(other)


def test_two_runs_cannot_have_one_name_and_identity(store):
    store.save_run(Run("a", "1", {}))
    with pytest.raises(StoreError, match="refused"):
        store.save_run(Run("a", "1", {"other": True}))
    assert [run.options for run in store.runs()] == [{}]


def test_rows_come_back_in_order(store, reopened):
    no = fill(store, "projection/u1", 1).head.no
    other = fill(store, "projection/u2", 2).head.no
    for step in (3, 1, 2):
        store.add_row(no, step, record(step), bytes([step]) * 16)
    for where in (store, reopened()):
        assert [row.step for row in where.rows(no)] == [0, 1, 2, 3]
        assert [row.step for row in where.rows(no, 2)] == [2, 3]
        assert where.rows(no, 2)[0] == (2, record(2), bytes([2]) * 16)
        assert where.last_row(no) == (3, record(3), bytes([3]) * 16)
        assert where.last_row(other).step == 1
        assert where.last_row(other + 1) is None


def test_a_step_that_is_a_row_is_refused(store):
    no = fill(store, "projection/u1", 3).head.no
    before = store.rows(no)
    with pytest.raises(StoreError, match="refused"):
        store.add_row(no, 1, Record(b"1", b"2", b"3"), b"h" * 16)
    assert store.rows(no) == before


def test_segments_are_found_by_step(store):
    no = fill(store, "projection/u1", 1).head.no
    segments = [
        Segment(start, 10, start < 20, b"s" * 16, b"h" * 16, bytes([start]))
        for start in (0, 10, 20)
    ]
    for segment in segments:
        store.add_segment(no, segment)
    assert [store.segment(no, step) for step in (0, 9, 10, 19, 20, 99)] == [
        segments[n] for n in (0, 0, 1, 1, 2, 2)
    ]
    assert store.segment(no) == segments[2]
    assert store.segment(no + 1) is None


def test_a_segment_that_starts_where_another_does_is_refused(store):
    no = fill(store, "projection/u1", 300, batch=300).head.no
    before = store.segment(no, 0)
    with pytest.raises(StoreError, match="refused"):
        store.add_segment(no, Segment(0, 1, False, b"s" * 16, b"h" * 16, b"p"))
    assert store.segment(no, 0) == before


def test_steps_are_dropped_from_one_on(store):
    no = fill(store, "projection/u1", 600, batch=100).head.no
    for step in (700, 701, 702):
        store.add_row(no, step, record(step), b"h" * 16)
    store.drop_steps(no, 701)
    assert store.last_row(no).step == 700
    store.drop_steps(no, 256)
    assert store.rows(no) == []
    assert store.segment(no).start == 0


def test_attempts_are_kept_in_order(store, reopened):
    no = fill(store, "projection/u1", 1).head.no
    tried = [attempt(1, 2), attempt(5, 9), attempt(3, None)]
    for one in tried:
        store.add_attempt(no, 4, one)
    store.add_attempt(no, 5, attempt(8))
    for where in (store, reopened()):
        assert where.attempts(no, 4) == tried
        assert where.attempts(no, 5) == [attempt(8)]
        assert where.attempts(no, 6) == []


def test_crash_points_fire_once(store, reopened):
    no = fill(store, "projection/u1", 1).head.no
    assert not store.crashed(no, 5)
    store.add_crash(no, 5)
    for where in (store, reopened()):
        assert where.crashed(no, 5)
        assert not where.crashed(no, 4)
        assert not where.crashed(no + 1, 5)
    with pytest.raises(StoreError):
        store.add_crash(no, 5)


def test_attempts_and_crash_points_are_forgotten_from_a_step_on(store):
    no = fill(store, "projection/u1", 1).head.no
    for step in (3, 4, 5):
        store.add_attempt(no, step, attempt(step))
        store.add_crash(no, step)
    store.drop_attempts(no, 4)
    assert [len(store.attempts(no, step)) for step in (3, 4, 5)] == [1, 0, 0]
    assert [store.crashed(no, step) for step in (3, 4, 5)] == [True, False, False]
    store.add_attempt(no, 4, attempt(7))
    assert store.attempts(no, 4) == [attempt(7)]


def test_a_dropped_workflow_leaves_nothing_behind(store):
    journal = fill(store, "projection/u1", 300)
    no = journal.head.no
    store.add_attempt(no, 300, attempt(1, 2))
    store.add_crash(no, 300)
    other = fill(store, "projection/u0", 3)
    store.drop_workflow(no)
    assert store.head("projection/u1") is None
    assert store.rows(no) == []
    assert store.segment(no) is None
    assert store.attempts(no, 300) == []
    assert not store.crashed(no, 300)
    assert read_all(Journal.open(store, "projection/u0")) == read_all(other)
    # One that takes its place, be it under the same number, starts from nothing.
    again = begin(store, "projection/u1")
    again.add(0, record(0))
    assert Journal.open(store, "projection/u1").steps == 1


def test_a_transaction_is_there_wholly(store, reopened):
    with store.transaction():
        first = fill(store, "projection/u1", 3)
        fill(store, "projection/u2", 3)
        store.add_attempt(first.head.no, 3, attempt(1))
    assert [head.id for head in reopened().heads()] == ["projection/u1", "projection/u2"]


def fill_and_fail(store):
    journal = fill(store, "projection/u2", 20)
    store.add_attempt(journal.head.no, 3, attempt(1))
    store.add_crash(journal.head.no, 3)
    store.save_run(Run("b", "1", {}))
    raise ZeroDivisionError


def contents(store):
    heads = list(store.heads())
    journals = [Journal.open(store, head.id) for head in heads]
    return heads, [read_all(journal) for journal in journals], store.runs()


def test_a_transaction_that_raises_leaves_nothing(store, reopened):
    fill(store, "projection/u1", 3)
    before = contents(store)
    with pytest.raises(ZeroDivisionError), store.transaction():
        fill_and_fail(store)
    assert contents(store) == before
    assert contents(reopened()) == before


def test_what_a_nested_transaction_wrote_goes_with_the_outer_one(store):
    fill(store, "projection/u1", 3)
    before = contents(store)

    def write_nested():
        with store.transaction(), store.transaction():
            with store.transaction():
                fill(store, "projection/u2", 300)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_nested()
    assert contents(store) == before


def test_a_nested_transaction_that_raises_takes_the_outer_one_along(store):
    fill(store, "projection/u1", 3)
    before = contents(store)

    def swallow():
        with store.transaction():
            fill(store, "projection/u3", 3)
            try:
                with store.transaction():
                    fill_and_fail(store)
            except ZeroDivisionError:
                pass
            fill(store, "projection/u4", 3)

    with pytest.raises(StoreError, match="part of the transaction failed"):
        swallow()
    assert contents(store) == before
    with store.transaction():
        fill(store, "projection/u5", 3)
    assert [head.id for head in store.heads()] == ["projection/u1", "projection/u5"]


def test_a_refused_verb_leaves_the_transaction_to_its_owner(store):
    no = fill(store, "projection/u1", 3).head.no
    with store.transaction():
        with pytest.raises(StoreError):
            store.add_row(no, 1, Record(b"1", b"2", b"3"), b"h" * 16)
        store.add_crash(no, 1)
    assert store.crashed(no, 1)


def test_readers_see_only_what_is_committed(store, reopened):
    fill(store, "projection/u1", 3)
    reader = reopened()
    before = contents(reader)
    with store.transaction():
        fill(store, "projection/u2", 3)
        Journal.open(store, "projection/u1").add(3, record(3))
        assert contents(reader) == before
        assert contents(reopened()) == before
    assert Journal.open(reader, "projection/u1").steps == 4
    assert contents(reader) == contents(store)


def test_within_a_snapshot_a_reader_sees_one_instant(store, reopened):
    journal = fill(store, "projection/u1", 255)
    reader = reopened()
    with reader.snapshot():
        head = reader.head("projection/u1")
        journal.add(255, record(255))
        journal.save("resolved")
        assert len(reader.rows(head.no)) == 255
        assert reader.segment(head.no) is None
        assert reader.head("projection/u1") == head
    assert reader.rows(head.no) == []
    assert reader.head("projection/u1").status == "resolved"


def test_a_snapshot_within_a_snapshot_is_of_the_same_instant(store, reopened):
    journal = fill(store, "projection/u1", 3)
    reader = reopened()
    with reader.snapshot():
        head = reader.head("projection/u1")
        journal.add(3, record(3))
        with reader.snapshot():
            assert Journal.open(reader, "projection/u1").steps == 3
        assert len(reader.rows(head.no)) == 3
    assert Journal.open(reader, "projection/u1").steps == 4


def test_a_journal_opened_by_a_reader_stays_whole_while_its_rows_are_packed(store, reopened):
    journal = fill(store, "projection/u1", 255)
    opened = Journal.open(reopened(), "projection/u1")
    expected = read_all(journal)
    for step in range(255, 300):
        journal.add(step, record(step))
    assert read_all(opened) == expected
    assert [opened.read(step) for step in (0, 254)] == [journal.read(step) for step in (0, 254)]


def test_a_snapshot_of_the_writer_is_no_obstacle_to_writing(store):
    with store.snapshot():
        fill(store, "projection/u1", 3)
    with store.transaction(), store.snapshot():
        fill(store, "projection/u2", 3)
    assert len(list(store.heads())) == 2
