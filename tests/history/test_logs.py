"""log: the steps of a workflow, and what each of them changed."""

from __future__ import annotations

import pytest
from pasts import become, counted, keep, past, program

import durproj
from durproj.errors import NotFound, Rewritten, StepFailed, UsageError

ORDERS = [
    {"n": 1, "open": ["a"]},
    {"n": 2, "open": ["a", "b"]},
    {"n": 3, "open": ["b"]},
    {"n": 4, "open": ["b"], "done": {"a": 1, "b": 2}},
]


def steps(store, id="projection/u", **options):
    return [each["step"] for each in durproj.log(id, store=store, **options)]


def paths(record):
    return [change["path"] for change in record["changes"]]


def test_each_step_tells_its_event_and_what_it_changed(tmp_path):
    store = past(tmp_path, *ORDERS, initial={"n": 0})
    found = list(durproj.log("projection/u", store=store))
    assert found[0] == {
        "type": "step",
        "id": "projection/u",
        "step": 0,
        "event": {"id": "e0", "type": "Reset", "time": "2026-01-01T00:00:00.5Z"},
        "changes": [
            {"path": "n", "kind": "changed", "old": 0, "new": 1},
            {"path": "open", "kind": "added", "new": ["a"]},
        ],
    }
    assert [each["step"] for each in found] == [0, 1, 2, 3]
    assert found[2]["changes"] == [
        {"path": "n", "kind": "changed", "old": 2, "new": 3},
        {"path": "open[0]", "kind": "removed", "old": "a"},
    ]


def test_without_a_known_initial_state_it_is_open_what_the_first_step_changed(tmp_path):
    made = durproj.from_function(become, initial=lambda key: {"n": 0, "key": key})
    store = past(tmp_path, *ORDERS, reducer=made)
    first, second, *_ = durproj.log("projection/u", store=store)
    assert (first["changes"], first["state"]) == (None, ORDERS[0])
    assert (paths(second), "state" in second) == (["n", "open[1]"], False)
    assert steps(store, path="open") == [1, 2]


def test_a_path_leaves_the_steps_that_touched_it_and_of_them_its_changes(tmp_path):
    store = past(tmp_path, *ORDERS, initial={})
    found = list(durproj.log("projection/u", path="open", store=store))
    assert [(each["step"], paths(each)) for each in found] == [
        (0, ["open"]),
        (1, ["open[1]"]),
        (2, ["open[0]"]),
    ]
    assert steps(store, path="done.a") == [3]
    assert steps(store, path=["done", "/open/1"]) == [0, 1, 3]
    assert steps(store, path="nothing") == []
    (whole,) = durproj.log("projection/u", path=["n", "$"], first=1, last=1, store=store)
    assert paths(whole) == ["n", "open[1]"]


