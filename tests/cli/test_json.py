"""--json is a contract: the lines of DESIGN's page, key for key, and nothing of the clock in them."""

from __future__ import annotations

import json
import os

import pytest

from durproj.stores.lock import Lock

RUN = ["type", "v", "input", "name", "reducer", "store", "durability"]
STEP = ["type", "id", "step", "event", "source", "attempts"]
PROJECTION = ["type", "id", "status", "steps", "cached", "executed", "state"]
SUMMARY = [
    *("type", "projections", "events", "cached", "executed"),
    *("failed", "parked", "skipped", "exit", "timing"),
]
LOG = (
    b'{"user":"a","type":"T","id":1,"time":"2026-01-01T00:00:00Z","amount":1}\n'
    b'{"user":"b","type":"T","id":2,"time":"2026-01-01T00:00:01Z","amount":2}\n'
    b'{"user":"a","type":"U","id":3,"time":"2026-01-01T00:00:02Z","amount":3}\n'
)


@pytest.fixture
def log(durproj):
    (durproj.folder / "log.jsonl").write_bytes(LOG)
    return "log.jsonl"


def keys_by_type(result):
    assert result.out.endswith("\n")
    return [(record["type"], list(record)) for record in result.json]


def test_run_prints_a_run_line_projections_and_a_summary(durproj, log):
    done = durproj("run", log, "--reducer", "counts", "--json")
    assert keys_by_type(done) == [
        ("run", RUN),
        ("projection", PROJECTION),
        ("projection", PROJECTION),
        ("summary", SUMMARY),
    ]
    run, a, b, summary = done.json
    assert run == {
        "type": "run",
        "v": 1,
        "input": "log.jsonl",
        "name": "projection",
        "reducer": "counts",
        "store": "durproj.db",
        "durability": "step",
    }
    assert (a["id"], a["steps"], b["id"], b["steps"]) == ("projection/a", 2, "projection/b", 1)
    assert list(summary["timing"]) == ["seconds"]
    del summary["timing"]
    assert summary == {
        "type": "summary",
        "projections": 2,
        "events": 3,
        "cached": 0,
        "executed": 3,
        "failed": 0,
        "parked": 0,
        "skipped": 0,
        "exit": 0,
    }


def test_steps_are_printed_with_v_only_cached_and_executed(durproj, log):
    first = durproj("run", log, "--reducer", "counts", "--json", "-v")
    again = durproj("run", log, "--reducer", "merge", "--name", "m", "--json")
    assert [record["type"] for record in again.json] == [
        "run",
        "projection",
        "projection",
        "summary",
    ]
    steps = [record for record in first.json if record["type"] == "step"]
    assert [list(step) for step in steps] == [STEP] * 3
    assert steps[1] == {
        "type": "step",
        "id": "projection/a",
        "step": 1,
        "event": {"id": 3, "type": "U"},
        "source": "executed",
        "attempts": 1,
    }
    with (durproj.folder / log).open("ab") as file:
        file.write(b'{"user":"a","type":"V","id":4,"time":"2026-01-01T00:00:03Z"}\n')
    more = durproj("run", log, "--reducer", "counts", "--json", "-v").json
    new = [record for record in more if record["type"] == "step" and record["source"] == "executed"]
    assert [(step["id"], step["step"]) for step in new] == [("projection/a", 2)]


def test_nothing_to_do_still_tells_of_every_projection(durproj, log):
    durproj("run", log, "--reducer", "counts")
    again = durproj("run", log, "--reducer", "counts", "--json")
    _, a, b, summary = again.json
    assert (a["cached"], a["executed"], b["cached"], b["executed"]) == (2, 0, 1, 0)
    assert (summary["projections"], summary["cached"], summary["executed"]) == (2, 3, 0)


def test_with_stable_two_runs_print_the_same_bytes_and_no_timing(durproj, log):
    args = ("run", log, "--reducer", "counts", "--json", "-v", "--stable")
    first = durproj(*args, "--restart")
    second = durproj(*args, "--restart")
    assert first.code == 0
    assert first.out == second.out
    assert "timing" not in first.out
    assert durproj(*args).out == durproj(*args).out


