"""The shortcut of replay: what the model in `proof` and its readers found, one by one. However runs, users,
crashes, rewinds and edits follow one another, a run that ends well holds all of its streams."""

from __future__ import annotations

import functools
from contextlib import closing, suppress
from pathlib import Path

import pytest
from dying import Died, Dying, dying, folded, inputs, journals, stream, trail, write

import durproj
from durproj import PastChanged
from durproj.codec import decode
from durproj.events.reader import Source
from durproj.runtime import fold as fold_of_log
from durproj.runtime import setup
from durproj.stores.sqlite import SqliteStore


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "log.jsonl"


FIRST = [("u1", 1), ("u2", 2), ("u1", 3), ("u2", 4)]


def fold(log, **options):
    return durproj.fold(log, reducer=trail, store="s.db", **options)


def interrupted_after(log, steps, **options):
    """Fold, and die once `steps` new steps are in the store."""
    for at in range(200):
        with dying(at), suppress(Died):
            fold(log, **options)
        found = journals(Path("s.db"))
        if sum(journal["steps"] for journal in found.values()) >= steps:
            return
    raise AssertionError


def expect_whole(events):
    found = journals(Path("s.db"))
    for key in {key for key, _ in events}:
        assert inputs(found[f"projection/{key}"]) == stream(events, key)
        assert found[f"projection/{key}"]["status"] == "resolved"


@pytest.mark.parametrize("new", ["u1", "u3"])
@pytest.mark.parametrize("keys", [None, "own"])
def test_a_crash_in_an_appended_tail_repeats_nothing(log, new, keys):
    own = [new] if keys else None
    write(log, FIRST)
    fold(log)
    if own and new == "u1":
        fold(log, keys=own)
    longer = FIRST + [(new, value) for value in range(5)]
    write(log, longer)
    interrupted_after(log, 4 + 3, keys=own)
    durproj.resume(store="s.db")
    found = journals(Path("s.db"))[f"projection/{new}"]
    assert inputs(found) == stream(longer, new)
    fold(log)
    expect_whole(longer)


def test_a_prefix_that_changes_and_comes_back_does_not_bring_its_cursor_back(log):
    write(log, FIRST)
    fold(log)
    longer = [*FIRST, ("u1", 5), ("u1", 6), ("u2", 7)]
    write(log, longer)
    log.write_text("\n" + log.read_text())
    interrupted_after(log, 5)
    write(log, longer)
    durproj.resume(store="s.db")
    expect_whole(longer)


def test_a_refused_run_does_not_bring_a_cursor_back_that_others_no_longer_stand_on(log):
    write(log, FIRST)
    fold(log)
    longer = [*FIRST, ("u1", 5), ("u2", 6), ("u1", 7)]
    write(log, longer)
    interrupted_after(log, 5)
    write(log, [("u1", 1), ("u2", 99), *longer[2:]])
    with pytest.raises(PastChanged):
        fold(log)
    write(log, longer)
    fold(log)
    expect_whole(longer)


def test_a_restart_that_fails_leaves_no_cursor_over_what_it_dropped(log):
    write(log, FIRST)
    fold(log, keys=["u1"])
    write(log, [("u2", 2)])
    with pytest.raises(durproj.NotFound):
        fold(log, keys=["u1"], restart=True)
    write(log, [*FIRST, ("u1", 9)])
    assert durproj.resume(store="s.db").executed == 3
    assert inputs(journals(Path("s.db"))["projection/u1"]) == stream([*FIRST, ("u1", 9)], "u1")


def test_what_a_restart_drops_of_another_run_is_folded_by_that_run_again(log):
    write(log, FIRST)
    fold(log)
    for at in range(200):
        with dying(at), suppress(Died):
            fold(log, keys=["u1"], restart=True)
        if "projection/u1" not in journals(Path("s.db")):
            break
    fold(log)
    expect_whole(FIRST)


def test_the_cursor_follows_a_single_stream_which_is_counted_once(log, monkeypatch):
    monkeypatch.setattr(setup, "Source", functools.partial(Source, block=64))
    monkeypatch.setattr(fold_of_log, "CURSOR_LINES", 4)
    events = [("u1", value) for value in range(30)]
    write(log, events)
    with dying(100), pytest.raises(Died):
        fold(log, keys=["u1"])
    held = journals(Path("s.db"))["projection/u1"]["steps"]
    with closing(SqliteStore.open_reader(Path("s.db"))) as store:
        (run,) = store.runs()
    assert run.cursor["workflows"] == 1
    assert run.cursor["steps"] == run.cursor["lines"]
    assert 0 <= held - run.cursor["lines"] <= 4 + 4  # so many again, and what is left of a chunk
    counts = fold(log, keys=["u1"])
    assert (counts.projections, counts.cached, counts.executed) == (1, held, 30 - held)
    expect_whole(events)


def test_users_and_the_whole_log_may_take_turns(log):
    events = list(FIRST)
    for turn in range(6):
        write(log, events)
        fold(log, keys=[["u1"], None, ["u2"]][turn % 3])
        events += [("u1", turn), ("u2", turn + 10)]
    write(log, events)
    counts = fold(log)
    expect_whole(events)
    assert counts.cached + counts.executed == len(events)


def test_a_stream_that_vanished_is_refused_though_another_run_took_it_over(log):
    write(log, FIRST)
    fold(log)
    fold(log, keys=["u1"])
    write(log, [event for event in FIRST if event[0] != "u1"])
    with pytest.raises(PastChanged, match="projection/u1#0"):
        fold(log)


def test_resuming_the_one_stream_of_a_log_without_keys_finishes_its_run(log, tmp_path):
    log.write_text('{"type":"T","v":1}\n{"type":"T","v":2}\n')
    with dying(None):
        Dying.arm(12)
        with pytest.raises(Died):
            fold(log)
    durproj.resume(["projection/all"], store="s.db")
    assert durproj.resume(store="s.db").projections == 0
    assert decode(journals(Path("s.db"))["projection/all"]["state"])["n"] == 2


@pytest.mark.parametrize("durability", ["step", "batch", "fsync"])
def test_one_appended_event_moves_the_state_that_is_shown(log, durability):
    write(log, FIRST)
    fold(log)
    write(log, [*FIRST, ("u1", 9)])
    assert fold(log, durability=durability).executed == 1
    shown = durproj.inspect("projection/u1", store="s.db")
    assert (shown["steps"], shown["state"]) == (3, folded(stream([*FIRST, ("u1", 9)], "u1")))
