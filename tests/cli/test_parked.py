"""Poison events at the command line: --on-error, parked list, show, retry and drop, and their exit codes."""

from __future__ import annotations

import json

import pytest

from durproj.stores.lock import Lock

REDUCER = """
def orders(state, event):
    if event.data["v"] < 0:
        raise ValueError("negative \\x1b[31m")
    return {"sum": state["sum"] + event.data["v"]}

orders.initial = {"sum": 0}
orders.types = {"T", "Bad\\x1b"}
"""
EVENTS = [("a", "T", 1), ("b", "Bad\x1b", -1), ("a", "T", 2), ("b", "T", 3), ("a", "Odd\x1b", 4)]


@pytest.fixture
def shop(durproj):
    (durproj.folder / "shop.py").write_text(REDUCER)
    lines = [
        json.dumps({"key": key, "type": type, "id": f"e{i}", "data": {"v": v}})
        for i, (key, type, v) in enumerate(EVENTS)
    ]
    (durproj.folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    return durproj


def run(shop, *args):
    return shop("run", "log.jsonl", "--reducer", "shop.py:orders", *args)


def mend(shop):
    (shop.folder / "shop.py").write_text(REDUCER.replace("< 0", "< -9"))


def test_a_run_that_parks_says_which_stream_why_and_what_to_do(shop):
    done = run(shop, "--on-error", "park")
    assert done.code == 1
    assert "projection/b  parked    0 steps (0 executed, 0 cached)  at step 0: ValueError: neg" in (
        done.out
    )
    assert "2 projections, 4 events: 3 executed, 0 cached, 1 parked (1 event waits) in " in done.out
    assert done.out.endswith("unknown types: Odd\\x1b 1\n")
    assert "1 stream parked; which, and why: durproj parked list\n" in done.err
    assert "\x1b" not in done.out + done.err
    again = shop("resume")
    assert (again.code, "1 parked" in again.out) == (1, True)
    assert shop("resume", "projection/a").code == 0
    assert shop("resume", "projection/b").code == 1
    assert [line["id"] for line in shop("list", "--status", "parked", "--json").json] == [
        "projection/b"
    ]


def test_the_summary_counts_what_was_parked_skipped_and_unknown(shop):
    done = run(shop, "--on-error", "park", "--json", "--stable")
    assert (done.code, done.json[-1]) == (
        1,
        {
            "type": "summary",
            "projections": 2,
            "events": 4,
            "cached": 0,
            "executed": 3,
            "failed": 0,
            "parked": 1,
            "skipped": 0,
            "waiting": 1,
            "unknown": {"Odd\x1b": 1},
            "exit": 1,
        },
    )
    done = run(shop, "--on-error", "skip", "--name", "s", "--json", "--stable", "-v")
    assert (done.code, done.json[-1]["skipped"], done.json[-1]["executed"]) == (1, 1, 5)
    (skipped,) = [line for line in done.json if line.get("skipped") is True]
    assert skipped == {
        "type": "step",
        "id": "s/b",
        "step": 0,
        "event": {"id": "e1", "type": "Bad\x1b"},
        "source": "executed",
        "attempts": 1,
        "skipped": True,
    }
    again = run(shop, "--on-error", "skip", "--name", "s", "--json", "-v")
    assert (again.code, "unknown" in again.json[-1]) == (0, False)
    assert [line["source"] for line in again.json if line.get("skipped") is True] == ["cached"]


def test_a_skip_is_shown_as_one(shop):
    done = run(shop, "--on-error", "skip", "--user", "b")
    assert "[event 00]  Bad\\x1b  (skipped)  →  " in done.out
    assert "1 projection, 2 events: 2 executed, 0 cached, 1 skipped" in done.out
    shown = shop("inspect", "projection/b#0")
    assert "skipped: ValueError: negative \\x1b[31m\n" in shown.out
    (record,) = shop("inspect", "projection/b#0", "--json").json
    assert record["skipped"] == {"kind": "ValueError", "message": "negative \x1b[31m"}
    assert record["state"] == {"sum": 0}


def test_parked_list_and_show_tell_all_there_is_to_judge_by(shop):
    run(shop, "--on-error", "park")
    listed = shop("parked", "list")
    assert (listed.code, listed.out) == (
        0,
        "projection/b#0  Bad\\x1b e1  ValueError: negative \\x1b[31m\n",
    )
    (record,) = shop("parked", "list", "--json").json
    what = {"type": "parked", "id": "projection/b", "step": 0}
    error = {"kind": "ValueError", "message": "negative \x1b[31m"}
    assert record == {**what, "event": {"id": "e1", "type": "Bad\x1b"}, "error": error}
    (record,) = shop("parked", "show", "projection/b", "--json").json
    event = {"key": "b", "type": "Bad\x1b", "id": "e1", "data": {"v": -1}}
    assert record == {**what, "event": event, "error": error, "attempts": 1, "state": None}
    shown = shop("parked", "show", "projection/b")
    assert '  "id": "e1",' in shown.out
    assert "durproj parked drop projection/b" in shown.err
    assert "goes on at  step 0: durproj parked retry projection/b" in (
        shop("inspect", "projection/b").out
    )
    (whole,) = shop("inspect", "projection/b", "--json").json
    assert list(whole["error"]) == ["step", "kind", "message", "event"]
    assert whole["events_seen"] == 1


def test_retry_ends_with_1_until_the_cause_is_mended(shop):
    run(shop, "--on-error", "park")
    assert shop("parked", "retry", "--all").code == 1
    mend(shop)
    done = shop("parked", "retry", "--user", "b")
    assert done.code == 0
    assert "shop.py:orders has changed (" in done.err
    assert done.err.endswith(
        "durproj: the other streams of projection were made with the former reducer;"
        " to go on with them, too: durproj run … --accept-reducer\n"
    )
    assert '"sum": 2' in done.out
    nothing = shop("parked", "retry", "--all")
    assert (nothing.code, nothing.out) == (0, "")
    assert "nothing to do" in nothing.err
    assert (shop("parked", "list").out, shop("resume").code) == ("", 0)
    assert run(shop).code == 4
    assert run(shop, "--accept-reducer").code == 0


def test_drop_goes_on_without_the_event_and_rewind_brings_it_back(shop):
    run(shop, "--on-error", "park")
    done = shop("parked", "drop", "projection/b", "--json")
    assert (done.code, done.json[-2]["status"], done.json[-2]["state"]) == (
        *(0, "resolved"),
        {"sum": 3},
    )
    assert shop("rewind", "projection/b", "--to", "-1").code == 0
    assert shop("list", "--status", "pending", "--json").json[0]["id"] == "projection/b"
    assert shop("resume").code == 1
    assert len(shop("parked", "list", "--json").json) == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["retry"], 2),
        (["retry", "projection/b", "--all"], 2),
        (["drop"], 2),
        (["retry", "projection/a"], 66),
        (["drop", "projection/nobody"], 66),
        (["show", "projection/a"], 66),
        (["retry", "--user", "a"], 66),
        (["retry", "b"], 2),
    ],
    ids=str,
)
def test_what_cannot_be_done_says_so(shop, args, code):
    run(shop, "--on-error", "park")
    done = shop("parked", *args)
    assert done.code == code
    assert done.err.startswith("durproj: ")
    assert "Traceback" not in done.err