def test_types_bounds_and_the_limit_choose_together(tmp_path):
    store = past(tmp_path, *({"n": n // 3} for n in range(600)))
    assert steps(store, first=3, last=5) == [3, 4, 5]
    assert steps(store, last=2, reverse=True) == [2, 1, 0]
    assert steps(store, limit=3) == [597, 598, 599]
    assert steps(store, limit=3, reverse=True) == [599, 598, 597]
    assert steps(store, limit=3, last=300) == [298, 299, 300]
    assert steps(store, limit=9, first=598) == [598, 599]
    assert steps(store, type="Set", limit=3) == [595, 597, 599]
    assert steps(store, type=["Set", "Reset"], last=2) == [0, 1, 2]
    assert steps(store, path="n", limit=2) == [594, 597]
    assert steps(store, path="n", type="Set", limit=2, reverse=True) == [597, 591]
    assert steps(store, last=10**9, first=598) == [598, 599]
    assert steps(store) == list(range(600))
    assert steps(store, reverse=True) == list(range(600))[::-1]


def test_what_is_not_there_and_what_contradicts_itself_is_refused(tmp_path):
    store = past(tmp_path, *ORDERS)
    with pytest.raises(NotFound, match="#4: no such step"):
        steps(store, first=4)
    with pytest.raises(UsageError, match="from step 3 to step 2"):
        steps(store, first=3, last=2)
    with pytest.raises(UsageError, match="cannot be read"):
        steps(store, path="a..b")
    with pytest.raises(NotFound, match="no such workflow"):
        steps(store, "projection/x")


def test_a_skipped_step_says_so_and_changed_nothing(tmp_path):
    store = past(tmp_path, *ORDERS, failing=1, on_error="skip")
    skipped = list(durproj.log("projection/u", store=store))[1]
    assert skipped["changes"] == []
    assert skipped["skipped"] == {"kind": "ValueError", "message": "told to fail"}


def test_where_a_parked_workflow_stopped_is_told_at_its_newest_end(tmp_path):
    store = past(tmp_path, *ORDERS, failing=2, on_error="park")
    stopped = {
        "type": "stopped",
        "id": "projection/u",
        "step": 2,
        "status": "parked",
        "event": {"id": "e2", "type": "Fail"},
        "error": {"kind": "ValueError", "message": "told to fail"},
    }
    assert list(durproj.log("projection/u", store=store))[-1] == stopped
    assert next(durproj.log("projection/u", reverse=True, store=store)) == stopped
    assert list(durproj.log("projection/u", limit=1, store=store))[1:] == [stopped]
    assert steps(store, last=1) == [0, 1]


def test_a_workflow_without_a_step_has_only_its_error_to_tell(tmp_path):
    store = past(tmp_path, *ORDERS, failing=0, on_error="park")
    (stopped,) = durproj.log("projection/u", store=store)
    assert (stopped["type"], stopped["step"]) == ("stopped", 0)


def test_where_a_rejected_workflow_stopped_is_told_too(tmp_path):
    with pytest.raises(StepFailed):
        past(tmp_path, *ORDERS, failing=3)
    (store,) = tmp_path.glob("*.db")
    last = list(durproj.log("projection/u", store=store))[-1]
    assert (last["type"], last["status"], last["step"]) == ("stopped", "rejected", 3)


def test_of_a_program_each_step_tells_what_it_returned_or_failed_with(tmp_path):
    store = program(tmp_path / "p.db")
    first, second = durproj.log("checkout/A", store=store)
    assert (first["function"], first["state"]) == ("len", 4)
    assert second["error"] == {"kind": "ValueError", "message": "no card for A-17"}
    assert "state" not in second
    assert steps(store, "checkout/A", type="charge") == [1]
    with pytest.raises(UsageError, match="a program's workflow: its steps are calls"):
        steps(store, "checkout/A", path="x")


def test_of_a_long_journal_only_what_is_shown_is_unpacked(tmp_path, monkeypatch):
    store = past(tmp_path, *({"n": n} for n in range(2560)))
    unpacked = counted(monkeypatch)
    assert len(steps(store, limit=10)) == 10
    assert len(unpacked) <= 1
    unpacked.clear()
    assert steps(store, limit=1, type="Set", last=1281) == [1281]
    assert set(unpacked) <= {1280, 2304}
    unpacked.clear()
    assert steps(store, first=1024, last=1025) == [1024, 1025]
    assert set(unpacked) <= {768, 1024, 2304}
    unpacked.clear()
    assert len(steps(store)) == 2560
    assert len(unpacked) == len(set(unpacked))


def test_what_a_step_changed_is_open_when_the_state_before_it_is_not_kept(tmp_path):
    store = past(tmp_path, *ORDERS, initial={})
    keep(store, 2)
    found = list(durproj.log("projection/u", store=store))
    assert [(each["step"], each["changes"] and len(each["changes"])) for each in found] == [
        (2, None),
        (3, 2),
    ]
    assert steps(store, path="open") == []
    assert steps(store, reverse=True) == [3, 2]


def test_what_is_below_the_first_step_that_is_kept_is_not_found(tmp_path):
    store = past(tmp_path, *ORDERS, initial={})
    keep(store, 2)
    for id, bounds in (("projection/u#1", {}), ("projection/u", {"first": 0, "last": 1})):
        with pytest.raises(NotFound, match="#1: no longer kept"):
            steps(store, id, **bounds)
    assert steps(store, first=1) == [2, 3]
    first, _ = durproj.log("projection/u", store=store)
    assert (first["changes"], first["state"]) == (None, ORDERS[2])
    keep(store, 0)
    with pytest.raises(NotFound, match="#3: no longer kept"):
        steps(store)


def test_a_step_that_is_named_has_to_be_there_and_a_bound_has_not(tmp_path):
    store = past(tmp_path, *ORDERS, initial={})
    assert steps(store, "projection/u#1") == [0, 1]
    assert steps(store, last=99) == [0, 1, 2, 3]
    with pytest.raises(NotFound, match="#99: no such step"):
        steps(store, "projection/u#99")
    with pytest.raises(UsageError, match="name two ends"):
        steps(store, "projection/u#1", last=2)


def test_a_history_that_is_rewritten_while_it_is_read_is_not_mixed_with_the_new_one(tmp_path):
    store = past(tmp_path, *({"n": n} for n in range(900)), initial={})
    records = durproj.log("projection/u", store=store)
    next(records)
    list(durproj.gc(["projection/u"], drop=True, store=store))
    past(tmp_path, *({"n": -n} for n in range(900)), initial={}, store=store)
    with pytest.raises(Rewritten) as caught:
        assert all(record["changes"][0]["new"] >= 0 for record in records)
    assert caught.value.exit_code == 75