def test_inspect_prints_one_object_with_where_the_workflow_stands(durproj, log):
    durproj("run", log, "--reducer", "counts")
    whole = durproj("inspect", "projection/a", "--json", "--stable")
    assert keys_by_type(whole) == [
        ("projection", [*PROJECTION, "reducer", "durability", "input", "events_seen"])
    ]
    (record,) = whole.json
    assert (record["reducer"], record["durability"]) == ("counts", "step")
    assert (record["input"], record["events_seen"]) == ("log.jsonl", 2)
    assert durproj("inspect", "projection/a", "--json", "--stable").out == whole.out


def test_inspect_of_a_step_prints_the_whole_event_and_the_state_after_it(durproj, log):
    durproj("run", log, "--reducer", "counts")
    (step,) = durproj("inspect", "projection/a#1", "--json").json
    assert list(step)[:7] == ["type", "id", "step", "event", "source", "attempts", "state"]
    assert step["event"] == json.loads(LOG.split(b"\n")[2])
    assert (step["source"], step["attempts"]) == ("journal", 1)
    assert step["state"]["types"] == {"T": 1, "U": 1}


def test_list_prints_one_object_a_workflow(durproj, log):
    durproj("run", log, "--reducer", "counts")
    listed = durproj("list", "--json")
    assert keys_by_type(listed) == [("workflow", ["type", "id", "status", "steps"])] * 2
    assert listed.json[1] == {
        "type": "workflow",
        "id": "projection/b",
        "status": "resolved",
        "steps": 1,
    }


def test_stats_doctor_and_rewind_print_one_object(durproj, log):
    durproj("run", log, "--reducer", "counts")
    (stats,) = durproj("stats", log, "--json").json
    assert stats["type"] == next(iter(stats.values())) == "stats"
    assert (stats["events"], stats["types"], stats["keys"]) == (3, {"T": 2, "U": 1}, 2)
    assert stats["times"]["zoned"]["latest"] == "2026-01-01T00:00:02Z"
    (doctor,) = durproj("doctor", "--json").json
    assert next(iter(doctor.values())) == "doctor"
    assert (doctor["store"]["error"], doctor["store"]["unfinished"]) == (None, 0)
    rewound = durproj("rewind", "projection/a", "--to", 0, "--json")
    assert rewound.json == [
        {
            "type": "rewind",
            "id": "projection/a",
            "dropped": 1,
            "steps": 1,
            "status": "pending",
            "goes_on": "resume",
        }
    ]


def test_doctor_tells_of_who_holds_the_store_with_the_clock_in_timing(durproj, log):
    durproj("run", log, "--reducer", "counts")
    (free,) = durproj("doctor", "--json").json
    assert list(free["store"]) == [
        *("path", "bytes", "journal", "schema", "held_by", "tables", "workflows", "unfinished"),
        "error",
    ]
    assert free["store"]["workflows"] == {"resolved": 2}
    assert free["store"]["held_by"] is None
    assert "timing" not in free
    lock = Lock(durproj.folder / "durproj.db")
    lock.acquire()
    try:
        (held,) = durproj("doctor", "--json").json
        stable = durproj("doctor", "--json", "--stable")
        told = durproj("doctor").out
    finally:
        lock.release()
    holder, _, since = lock_line(told).partition(" since ")
    assert holder.startswith(f"process {os.getpid()} on ")
    assert held["store"]["held_by"] == stable.json[0]["store"]["held_by"] == holder
    assert held["timing"] == {"held_since": since}
    assert "timing" not in stable.json[0]


def lock_line(told):
    (line,) = (line for line in told.split("\n") if line.startswith("  held by"))
    return line.removeprefix("  held by").strip()


@pytest.mark.parametrize(
    "args",
    [
        *(["list"], ["stats", "log.jsonl"], ["doctor"], ["inspect", "projection/a"]),
        *(["export"], ["export", "--journal"]),
        *(["log", "projection/a"], ["blame", "projection/a"], ["blame", "projection/a", "events"]),
        ["diff", "projection/a#..", "--no-exit-code"],
        ["report", "projection/a"],
    ],
    ids=" ".join,
)
def test_every_command_that_reads_takes_stable_and_has_no_clock_in_it(durproj, log, args):
    durproj("run", log, "--reducer", "counts")
    first = durproj(*args, "--json", "--stable")
    assert (first.code, first.err) == (0, "")
    assert "timing" not in first.out
    assert durproj(*args, "--json", "--stable").out == first.out