def test_without_a_store_nothing_is_parked_and_none_is_made(shop):
    for args in (["list"], ["show", "p/b"], ["retry", "--all"], ["drop", "p/b"]):
        assert shop("parked", *args, "--store", "none.db").code == 66
    assert not (shop.folder / "none.db").exists()


def test_a_store_in_use_is_said_to_be(shop):
    run(shop, "--on-error", "park")
    lock = Lock(shop.folder / "durproj.db")
    lock.acquire(0)
    try:
        assert shop("parked", "retry", "--all").code == 75
        assert shop("parked", "list").code == 0
    finally:
        lock.release()


def test_max_errors_stops_the_run_and_says_how_to_go_on(shop):
    done = run(shop, "--on-error", "skip", "--max-errors", "0", "--json")
    assert (done.code, done.json[-1]["exit"], done.json[-1]["skipped"]) == (1, 1, 1)
    assert "1 event failed for good, and --max-errors is 0\n" in done.err
    assert "to go on: durproj resume\n" in done.err
    assert run(shop, "--on-error", "skip", "--max-errors", "1").code == 0
    assert run(shop, "--max-errors", "-1").code == 2
    assert run(shop, "--on-error", "ignore").code == 2


def test_strict_types_stop_at_a_type_that_the_reducer_does_not_know(shop):
    done = run(shop, "--user", "a", "--strict-types")
    assert done.code == 1
    assert "projection/a#2: UnknownType: shop.py:orders does not know events of type" in done.err
    assert run(shop, "--user", "a").code == 0
    all_known = shop("run", "log.jsonl", "--reducer", "counts", "--strict-types", "--name", "c")
    assert all_known.code == 0
    assert "counts does not say which event types it knows" in all_known.err


