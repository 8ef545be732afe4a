"""Events that fail for good: a stream is parked at one, or goes on without it, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from dying import Died, dying, inputs, journals, stream, tables, write

import durproj
from durproj import Constant, PastChanged, Retry, StepFailed, TooManyErrors
from durproj.codec import decode
from durproj.stores.sqlite import SqliteStore

ID = "projection/u1"
BAD = 13
EVENTS = [
    ("u1", 1),
    ("u2", 2),
    ("u1", BAD),
    ("u3", BAD),
    ("u2", 3),
    ("u1", 4),
    ("u3", 5),
    ("u1", BAD),
]
BOTH = pytest.mark.parametrize("durability", ["step", "batch"])


def picky(state, event):
    """Changes its state in place before it fails."""
    value = event.body["v"]
    state["n"] += 1
    if value == BAD:
        raise ValueError("unlucky")
    state["sum"] += value
    return state


picky.initial = {"n": 0, "sum": 0}


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "log", EVENTS)
    return tmp_path / "log"


def fold(log, **options):
    options = {"reducer": picky, "store": "s.db", "on_error": "park", **options}
    return durproj.fold(log, **options)


def states(store="s.db"):
    return {
        id: (each["status"], decode(each["state"]) if each["state"] else None)
        for id, each in journals(Path(store)).items()
    }


def attempts(id, step, store="s.db"):
    opened = SqliteStore.open_reader(Path(store))
    try:
        return len(opened.attempts(opened.head(id).no, step))
    finally:
        opened.close()


def without_runs(store="s.db"):
    return {name: rows for name, rows in tables(Path(store)).items() if name != "run"}


@BOTH
def test_a_parked_stream_keeps_the_steps_before_and_the_others_go_on(log, durability):
    counts = fold(log, durability=durability)
    assert (counts.executed, counts.parked, counts.failed, counts.skipped) == (3, 2, 0, 0)
    assert states() == {
        "projection/u1": ("parked", {"n": 1, "sum": 1}),
        "projection/u2": ("resolved", {"n": 2, "sum": 5}),
        "projection/u3": ("parked", None),
    }
    assert durproj.inspect(ID, store="s.db")["error"] == {
        "step": 1,
        "kind": "ValueError",
        "message": "unlucky",
        "event": {"id": None, "type": "T"},
    }


@BOTH
def test_parking_is_idempotent(log, durability):
    fold(log, durability=durability)
    before = without_runs()
    again = fold(log, durability=durability)
    assert (again.cached, again.executed, again.parked) == (3, 0, 2)
    again = durproj.resume(store="s.db", durability=durability)
    assert (again.cached, again.executed, again.parked) == (3, 0, 2)
    assert without_runs() == before


@BOTH
def test_other_streams_take_what_is_appended_and_parked_ones_do_not(log, durability):
    fold(log, durability=durability)
    write(log, [*EVENTS, ("u1", 6), ("u2", 7), ("u3", 8), ("u4", 9)])
    counts = fold(log, durability=durability, on_error="stop")
    assert (counts.projections, counts.cached, counts.executed, counts.parked) == (4, 3, 2, 2)
    assert inputs(journals(Path("s.db"))[ID]) == stream(EVENTS, "u1")[:1]


def test_the_journal_of_a_parked_stream_is_guarded(log):
    fold(log)
    write(log, [("u1", 99), *EVENTS[1:]])
    with pytest.raises(PastChanged, match="projection/u1#0"):
        fold(log)


@BOTH
def test_a_skip_is_a_recorded_step_that_leaves_the_state_as_it_was(log, durability):
    counts = fold(log, on_error="skip", durability=durability)
    assert (counts.executed, counts.parked, counts.skipped) == (8, 0, 3)
    assert states() == {
        "projection/u1": ("resolved", {"n": 2, "sum": 5}),
        "projection/u2": ("resolved", {"n": 2, "sum": 5}),
        "projection/u3": ("resolved", {"n": 1, "sum": 5}),
    }
    shown = durproj.inspect(ID, 1, store="s.db")
    assert shown["skipped"] == {"kind": "ValueError", "message": "unlucky"}
    assert (shown["state"], shown["attempts"]) == ({"n": 1, "sum": 1}, 1)
    assert shown["function"] == "apply_event"
    first = durproj.inspect(ID, 0, store="s.db")
    assert "skipped" not in first
    assert first["function"] == "apply_event"
    again = fold(log, on_error="skip", durability=durability)
    assert (again.cached, again.executed, again.skipped) == (8, 0, 0)


def test_rewind_undoes_a_skip_and_a_parking(log):
    fold(log, on_error="skip")
    durproj.rewind(ID, 0, store="s.db")
    counts = fold(log)
    assert (counts.executed, counts.parked) == (0, 1)
    durproj.rewind(ID, 0, store="s.db")
    assert states()[ID] == ("pending", {"n": 1, "sum": 1})
    assert fold(log, on_error="skip").skipped == 2
    assert states()[ID] == ("resolved", {"n": 2, "sum": 5})


@pytest.mark.parametrize("on_error", ["park", "skip"])
@BOTH
def test_a_crash_at_any_write_and_a_run_again_are_a_straight_run(
    tmp_path, monkeypatch, durability, on_error
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "log", EVENTS)
    options = {"durability": durability, "on_error": on_error}
    fold("log", store="straight.db", **options)
    expected = journals(Path("straight.db"))
    for at in range(200):
        store = Path(f"{at}.db")
        with dying(at) as store_type:
            try:
                fold("log", store=store, **options)
            except Died:
                pass
            else:
                assert at >= store_type.points
                break
        fold("log", store=store, **options)
        assert journals(store) == expected, at
    else:
        pytest.fail("it dies at every point")


def test_the_choice_is_stored_and_another_one_is_no_changed_past(log):
    (log.parent / "picky.py").write_text(
        "def picky(state, event):\n"
        "    if event.body['v'] == 13:\n        raise ValueError('unlucky')\n"
        "    return {'n': state.get('n', 0) + 1}\n"
    )
    options = {"reducer": "picky.py:picky"}
    with pytest.raises(StepFailed):
        fold(log, on_error="stop", **options)
    with pytest.raises(StepFailed):
        durproj.resume(store="s.db")
    assert durproj.resume(store="s.db", on_error="park").parked == 2
    write(log, [*EVENTS, ("u2", BAD)])
    assert durproj.resume(store="s.db").parked == 3
    write(log, [*EVENTS, ("u2", BAD), ("u4", BAD)])
    assert fold(log, on_error="skip", **options).skipped == 1


def test_what_cannot_be_stored_parks_the_stream(log):
    counts = fold(log, reducer=lambda state, _event: {**state, "x": float("nan")})
    assert (counts.executed, counts.parked) == (0, 3)
    assert durproj.inspect(ID, store="s.db")["error"]["kind"] == "Unstorable"


def test_a_transient_error_is_retried_before_the_stream_is_parked(log):
    def never(state, event):
        raise Retry("later")

    retry = Constant(retries=2, delay_s=0)
    assert fold(log, reducer=never, retry=retry, keys=["u1"]).parked == 1
    assert attempts(ID, 0) == 3
    fold(log, reducer=never, retry=retry, keys=["u1"])
    assert attempts(ID, 0) == 3


@pytest.mark.parametrize("on_error", ["park", "skip"])
def test_max_errors_ends_the_run_and_keeps_what_was_finished(log, on_error):
    with pytest.raises(TooManyErrors, match="2 events failed for good") as caught:
        fold(log, on_error=on_error, max_errors=1)
    assert caught.value.hint == "what was finished is kept"
    assert journals(Path("s.db"))[ID]["steps"] == (1 if on_error == "park" else 4)
    fold(log, on_error=on_error, max_errors=3)
    fold(log, on_error=on_error, store="straight.db")
    assert journals(Path("s.db")) == journals(Path("straight.db"))
    with pytest.raises(TooManyErrors, match="1 event failed for good, and --max-errors is 0"):
        fold(log, on_error=on_error, store="none.db", max_errors=0)
    with pytest.raises(durproj.UsageError):
        fold(log, max_errors=-1)
    with pytest.raises(durproj.UsageError, match="stop, park, skip"):
        fold(log, on_error="ignore")


@BOTH
def test_one_stream_of_a_log_without_keys_is_parked_and_left_alone(log, durability):
    log.write_text("".join(f'{{"type":"T","v":{v}}}\n' for v in (1, BAD, 2)))
    counts = fold(log, durability=durability)
    assert (counts.projections, counts.executed, counts.parked) == (1, 1, 1)
    log.write_text("".join(f'{{"type":"T","v":{v}}}\n' for v in (1, BAD, 2, 3)))
    counts = fold(log, durability=durability)
    assert (counts.cached, counts.executed, counts.parked) == (1, 0, 1)


@BOTH
def test_a_stream_stays_parked_when_the_log_breaks_off_after_it(log, durability):
    with log.open("a") as file:
        file.write("no event\n")
    for _ in range(2):
        with pytest.raises(durproj.BadEvent):
            fold(log, durability=durability, keys=["u1"])
        assert states() == {ID: ("parked", {"n": 1, "sum": 1})}
    write(log, EVENTS)
    assert fold(log, durability=durability, keys=["u1"]).parked == 1


def test_a_stream_parked_at_its_first_event_is_counted_once(log):
    write(log, [("u1", BAD), ("u2", 1)])
    fold(log)
    for more in range(3):
        write(log, [("u1", BAD), ("u2", 1), *[("u1", 5), ("u2", 2)] * more])
        counts = fold(log)
        assert (counts.projections, counts.cached + counts.executed) == (2, 1 + more)
        assert counts.parked == 1
        assert fold(log, keys=["u1"], name="other").projections == 1


# -- types that a reducer knows


def known(state, event):
    assert event.type == "T", "not called for what it does not know"
    return {"n": state.get("n", 0) + 1}


known.types = ["T", "U"]


def typed(log, *types):
    log.write_text("".join(f'{{"key":"u1","type":"{type}","v":1}}\n' for type in types))


@BOTH
def test_an_unknown_type_is_recorded_with_the_same_state_and_counted(log, durability):
    typed(log, "T", "Foo", "T", "Bar", "Foo")
    counts = fold(log, reducer=known, durability=durability)
    assert (counts.executed, counts.unknown) == (5, {"Foo": 2, "Bar": 1})
    assert states()[ID] == ("resolved", {"n": 2})
    typed(log, "T", "Foo", "T", "Bar", "Foo", "Baz")
    assert fold(log, reducer=known, durability=durability).unknown == {"Baz": 1}


def test_strict_types_let_an_unknown_type_fail(log):
    typed(log, "T", "Foo", "T")
    with pytest.raises(StepFailed, match=r"UnknownType: .*'Foo'"):
        fold(log, reducer=known, strict_types=True, on_error="stop")
    counts = fold(log, reducer=known, strict_types=True, on_error="skip")
    assert (counts.executed, counts.skipped, counts.unknown) == (2, 1, {})


def test_strict_types_hold_for_built_in_reducers(log):
    typed(log, "Foo")
    assert fold(log, reducer="account", name="a").unknown == {"Foo": 1}
    assert fold(log, reducer="account", name="b", strict_types=True).parked == 1
    assert fold(log, reducer="counts", name="c", strict_types=True).executed == 1


def test_of_many_unknown_types_the_late_ones_are_counted_together(log):
    typed(log, *map(str, range(1500)), "7")
    unknown = fold(log, reducer=known).unknown
    assert (len(unknown), unknown["7"], unknown.total()) == (1001, 2, 1501)


def test_process_events_does_not_call_a_reducer_for_what_it_does_not_know(log):
    events = [durproj.Event("u1", type, line=b"{}") for type in ("T", "Foo", "T")]
    reducer = durproj.from_function(known)
    assert durproj.run("w/u1", durproj.process_events, events, reducer, store="w.db") == {"n": 2}
