"""A crash before every step of a fold: that it comes, and that what it changes is told."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict

import pytest

from durproj import NotFound
from durproj.testing import crash_everywhere

EVENTS = [("T", {"n": n}) for n in range(4)]


def total(state, event):
    return {"sum": state.get("sum", 0) + event.data["n"]}


def told(act):
    with pytest.raises(AssertionError) as caught:
        act()
    return str(caught.value).split("\n")


def test_a_pure_reducer_passes_and_leaves_no_store_behind(tmp_path):
    assert crash_everywhere(EVENTS, total, tmp_path) == {"all": {"sum": 6}}
    assert crash_everywhere(EVENTS, total, tmp_path, initial={"sum": 1}, key="u1") == {
        "u1": {"sum": 7}
    }
    assert crash_everywhere(EVENTS, "counts", tmp_path)["all"]["events"] == 4
    assert crash_everywhere([], total, tmp_path) == {}
    assert list(tmp_path.rglob("*.db*")) == []


def noting(file):
    """A reducer that notes which process executed what, and how to read that."""

    def notes(state, event):
        with file.open("a") as out:
            out.write(f"{os.getpid()} {event.data['n']}\n")
        return total(state, event)

    def by_process():
        found = defaultdict(list)
        for line in file.read_text().splitlines():
            pid, n = line.split()
            found[int(pid)].append(int(n))
        file.unlink()
        assert os.getpid() not in found
        return list(found.values())

    return notes, by_process


def test_a_process_dies_before_every_step_and_another_goes_on(tmp_path):
    notes, by_process = noting(tmp_path / "executed")
    crash_everywhere(EVENTS, notes, tmp_path)
    assert by_process() == [
        [0, 1, 2, 3],  # left alone
        [0, 1, 2, 3],  # after a crash before step 0
        *([0], [1, 2, 3]),
        *([0, 1], [2, 3]),
        *([0, 1, 2], [3]),
    ]


def test_every_stream_of_a_log_dies_at_every_step(tmp_path):
    log = tmp_path / "log.jsonl"
    keys = ["a", "b", "a", "c", "b", "a"]
    lines = [{"type": "T", "key": key, "data": {"n": n}} for n, key in enumerate(keys)]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    notes, by_process = noting(tmp_path / "executed")
    found = crash_everywhere(log, notes, tmp_path)
    assert found == {"a": {"sum": 7}, "b": {"sum": 5}, "c": {"sum": 3}}
    assert by_process() == [
        [0, 2, 5, 1, 4, 3],
        *([0, 2, 5], [1, 4], [3]),
        *([0], [2, 5, 1], [4, 3]),
        *([0, 2], [5, 1, 4, 3]),
    ]
    assert crash_everywhere(str(log), notes, tmp_path, key="b") == {"b": {"sum": 5}}
    assert by_process() == [[1, 4], [1, 4], [1], [4]]
    assert log.exists()


@pytest.mark.parametrize("hidden", ["clock", "memory"])
def test_what_is_kept_outside_of_the_state_is_told(tmp_path, hidden):
    seen = []

    def clock(state, event):
        return {"n": time.perf_counter_ns()}

    def memory(state, event):
        seen.append(event.data["n"])
        return {"n": sum(seen)}

    lines = told(
        lambda: crash_everywhere(EVENTS, {"clock": clock, "memory": memory}[hidden], tmp_path)
    )
    step = {"clock": 0, "memory": 2}[hidden]
    assert lines[0] == f"projection/all ends otherwise after a crash before step {step}: its state"
    if hidden == "memory":
        assert lines[1] == "  n: 6 without, 5 with the crash"
    path = lines[2].removeprefix("the store is kept: ")
    assert os.path.exists(path)
    assert path.endswith(f"crash-{step}.db")
    assert "no clock" in lines[3]


def test_states_that_differ_on_the_way_only_are_told_too(tmp_path):
    def forgets(state, event):
        return {"pid": os.getpid()} if event.data["n"] < 3 else {}

    lines = told(lambda: crash_everywhere(EVENTS, forgets, tmp_path))
    assert lines[0].endswith(": the states are the same in the end, but not on the way there")


def test_a_field_that_is_missing_is_told(tmp_path):
    seen = []

    def forgets(state, event):
        seen.append(event)
        return {"n": 1} if len(seen) == 4 else {}

    lines = told(lambda: crash_everywhere(EVENTS, forgets, tmp_path))
    assert lines[1] == "  n: 1 without, (absent) with the crash"


def test_fields_in_another_order_are_told(tmp_path):
    seen = []

    def turns(state, event):
        seen.append(event)
        return {"a": 1, "b": 1} if len(seen) == 4 else {"b": 1, "a": 1}

    lines = told(lambda: crash_everywhere(EVENTS, turns, tmp_path))
    assert lines[0] == (
        "projection/all ends otherwise after a crash before step 1:"
        " the fields of an object come in another order"
    )


def test_a_fold_that_fails_is_told_with_its_reason(tmp_path):
    def fails(state, event):
        raise ValueError("evil \x1b[31m")

    lines = told(lambda: crash_everywhere(EVENTS, fails, tmp_path))
    assert lines[0] == "the fold failed without any crash:"
    assert lines[1] == "  StepFailed: projection/all#0: ValueError: evil \\x1b[31m"

    seen = []

    def fails_later(state, event):
        if event.data["n"] and not seen:
            raise ValueError("nothing remembered")
        seen.append(1)
        return state

    assert told(lambda: crash_everywhere(EVENTS, fails_later, tmp_path))[:2] == [
        "the fold failed after a crash before step 1:",
        "  StepFailed: projection/all#1: ValueError: nothing remembered",
    ]


def test_a_reducer_that_ends_its_process_is_told(tmp_path):
    def leaves(state, event):
        os._exit(3)

    assert told(lambda: crash_everywhere(EVENTS, leaves, tmp_path)) == [
        "the fold failed without any crash:",
        "  its process ended with exit code 3",
    ]


def test_a_log_that_is_not_there_is_told(tmp_path):
    lines = told(lambda: crash_everywhere(tmp_path / "none.jsonl", total, tmp_path))
    assert lines[1].startswith(f"  {NotFound.__name__}: no such file")