def test_a_planned_crash_and_a_planned_failure_meet_a_parked_stream(shop):
    done = run(shop, "--on-error", "park", "--crash", "2", "--crash-with", "KILL")
    assert done.code == -9
    done = shop("resume", "--json")
    assert (done.code, done.json[-1]["parked"], done.json[-1]["executed"]) == (1, 1, 1)
    fail = ("--fail", "1x2", "--retry-delay", "0", "--name", "n", "--on-error", "park")
    assert run(shop, *fail, "--json").json[-1]["parked"] == 1


def test_a_parked_stream_is_listed_however_many_others_there_are(shop):
    lines = [
        f'{{"key":"k{i}","type":"T","data":{{"v":{-1 if i == 40 else 1}}}}}' for i in range(50)
    ]
    (shop.folder / "log.jsonl").write_text("\n".join(lines * 3))
    done = run(shop, "--on-error", "park")
    listed = [line for line in done.out.split("\n") if line.startswith("  projection/")]
    assert len(listed) == 21
    assert listed[-1].startswith("  projection/k40  parked  ")


def append(shop, *events):
    with (shop.folder / "log.jsonl").open("a") as log:
        for key, v in events:
            log.write(json.dumps({"key": key, "type": "T", "data": {"v": v}}) + "\n")


def test_what_waits_behind_parked_streams_is_counted_over_all_runs(shop):
    run(shop, "--on-error", "park")
    append(shop, ("b", 5), ("c", -1), ("c", 6), ("a", 7))
    done = run(shop, "--on-error", "park")
    assert "1 executed, 3 cached, 2 parked (3 events wait) in " in done.out
    assert "2 streams parked, 1 of them since before; which, and why: " in done.err
    again = run(shop, "--json")
    assert (again.code, again.json[-1]["parked"], again.json[-1]["waiting"]) == (1, 2, 3)
    done = shop("parked", "drop", "projection/b", "--json")
    assert "waiting" not in done.json[-1]
    assert run(shop, "--json").json[-1]["waiting"] == 1


@pytest.mark.parametrize(
    "args", [(), ("-q",), ("--json",), ("--on-error", "skip"), ("--user", "b")]
)
def test_a_run_over_a_stream_that_is_parked_says_so(shop, args):
    run(shop, "--on-error", "park")
    for done in (run(shop, *args), run(shop, *args)):
        said = "durproj: 1 stream is parked since before; which, and why: durproj parked list\n"
        assert (done.code, done.err.endswith(said)) == (1, True)


def test_a_rejected_stream_has_its_reason_in_the_table(shop):
    lines = [f'{{"key":"k{i}","type":"T","data":{{"v":{1 - i}}}}}' for i in range(12)]
    (shop.folder / "log.jsonl").write_text("\n".join(lines * 2))
    done = run(shop)
    assert done.code == 1
    (row,) = [line for line in done.out.split("\n") if line.startswith("  projection/k2 ")]
    assert row.split("cached)")[1].startswith("  at step 0: ValueError: negative")


def test_a_mended_event_is_taken_by_retry_alone_and_another_one_by_nothing(shop):
    run(shop, "--on-error", "park")
    log = shop.folder / "log.jsonl"
    text = log.read_text()
    log.write_text(text.replace('"v": -1', '"v": 9'))
    done = run(shop)
    assert done.code == 4
    assert "projection/b#0: the past changed\n" in done.err
    assert "data.v = -1\n" in done.err
    assert "take the event as it is now:  durproj parked retry " in done.err
    assert shop("parked", "drop", "projection/b").code == 4
    log.write_text(text.replace('"e1"', '"e9"'))
    for refused in (run(shop), shop("resume"), shop("parked", "retry", "--all")):
        assert refused.code == 4
        assert 'id = "e1"' in refused.err
        assert "as it is now" not in refused.err
    log.write_text(text.replace('"v": -1', '"v": 9'))
    done = shop("parked", "retry", "--all")
    assert (done.code, '"sum": 12' in done.out) == (0, True)
    assert "durproj: projection/b#0: the parked event was mended in the log\n" in done.err
    assert run(shop).code == 0


def test_a_stream_that_was_parked_from_standard_input_is_retried_from_what_came(shop):
    log = (shop.folder / "log.jsonl").read_bytes()
    done = shop("run", "-", "--reducer", "shop.py:orders", "--on-error", "park", input=log)
    assert done.code == 1
    assert len(list(shop.folder.glob("durproj.db.input-*"))) == 1
    mend(shop)
    done = shop("parked", "retry", "projection/b", "--json")
    assert (done.code, done.json[-1]["executed"]) == (0, 2), done.err
    assert shop("inspect", "projection/b", "--json").json[0]["state"] == {"sum": 2}
