"""The demonstration of the first page: crash at event 5, resume, look; and a step that is retried."""

from __future__ import annotations

import signal
import time

import pytest

CLASSIC = (
    "Runtime. Function 'apply_event' failed with"
    " 'PlannedFailure: Projection store write failed for event evt_006' (retrying in {} secs)"
)
FINAL = {
    "userId": "u1",
    "name": "Alice Chen-Watson",
    "email": "alice@example.com",
    "subscription": "active",
    "subscriptionRenewals": 1,
    "totalOrders": 2,
    "cancelledOrders": 1,
    "activeOrders": [],
    "shippedOrders": ["ord_001"],
    "eventsProcessed": 8,
}
EVENT_5 = (
    '  [event 05]  OrderShipped{}  →  name="Alice Chen-Watson" sub=active orders=2'
    " active=[ord_002] shipped=[ord_001]"
)


def test_a_crash_at_event_5_leaves_events_0_to_4_and_what_a_dead_process_leaves(durproj):
    crashed = durproj("run", "--crash", 5)
    assert crashed.code == 3
    lines = crashed.out.split("\n")
    assert lines[0] == "projection/u1"
    assert [line[:12] for line in lines[1:6]] == [f"  [event 0{n}]" for n in range(5)]
    assert lines[6] == "  [event 05]  OrderShipped  ✗  (planned crash)"
    assert "steps 0 to 4 are checkpointed" in crashed.err
    assert "go on with: durproj resume" in crashed.err
    left = {path.name for path in durproj.folder.iterdir()}
    assert {"durproj.db", "durproj.db-wal", "durproj.db.lock"} <= left
    stands = durproj("inspect", "projection/u1", "--json").json[0]
    assert (stands["status"], stands["steps"]) == ("pending", 5)


@pytest.mark.parametrize("way", ["EXIT", "KILL"])
def test_resume_serves_five_executes_three_and_ends_where_an_uninterrupted_run_ends(durproj, way):
    straight = durproj("run", "--store", "straight.db", "--json")
    assert straight.code == 0
    crashed = durproj("run", "--crash", 5, "--crash-with", way)
    assert crashed.code == (3 if way == "EXIT" else -signal.SIGKILL)
    resumed = durproj("resume", "--json", "-v")
    assert resumed.code == 0
    run, *steps, projection, summary = resumed.json
    assert run["input"] == "durproj:sample"
    assert [step["source"] for step in steps] == ["cached"] * 5 + ["executed"] * 3
    assert (projection["cached"], projection["executed"]) == (5, 3)
    assert (summary["cached"], summary["executed"], summary["exit"]) == (5, 3, 0)
    assert projection["state"] == FINAL
    for look in (["projection/u1"], *(["projection/u1", "--step", n] for n in range(8))):
        here = durproj("inspect", *look, "--json", "--stable")
        there = durproj("inspect", *look, "--json", "--stable", "--store", "straight.db")
        assert (here.code, here.out) == (0, there.out)


def test_resume_reads_like_the_original(durproj):
    durproj("run", "--crash", 5)
    lines = durproj("resume").out.split("\n")
    assert lines[0] == "projection/u1"
    assert lines[1] == '  [event 00]  UserRegistered  (cached)  →  name="Alice Chen"'
    assert all("  (cached)  →  " in line for line in lines[1:6])
    assert lines[6] == EVENT_5.format("")
    assert lines[9] == ""
    assert lines[10] == "projection/u1  resolved  8 steps (3 executed, 5 cached)"
    assert lines[11] == "{"


def test_inspect_shows_the_state_after_a_step_and_the_event_that_made_it(durproj):
    durproj("run", "-q")
    by_flag = durproj("inspect", "projection/u1", "--step", 4, "--json")
    by_mark = durproj("inspect", "projection/u1#4", "--json")
    assert by_flag.code == 0
    assert by_flag.out == by_mark.out
    (step,) = by_flag.json
    assert step["event"]["eventId"] == "evt_005"
    assert step["event"]["payload"]["orderId"] == "ord_002"
    assert step["state"]["activeOrders"] == ["ord_001", "ord_002"]
    assert step["state"]["eventsProcessed"] == 5
    shown = durproj("inspect", "projection/u1#4").out
    assert shown.startswith("projection/u1#4  apply_event\nevent\n{\n")
    assert '  "eventId": "evt_005",' in shown
    assert "state after step 4\n{\n" in shown


