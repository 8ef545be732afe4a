"""Parked streams that go on: retried or without the event, and what of the store may move for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dying import Died, dying, folded, inputs, journals, stream, tables, trail, write

import durproj
from durproj import NotFound, PastChanged
from durproj.codec import decode

BAD = 13
EVENTS = [("u1", 1), ("u2", 2), ("u1", BAD), ("u3", BAD), ("u2", 3), ("u1", 4), ("u3", 5)]
MORE = [("u1", 6), ("u2", 7), ("u3", 8)]
LAST = [("u3", 9), ("u1", 10), ("u4", 11), ("u2", 12)]
BOTH = pytest.mark.parametrize("durability", ["step", "batch"])

PICKY = """
def picky(state, event):
    value = event.body["v"]
    if value == 13:
        raise ValueError("unlucky")
    return {"n": state["n"] + 1, "trail": (state["trail"] * 31 + value) % 1_000_003, "v": value}

picky.initial = {"n": 0, "trail": 7}
"""
MENDED = PICKY.replace("value == 13", "value == 14")


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "log", EVENTS)
    (tmp_path / "picky.py").write_text(PICKY)
    return tmp_path / "log"


def fold(log, **options):
    options = {"reducer": "picky.py:picky", "store": "s.db", "on_error": "park", **options}
    return durproj.fold(log, **options)


def mend():
    Path("picky.py").write_text(MENDED)


def of_workflow(no, store="s.db"):
    """All that the store holds of one workflow, byte for byte."""
    found = tables(Path(store))
    rows = {name: [row for row in found[name] if row[0] == no] for name in found if name != "run"}
    assert rows["workflow"]
    return rows


@BOTH
def test_a_mended_reducer_takes_over_at_the_parked_event_and_only_there(log, durability):
    fold(log, durability=durability)
    write(log, [*EVENTS, *MORE])
    fold(log, durability=durability)
    before = of_workflow(2)
    mend()
    counts = durproj.retry_parked(store="s.db")
    assert (counts.projections, counts.cached, counts.executed, counts.parked) == (2, 1, 6, 0)
    assert of_workflow(2) == before
    # For the streams that were not parked the past is still guarded.
    with pytest.raises(PastChanged, match="reducer"):
        durproj.fold(log, store="s.db")
    write(log, [*EVENTS, *MORE, *LAST])
    counts = fold(log, durability=durability, accept_reducer=True)
    assert (counts.projections, counts.cached, counts.executed) == (4, 10, 4)
    found = journals(Path("s.db"))
    for key in ("u1", "u2", "u3", "u4"):
        lines = stream([*EVENTS, *MORE, *LAST], key)
        assert inputs(found[f"projection/{key}"]) == lines
        assert decode(found[f"projection/{key}"]["state"]) == folded(lines)


@pytest.mark.parametrize("grown", [False, True])
@BOTH
def test_a_crash_at_any_write_of_a_retry_loses_nothing(tmp_path, monkeypatch, durability, grown):
    monkeypatch.chdir(tmp_path)
    whole = [*EVENTS, *(MORE if grown else ())]
    for at in range(200):
        Path("picky.py").write_text(PICKY)
        write(tmp_path / "log", EVENTS)
        store = f"{at}.db"
        fold("log", store=store, durability=durability)
        write(tmp_path / "log", whole)
        untouched = of_workflow(2, store)
        mend()
        with dying(at) as store_type:
            try:
                durproj.retry_parked(store=store)
                over = at >= store_type.points
            except Died:
                over = False
        assert of_workflow(2, store) == untouched
        durproj.retry_parked(store=store)
        write(tmp_path / "log", [*whole, *LAST])
        counts = fold("log", store=store, durability=durability, accept_reducer=True)
        assert (counts.projections, counts.parked) == (4, 0)
        assert counts.cached + counts.executed == len(whole) + len(LAST)
        found = journals(Path(store))
        for key in ("u1", "u2", "u3", "u4"):
            lines = stream([*whole, *LAST], key)
            assert inputs(found[f"projection/{key}"]) == lines
            assert decode(found[f"projection/{key}"]["state"]) == folded(lines)
        if over:
            return
    pytest.fail("it dies at every point")


def test_what_fails_again_is_parked_again(log):
    fold(log)
    before = journals(Path("s.db"))
    counts = durproj.retry_parked(["projection/u1"], store="s.db")
    assert (counts.projections, counts.executed, counts.parked) == (1, 0, 1)
    assert journals(Path("s.db")) == before
    assert durproj.inspect_parked("projection/u1", store="s.db")["attempts"] == 2
    assert durproj.inspect_parked("projection/u3", store="s.db")["attempts"] == 1
    assert [record["id"] for record in durproj.parked(store="s.db")] == [
        *("projection/u1", "projection/u3")
    ]
    assert fold(log).cached == 3


def test_retrying_one_stream_leaves_the_other_parked(log):
    fold(log)
    mend()
    counts = durproj.retry_parked(keys=["u3"], store="s.db")
    assert (counts.projections, counts.parked) == (1, 0)
    assert [status["status"] for status in journals(Path("s.db")).values()] == [
        *("parked", "resolved", "resolved")
    ]
    counts = fold(log, accept_reducer=True)
    assert (counts.cached, counts.parked) == (5, 1)
    assert durproj.retry_parked(store="s.db").executed == 2
    assert durproj.resume(store="s.db").projections == 0


def test_a_dropped_event_is_a_recorded_step_that_rewind_undoes(log):
    fold(log)
    counts = durproj.drop_parked(["projection/u1"], store="s.db")
    assert (counts.executed, counts.parked, counts.skipped) == (2, 0, 0)
    shown = durproj.inspect("projection/u1", 1, store="s.db")
    assert shown["skipped"] == {"kind": "ValueError", "message": "unlucky"}
    assert shown["state"]["n"] == 1
    assert durproj.inspect("projection/u1", store="s.db")["state"]["n"] == 2
    durproj.rewind("projection/u1", 0, store="s.db")
    mend()
    fold(log, accept_reducer=True)
    assert durproj.inspect("projection/u1", store="s.db")["state"]["n"] == 3


def test_another_event_than_the_one_looked_at_is_not_dropped(log):
    fold(log)
    before = journals(Path("s.db"))
    for changed in (("u1", 99), ("u4", 1)):
        write(log, [*EVENTS[:2], changed, *EVENTS[3:5]])
        with pytest.raises(PastChanged, match="projection/u1#1"):
            durproj.drop_parked(keys=["u1"], store="s.db")
        assert journals(Path("s.db")) == before


def test_an_event_that_was_mended_in_the_log_is_taken_as_it_is_now(log):
    fold(log)
    mended = [("u1", 77) if event == ("u1", BAD) else event for event in EVENTS]
    write(log, mended)
    assert durproj.retry_parked(keys=["u1"], store="s.db").executed == 2
    assert inputs(journals(Path("s.db"))["projection/u1"]) == stream(mended, "u1")


ALONE = [("u1", 1), ("u1", BAD), ("u1", 2)]
FIRST = [("u1", BAD), ("u2", 1), ("u1", 2)]


@pytest.mark.parametrize("keys", [None, ["u1"]], ids=["all", "one"])
@pytest.mark.parametrize(
    ("events", "now", "step"),
    [
        (EVENTS, [event for event in EVENTS if event != ("u1", BAD)], 1),
        (EVENTS, [("u1", 77) if event == ("u1", BAD) else event for event in EVENTS], 1),
        (ALONE, ALONE[:1], 1),
        (ALONE, [ALONE[0], *ALONE[2:]], 1),
        (FIRST, FIRST[1:], 0),
        (FIRST, FIRST[1:2], 0),
    ],
    ids=["removed", "replaced", "cut", "removed of one", "first removed", "stream gone"],
)
def test_the_event_at_which_a_stream_waits_is_guarded_as_a_step_is(log, events, now, step, keys):
    write(log, events)
    fold(log, keys=keys)
    before = journals(Path("s.db"))
    write(log, now)
    again = [lambda: fold(log, keys=keys), lambda: durproj.resume(store="s.db")]
    if (keys, len(now)) == (None, 1):
        again.append(lambda: durproj.retry_parked(store="s.db"))
        again.append(lambda: durproj.drop_parked(keys=["u1"], store="s.db"))
    for act in again:
        with pytest.raises(PastChanged, match=f"projection/u1#{step}: ") as refused:
            act()
        assert "13" in refused.value.recorded
        assert journals(Path("s.db")) == before
    write(log, events)
    assert fold(log, keys=keys).parked


def test_what_comes_after_the_cursor_is_not_taken_for_the_parked_event(log):
    fold(log)
    write(log, [*EVENTS, *MORE])
    counts = fold(log)
    assert (counts.parked, counts.parked_before, counts.waiting) == (2, 2, 4)
    counts = fold(log, keys=["u1"])
    assert (counts.parked, counts.waiting) == (1, 2)


def test_what_is_parked_before_the_cursor_was_so_before(log):
    fold(log)
    for _ in range(2):
        counts = fold(log)
        assert (counts.parked, counts.parked_before, counts.executed) == (2, 2, 0)


@BOTH
def test_a_dropped_event_is_recorded_as_itself_and_folded_over_again(log, durability):
    fold(log, durability=durability)
    before = journals(Path("s.db"))["projection/u1"]["state"]
    assert durproj.drop_parked(keys=["u1"], store="s.db").executed == 2
    journal = journals(Path("s.db"))["projection/u1"]
    assert inputs(journal) == stream(EVENTS, "u1")
    assert decode(journal["state"])["n"] == decode(before)["n"] + 1
    assert fold(log, durability=durability).executed == 0


@pytest.mark.parametrize("keys", [None, ["u1"]], ids=["many", "one"])
def test_all_that_waits_is_counted_however_much_it_is(log, keys):
    write(log, [("u1", BAD), *(("u1", n + 20) for n in range(30_000))])
    assert fold(log, keys=keys).waiting == 30_000
    assert fold(log, keys=keys).waiting == 30_000


def test_of_a_run_of_some_keys_one_is_released_and_the_others_are_left_to_do(log):
    fold(log, keys=["u1", "u3"])
    mend()
    assert durproj.retry_parked(keys=["u1"], store="s.db").parked == 0
    counts = fold(log, keys=["u1", "u3"], accept_reducer=True)
    assert (counts.projections, counts.parked, counts.parked_before) == (2, 1, 1)
    assert (counts.cached, counts.executed, counts.waiting) == (3, 0, 1)
    assert durproj.retry_parked(store="s.db").projections == 1
    assert {each["status"] for each in journals(Path("s.db")).values()} == {"resolved"}


def test_a_late_event_before_the_parked_one_is_told_as_late(log):
    def write_times(*times):
        lines = [
            f'{{"user_id":"u1","type":"T","time":{at},"v":{BAD if at == 30 else at}}}\n'
            for at in times
        ]
        log.write_text("".join(lines))

    write_times(10, 30, 40)
    fold(log, order="time")
    write_times(10, 30, 40, 20)
    for act in (lambda: fold(log), lambda: durproj.retry_parked(store="s.db")):
        with pytest.raises(PastChanged, match="it came late"):
            act()


def test_a_run_of_which_all_streams_were_retried_has_the_mended_reducer(log):
    write(log, ALONE)
    fold(log)
    mend()
    assert durproj.retry_parked(store="s.db").executed == 2
    write(log, [*ALONE, ("u1", 5)])
    assert fold(log).executed == 1


def test_what_is_not_parked_is_not_found(log):
    with pytest.raises(NotFound):
        durproj.retry_parked(store="s.db")
    fold(log)
    for ids, keys in ((["projection/u2"], None), (["projection/u9"], None), (None, ["u2"])):
        for release in (durproj.retry_parked, durproj.drop_parked):
            with pytest.raises(NotFound):
                release(ids, keys=keys, store="s.db")
    with pytest.raises(NotFound, match="is resolved"):
        durproj.inspect_parked("projection/u2", store="s.db")
    with pytest.raises(durproj.UsageError):
        durproj.drop_parked(store="s.db")


def test_a_program_brings_its_reducer_to_a_retry(log):
    def unlucky(state, event):
        if event.body["v"] == BAD:
            raise ValueError
        return trail(state, event)

    unlucky.initial = trail.initial
    fold(log, reducer=unlucky)
    with pytest.raises(durproj.UsageError, match="program"):
        durproj.retry_parked(store="s.db")
    assert durproj.retry_parked(store="s.db", reducer=trail).parked == 0
    assert durproj.inspect("projection/u1", store="s.db")["state"] == folded(stream(EVENTS, "u1"))


def test_the_stream_of_a_log_without_keys_goes_on(log):
    log.write_text("".join(f'{{"type":"T","v":{v}}}\n' for v in (1, BAD, 2)))
    fold(log)
    mend()
    counts = durproj.retry_parked(["projection/all"], store="s.db")
    assert (counts.cached, counts.executed, counts.parked) == (1, 2, 0)
    assert durproj.resume(store="s.db").projections == 0


def test_a_stream_that_another_run_took_over_goes_on_in_that_run(log):
    fold(log)
    fold(log, keys=["u1"])
    mend()
    assert durproj.retry_parked(store="s.db").executed == 4
    assert fold(log, keys=["u1"], accept_reducer=True).cached == 3
    assert fold(log, accept_reducer=True).cached == len(EVENTS)