def refused(durproj):
    """A store and a log that was changed behind it."""
    durproj("run", "log.jsonl", "--reducer", "counts")
    path = durproj.folder / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"amount":1', b'"amount":9'))


ENDINGS = {
    "done": (0, ["run", "log.jsonl", "--reducer", "counts"]),
    "nothing to resume": (0, ["resume"]),
    "a reducer that fails": (1, ["run", "log.jsonl", "--reducer", "bad.py:fails"]),
    "attempts spent": (1, ["run", "--fail", "5x9", "--retries", "0"]),
    "no such reducer": (2, ["run", "log.jsonl", "--reducer", "nope"]),
    "no such event number": (2, ["run", "--fail", "x"]),
    "a store of no known kind": (2, ["run", "--store", "postgresql://x"]),
    "a bad line": (65, ["run", "broken.jsonl", "--reducer", "counts"]),
    "no such file": (66, ["run", "absent.jsonl"]),
    "no such key": (66, ["run", "log.jsonl", "--user", "zz"]),
    "no such store": (66, ["resume", "--store", "absent.db"]),
    "no store at all": (74, ["run", "--store", "junk.db"]),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_last_line_is_a_summary_whose_exit_is_the_exit_code(durproj, log, name):
    code, args = ENDINGS[name]
    (durproj.folder / "bad.py").write_text("def fails(state, event):\n    return state['x']\n")
    (durproj.folder / "broken.jsonl").write_bytes(LOG + b"oops\n")
    (durproj.folder / "junk.db").write_bytes(b"not a database at all")
    if name == "nothing to resume":
        durproj("run")
    done = durproj(*args, "--json")
    assert done.code == code, done.err
    last = done.json[-1]
    assert list(last) == SUMMARY
    assert last["exit"] == code
    assert [record["type"] for record in done.json].count("summary") == 1
    assert "Traceback" not in done.err


def test_a_refused_past_ends_with_exit_4_in_the_summary_as_well(durproj, log):
    refused(durproj)
    done = durproj("run", log, "--reducer", "counts", "--json")
    assert (done.code, done.json[-1]["exit"]) == (4, 4)


def test_a_rejected_projection_carries_its_error_after_the_state(durproj, log):
    (durproj.folder / "bad.py").write_text(
        "def fails(state, event):\n    assert event.type == 'T', 'no U'\n    return {'n': 1}\n"
    )
    done = durproj("run", log, "--reducer", "bad.py:fails", "--json")
    projection = next(record for record in done.json if record.get("status") == "rejected")
    assert list(projection) == [*PROJECTION, "error"]
    assert projection["error"] == {
        "step": 1,
        "kind": "AssertionError",
        "message": "no U",
        "event": {"id": 3, "type": "U"},
    }
    assert done.json[-1]["failed"] == 1


def test_what_a_reducer_prints_does_not_mix_into_the_lines(durproj, log):
    (durproj.folder / "loud.py").write_text(
        "import sys\nprint('imported')\n"
        "def loud(state, event):\n"
        "    print('hello from the reducer'); sys.stdout.write('and more\\n')\n"
        "    return {'n': 1}\n"
    )
    done = durproj("run", log, "--reducer", "loud.py:loud", "--json")
    assert done.code == 0
    assert [record["type"] for record in done.json] == [
        *("run", "projection", "projection", "summary")
    ]
    assert done.err.count("hello from the reducer") == 3
    assert "imported" in done.err


@pytest.mark.parametrize("fail", [(), ("--fail", "2", "--retry-delay", "0")])
def test_a_step_shows_the_event_of_the_log_whatever_the_reducer_did_to_its_own(durproj, fail):
    (durproj.folder / "own.py").write_text(
        "def fn(state, event):\n    event.type = 'SPOILT'\n    return state\n"
    )
    args = ("run", "--reducer", "own.py:fn", "-v", "--json", *fail)
    told = [record["event"]["type"] for record in durproj(*args).json if record["type"] == "step"]
    again = [record["event"]["type"] for record in durproj(*args).json if record["type"] == "step"]
    assert told == again
    assert "SPOILT" not in told
    assert len(told) == 8