def test_its_history_tells_what_each_event_did_to_the_orders(durproj):
    durproj("run", "--crash", 5)
    durproj("resume", "-q")
    life = durproj("log", "projection/u1", "--path", "activeOrders")
    assert life.code == 0
    assert [line.split("evt_")[1] for line in life.out.splitlines()] == [
        '004     +activeOrders[0] "ord_001"',
        '005     +activeOrders[1] "ord_002"',
        '006    -activeOrders[0] "ord_001"',
        '007  -activeOrders[0] "ord_002"',
    ]
    blamed = durproj("blame", "projection/u1", "--json")
    assert blamed.code == 0
    assert {leaf["path"]: leaf["step"] for leaf in blamed.json}["shippedOrders[0]"] == 5
    done = durproj("diff", "projection/u1#4")
    assert done.code == 1
    assert done.out.splitlines()[2:] == [
        "~ totalOrders 1→2",
        '+ activeOrders[1] "ord_002"',
        "~ eventsProcessed 4→5",
    ]


def test_a_crash_point_fires_once_and_run_says_so(durproj):
    assert durproj("run", "--crash", 5).code == 3
    again = durproj("run", "--crash", 5, "--json")
    assert again.code == 0
    assert again.json[-1]["executed"] == 3
    assert "--crash 5: no stream came to event 5, or it crashed there before" in again.err


def test_a_crash_at_event_0_leaves_nothing_checkpointed(durproj):
    crashed = durproj("run", "--crash", 0)
    assert crashed.code == 3
    assert "nothing is checkpointed yet" in crashed.err
    assert durproj("resume", "--json").json[-1]["executed"] == 8


def test_a_crash_in_json_is_the_last_line(durproj):
    crashed = durproj("run", "--crash", 5, "--json")
    assert crashed.json[-1] == {"type": "crash", "id": "projection/u1", "step": 5, "planned": True}


def test_a_planned_failure_is_retried_in_place_after_two_seconds(durproj):
    began = time.monotonic()
    done = durproj("run", "--fail", 5)
    assert time.monotonic() - began >= 2
    assert done.code == 0
    assert CLASSIC.format(2) in done.err.split("\n")
    lines = done.out.split("\n")
    failed = lines.index(
        "  [event 05]  OrderShipped  ✗"
        "  (PlannedFailure: Projection store write failed for event evt_006)"
    )
    assert lines[failed + 1] == EVENT_5.format(" (retry 2)")


def test_waits_double_and_the_attempts_are_counted(durproj):
    done = durproj("run", "--fail", "5x3", "--retry-delay", "0.01", "--json", "-v")
    assert done.code == 0
    said = [line for line in done.err.split("\n") if line.startswith("Runtime.")]
    assert said == [CLASSIC.format(wait) for wait in ("0.02", "0.04", "0.08")]
    assert [step["attempts"] for step in done.json[1:9]] == [1, 1, 1, 1, 1, 4, 1, 1]
    assert durproj("inspect", "projection/u1#5", "--json").json[0]["attempts"] == 4


def test_when_the_attempts_are_spent_the_projection_is_rejected_and_resume_tries_again(durproj):
    spent = durproj("run", "--fail", "5x9", "--retry-delay", "0.01")
    assert spent.code == 1
    assert spent.err.count("Runtime.") == 4
    assert spent.out.count("✗") == 5
    assert "projection/u1  rejected  5 steps (5 executed, 0 cached)\n" in spent.out
    assert "durproj: projection/u1#5: PlannedFailure: " in spent.err
    assert "durproj resume" in spent.err.split("\n")[-2]
    (stands,) = durproj("inspect", "projection/u1", "--json").json
    assert stands["status"] == "rejected"
    assert stands["error"]["step"] == 5
    assert durproj("resume", "--json").json[-1]["executed"] == 3
    assert durproj("inspect", "projection/u1", "--json").json[0]["state"] == FINAL
