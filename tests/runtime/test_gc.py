"""What is true of a store after `durproj gc`, and while it is at work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta

import pytest
from conftest import environment
from dying import Died, dying, folded, journals, line, stream, trail, write

import durproj as library
from durproj import NotFound, PastChanged, Stop, StoreDamaged, UsageError
from durproj.history.timeline import Timeline
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

EVENTS = [(f"u{i % 3}", i) for i in range(1500)]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, EVENTS)
    return path


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store.db"


def fold(log, store, **options):
    return library.fold(log, store=store, **{"reducer": trail, "durability": "batch"} | options)


def collected(store, **options):
    *records, summary = library.gc(store=store, **options)
    return records, summary


def states(store):
    return {id: json.loads(found["state"]) for id, found in journals(store).items()}


def expected(events):
    return {f"projection/{key}": folded(stream(events, key)) for key in {key for key, _ in events}}


def append(log, events):
    with log.open("a") as file:
        file.writelines(f"{line(*event)}\n" for event in events)


@pytest.mark.parametrize("keep", [0, 10, 200, 244])
def test_a_log_that_grew_is_folded_on(log, store, keep):
    fold(log, store)
    records, summary = collected(store, keep_last=keep)
    assert [record["id"] for record in records] == [f"projection/u{n}" for n in range(3)]
    assert summary["trimmed"] == 3
    assert summary["steps"] == sum(record["steps"] for record in records) > 0
    counts = fold(log, store)
    assert (counts.cached, counts.executed) == (1500, 0)
    append(log, [("u1", 7), ("u3", 8)])
    counts = fold(log, store)
    assert (counts.cached, counts.executed) == (1500, 2)
    assert states(store) == expected([*EVENTS, ("u1", 7), ("u3", 8)])


def test_another_run_that_reads_from_the_start_finds_it_all_cached(log, store):
    fold(log, store)
    collected(store, keep_last=10)
    counts = fold(log, store, keys=["u1"])
    assert (counts.cached, counts.executed) == (500, 0)
    append(log, [("u1", 7)])
    assert fold(log, store, keys=["u1"]).executed == 1
    # The whole log's own cursor is void now: all of it is compared again.
    counts = fold(log, store)
    assert (counts.cached, counts.executed) == (1501, 0)
    assert states(store) == expected([*EVENTS, ("u1", 7)])


@pytest.mark.parametrize("edited", [0, 3, 750, 1496])
@pytest.mark.parametrize("keys", [None, ["u0"]])
def test_an_edited_past_is_refused_whether_its_steps_are_kept_or_not(log, store, edited, keys):
    events = [("u0", n) for n in range(1500)]
    write(log, events)
    fold(log, store)
    collected(store, keep_last=10)
    before = journals(store)
    write(log, [("u0", n + (n == edited)) for n in range(1500)])
    with pytest.raises(PastChanged) as refused:
        fold(log, store, keys=keys)
    if edited < 1490:
        assert refused.value.step is None
        assert "its first 1,490 events, by a digest" in refused.value.recorded
    else:
        assert refused.value.step == edited
    assert journals(store) == before
    write(log, [*events, ("u0", 5)])
    assert fold(log, store).executed == 1


@pytest.mark.parametrize("length", [0, 1, 30, 1495])
def test_a_shorter_log_is_refused(log, store, length):
    fold(log, store)
    collected(store, keep_last=10)
    write(log, EVENTS[:length])
    with pytest.raises(PastChanged, match="the log ends"):
        fold(log, store)


def test_a_log_without_one_of_its_streams_is_refused(log, store):
    fold(log, store)
    collected(store, keep_last=0)
    write(log, [event for event in EVENTS if event[0] != "u2"])
    with pytest.raises(PastChanged, match=r"projection/u2.*\n.*by a digest"):
        fold(log, store)


def test_what_is_restarted_is_folded_anew(log, store):
    fold(log, store)
    collected(store, keep_last=10)
    write(log, EVENTS[3:])
    assert fold(log, store, restart=True).executed == 1497
    assert states(store) == expected(EVENTS[3:])
    with closing(SqliteStore.open_reader(store)) as opened:
        assert Journal.open(opened, "projection/u0").head.past is None


def test_a_run_that_broke_off_after_its_cursor_goes_on_from_there(log, store):
    """Of a finished stream of it, as many steps are kept as are to be compared."""
    fold(log, store)
    more = [("u0", 1), ("u0", 2), ("u1", 3), ("u1", 4), ("u1", 5)]
    append(log, more)
    with dying(30) as store_type, pytest.raises(Died):
        fold(log, store, durability="step", on_error="stop")
    assert store_type.points == 0
    found = journals(store)
    assert found["projection/u0"]["status"] == "resolved"
    assert found["projection/u0"]["steps"] == 502
    assert found["projection/u1"]["status"] == "pending"
    records, summary = collected(store, keep_last=0)
    assert {record["id"]: record["kept_from"] for record in records} == {
        "projection/u0": 499,
        "projection/u2": 499,
    }
    assert summary["left"] == {"unfinished": 1}
    counts = fold(log, store)
    assert counts.executed + found["projection/u1"]["steps"] == 503
    assert states(store) == expected([*EVENTS, *more])


def test_what_has_not_ended_keeps_all_its_steps(log, store):
    def poisoned(state, event):
        if event.body["v"] == 1201:
            raise ValueError("no")
        return trail(state, event)

    poisoned.initial = trail.initial
    fold(log, store, reducer=poisoned, on_error="park")
    with pytest.raises(library.StepFailed):
        fold(log, store, reducer=poisoned, name="stopped", keys=["u1"])
    before = journals(store)
    records, summary = collected(store, keep_last=0)
    assert {record["id"] for record in records} == {"projection/u0", "projection/u2"}
    assert summary["left"] == {"unfinished": 2}
    after = journals(store)
    assert after["projection/u1"] == before["projection/u1"]
    assert after["stopped/u1"] == before["stopped/u1"]
    library.retry_parked(reducer=trail, store=store)
    assert fold(log, store, accept_reducer=True).executed == 0
    assert states(store)["projection/u1"] == folded(stream(EVENTS, "u1"))


def test_a_stream_whose_steps_tell_events_apart_is_left_alone(tmp_path, store):
    log = tmp_path / "log.jsonl"
    lines = [json.dumps({"id": n % 400, "key": "a", "v": n % 400}) for n in range(500)]
    log.write_text("\n".join(lines) + "\n")
    fold(log, store, dedupe="id")
    before = journals(store)
    assert collected(store, keep_last=0)[1]["left"] == {"dedupe": 1}
    assert journals(store) == before


@pytest.mark.parametrize("options", [{"order": "seq"}, {"mapping": library.Mapping(seq="n")}])
def test_the_last_event_of_a_sequence_is_kept(tmp_path, store, options):
    log = tmp_path / "log.jsonl"
    every = [json.dumps({"key": "a", "n": n, "seq": n, "v": n}) + "\n" for n in range(1024)]
    log.write_text("".join(every))
    options = {"mapping": library.Mapping(seq="n")} | options
    fold(log, store, **options)
    assert collected(store, keep_last=0)[1]["trimmed"] == 1
    log.write_text("".join(every) + '{"key":"a","n":1026,"v":1}\n')
    counts = fold(log, store, **options)
    assert (counts.executed, counts.cached, counts.gaps.missing) == (1, 1024, 2)


def test_a_late_event_before_what_is_kept_is_refused(tmp_path, store):
    log = tmp_path / "log.jsonl"
    times = [f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z" for n in range(600)]
    log.write_text("".join(json.dumps({"key": "a", "v": 1, "time": at}) + "\n" for at in times))
    fold(log, store, order="time")
    collected(store, keep_last=10)
    assert fold(log, store, order="time").executed == 0
    with log.open("a") as file:
        file.write('{"key":"a","v":2,"time":"2026-01-01T00:00:03.5Z"}\n')
    with pytest.raises(PastChanged, match="by a digest"):
        fold(log, store, order="time")


def test_a_program_that_has_ended_keeps_its_result(store):
    ran = []

    def add(value):
        ran.append(value)
        return value

    def program(ctx, count):
        total = 0
        for n in range(count):
            total += yield ctx.run(add, n)
        return total

    def unfinished(ctx):
        yield ctx.run(add, 1)
        raise RuntimeError("later")

    result = library.run("sum/a", program, 300, store=store)
    with pytest.raises(RuntimeError):
        library.run("sum/b", unfinished, store=store)
    records, _ = collected(store, keep_last=0)
    assert [(record["id"], record["steps"]) for record in records] == [("sum/a", 300)]
    ran.clear()
    assert library.run("sum/a", program, 300, store=store) == result == 44850
    with pytest.raises(PastChanged, match="arguments"):
        library.run("sum/a", program, 301, store=store)
    with pytest.raises(RuntimeError):
        # What it has run since is a part of it, as the guard sees it.
        library.run("sum/b", unfinished, store=store, accept_functions=True)
    assert ran == []


def test_a_program_does_not_go_back_when_its_first_steps_are_gone(store):
    def program(ctx):
        for n in range(20):
            yield ctx.run(str, n)
        return "done"

    library.run("sum/a", program, store=store)
    collected(store, keep_last=5)
    with pytest.raises(NotFound, match="no longer kept"):
        library.rewind("sum/a", 17, store=store)
    assert library.run("sum/a", program, store=store) == "done"


def test_only_what_was_replaced_goes_without_more(log, store):
    fold(log, store)
    fold(log, store, name="old")
    before = journals(store)
    assert collected(store)[0] == []
    with closing(SqliteStore.open_writer(store)) as opened:
        run = next(run for run in opened.runs() if run.name == "old")
        run.options["replaced_by"] = "projection"
        opened.save_run(run)
    assert collected(store, older_than="1h")[0] == []
    records, summary = collected(store)
    assert [(record["what"], record["id"]) for record in records] == [
        ("dropped", f"old/u{n}") for n in range(3)
    ]
    assert (summary["dropped"], summary["trimmed"]) == (3, 0)
    assert journals(store) == {id: found for id, found in before.items() if id[0] == "p"}
    with closing(SqliteStore.open_reader(store)) as opened:
        assert [run.name for run in opened.runs()] == ["projection"]
    assert fold(log, store, name="old").executed == 1500


def test_it_is_done_when_it_returns_and_each_record_is_told_as_it_is_done(log, store):
    fold(log, store)
    told = []
    records = library.gc(keep_last=10, store=store, progress=told.append)
    assert told == records
    assert [record["type"] for record in records] == ["gc"] * 3 + ["summary"]
    with closing(SqliteStore.open_reader(store)) as opened:
        assert Journal.open(opened, "projection/u2").head.dropped == 490


def test_that_steps_go_in_whole_blocks_is_said(log, store, durproj):
    fold(log, store)
    assert collected(store, keep_last=250, dry_run=True)[1]["left"] == {"block": 3}
    said = durproj("gc", "--keep-last", 250, "--store", store).err
    assert "3 workflows left: steps go in whole blocks of up to 256" in said
    assert "left" not in durproj("gc", "--keep-last", 500, "--store", store).err


def test_upkeep_does_not_make_a_workflow_younger(log, store):
    fold(log, store)
    old = int(time.time() * 1000) - 40 * 86_400_000
    with closing(SqliteStore.open_writer(store)) as opened:
        for head in list(opened.heads()):
            head.updated_ms = old
            opened.save_past(head)
    assert len(collected(store, older_than="30d", keep_last=10)[0]) == 3
    library.promote("projection", "live", store=store)
    assert collected(store, older_than="41d", name="live", drop=True)[0] == []
    assert len(collected(store, older_than="30d", name="live", drop=True)[0]) == 3


@pytest.mark.parametrize(
    ("damage", "id"),
    [
        ("UPDATE segment SET packed = zeroblob(50) WHERE workflow = 2", "projection/u1"),
        ("UPDATE workflow SET state = '{}' WHERE no = 2", None),
    ],
)
def test_a_damaged_workflow_is_told_of_and_the_others_are_done(log, store, durproj, damage, id):
    fold(log, store)
    with closing(sqlite3.connect(store)) as conn:
        conn.execute(damage)
        conn.commit()
    before = everything(store, 2)
    done = durproj("gc", "--keep-last", 10, "--store", store, "--json")
    *records, summary = done.json
    assert done.code == 74
    assert "1 workflow is damaged, and left alone" in done.err
    assert [record["id"] for record in records if record["what"] == "trimmed"] == [
        *("projection/u0", "projection/u2")
    ]
    (told,) = (record for record in records if record["what"] == "damaged")
    assert (told["id"], "the store is damaged" in told["error"]) == (id, True)
    assert (summary["trimmed"], summary["damaged"]) == (2, 1)
    assert everything(store, 2) == before
    # Where it is not known whose a workflow is, no run is dropped with the last of the others.
    *_, summary = collected(store, name="projection", drop=True)
    with closing(sqlite3.connect(store)) as conn:
        left = conn.execute("SELECT count(*) FROM workflow JOIN run ON run.no = run").fetchone()[0]
    assert left == (id is None)


def root_of(store, table):
    """Where the first page of a table is in the file, in bytes."""
    with closing(sqlite3.connect(store)) as conn:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        return (conn.execute(sql, (table,)).fetchone()[0] - 1) * 4096


def test_nothing_is_dropped_from_pages_that_are_out_of_order(log, store):
    fold(log, store)
    blob = bytearray(store.read_bytes())
    blob[root_of(store, "segment") + 8] ^= 2  # where a cell is, or the next page
    store.write_bytes(blob)
    with pytest.raises(StoreDamaged):
        collected(store, keep_last=0)
    assert store.read_bytes()[4096:] == blob[4096:]
    assert collected(store, keep_last=0, dry_run=True)


def test_nothing_is_dropped_where_something_is_missing(log, store):
    fold(log, store)
    with store.open("r+b") as file:
        file.seek(root_of(store, "workflow"))
        file.write(b"\x0d\0\0\0\0\x10\0\0" + bytes(4088))  # a leaf without any row
    pages = store.read_bytes()[4096:]
    with pytest.raises(StoreDamaged, match="wrong # of entries"):
        collected(store, keep_last=0, vacuum=True)
    assert store.read_bytes()[4096:] == pages
    with pytest.raises(StoreDamaged):
        library.inspect("projection/u0", store=store)


def everything(store, no):
    """All that is kept of one workflow."""
    with closing(sqlite3.connect(store)) as conn:
        sql = "SELECT * FROM {} WHERE {} = ? ORDER BY 2"
        return [
            conn.execute(sql.format(table, column), (no,)).fetchall()
            for table, column in [("workflow", "no"), ("segment", "workflow"), ("step", "workflow")]
        ]


def test_a_dry_run_says_the_same_and_does_nothing(log, store):
    fold(log, store)
    fold(log, store, name="other", keys=["u1"])
    for options in ({"keep_last": 0}, {"keep_last": 100}, {"drop": True, "name": "other"}):
        content = store.read_bytes()
        would, forecast = collected(store, dry_run=True, **options)
        assert store.read_bytes() == content
        copy = store.with_name("copy.db")
        shutil.copy(store, copy)
        did, summary = collected(copy, **options)
        assert would == did != []
        assert summary.pop("file")["after"] == copy.stat().st_size
        assert forecast == summary | {"dry_run": True}


def test_what_is_chosen_loses_steps_and_nothing_else(log, store):
    fold(log, store)
    fold(log, store, name="other")

    def touched(**options):
        return {record["id"] for record in collected(store, keep_last=1, **options)[0]}

    assert touched(older_than=timedelta(days=1)) == set()
    assert touched(ids=["other/u1"]) == {"other/u1"}
    assert touched(keys=["u2"], name="other") == {"other/u2"}
    assert touched(older_than="0s", name="other") == {"other/u0"}
    assert touched(keys=["u1"]) == {"projection/u1"}
    with pytest.raises(NotFound, match="projection/u9"):
        touched(ids=["projection/u9"])
    with pytest.raises(NotFound, match="u9"):
        touched(keys=["u9"])


@pytest.mark.parametrize(
    "options",
    [
        {"drop": True},
        {"drop": True, "keep_last": 1, "name": "x"},
        {"keep_last": -1},
        {"older_than": "30"},
        {"older_than": "1y"},
        {"ids": ["nothing"]},
        {"ids": []},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_before_anything_is_opened(tmp_path, options):
    with pytest.raises(UsageError):
        library.gc(store=tmp_path / "none.db", **options)


def test_a_dropped_workflow_is_folded_anew_by_the_next_run(log, store):
    fold(log, store)
    collected(store, ids=["projection/u1"], drop=True)
    assert sorted(states(store)) == ["projection/u0", "projection/u2"]
    append(log, [("u1", 3)])
    counts = fold(log, store)
    assert (counts.cached, counts.executed) == (1000, 501)
    assert states(store) == expected([*EVENTS, ("u1", 3)])


def test_what_came_through_a_pipe_is_dropped_together_or_not_at_all(tmp_path, store):
    lines = "".join(line(*event) + "\n" for event in EVENTS[:30])
    args = ["run", "-", "--follow", "--reducer", "counts", "--store", store, "-q"]
    command = [sys.executable, "-m", "durproj", *map(str, args)]
    again = {"cwd": tmp_path, "env": environment(), "timeout": 60}
    subprocess.run(command, input=lines.encode(), check=True, **again)
    records, summary = collected(store, keys=["u1"], drop=True)
    assert (records, summary["left"]) == ([], {"once": 1})
    collected(store, keep_last=0)
    subprocess.run(command, input=f"{line('u1', 3)}\n".encode(), check=True, **again)
    assert states(store)["projection/u1"]["events"] == 11
    assert collected(store, name="projection", drop=True)[1]["dropped"] == 3


def test_a_timeline_begins_where_steps_are_kept(log, store):
    fold(log, store)
    collected(store, keys=["u1"], keep_last=10)
    with closing(SqliteStore.open_reader(store)) as opened:
        line = Timeline.open(opened, "projection/u1")
        assert (line.first, line.steps) == (490, 500)
        assert [at.step for at in line.forward()] == [*range(490, 500)]
        assert [at.step for at in line.forward(3, 492)] == [490, 491]
        assert [at.step for at in line.backward(493)] == [492, 491, 490]
        assert line.state_before(491) == line.at(490).state
        assert line.state_before(490) is line.state_before(3)
        with pytest.raises(NotFound, match="no longer kept"):
            line.at(489)


def test_steps_are_shown_as_far_as_they_are_kept(tmp_path, store):
    class Shown(library.Silent):
        wants_steps = True
        steps = notes = ()

        def note(self, text):
            self.notes = (*self.notes, text)

        def step(self, _id, step, *_rest):
            self.steps = (*self.steps, step)

    log = tmp_path / "log.jsonl"
    write(log, [("a", n) for n in range(20)])
    fold(log, store)
    collected(store, keep_last=5)
    for keys in (None, ["a"]):  # from the cursor, and from the start
        shown = Shown()
        fold(log, store, keys=keys, observer=shown)
        assert shown.steps == (15, 16, 17, 18, 19)
        said = [text for text in shown.notes if "not shown" in text]
        assert said == ["projection/a: the steps before 15 are not shown: durproj gc dropped them"]


def test_it_can_be_stopped_between_two_workflows(log, store):
    fold(log, store)
    stop, told = Stop(), []

    def tell(record):
        told.append(record["id"])
        stop.signum = signal.SIGINT

    with pytest.raises(library.Interrupted):
        library.gc(keep_last=0, store=store, stop=stop, progress=tell)
    assert told == ["projection/u0"]
    assert len(collected(store, keep_last=0)[0]) == 2


def test_a_crash_at_any_write_leaves_a_sound_store(tmp_path):
    """Every workflow is as it was or as it was to be; the next gc does the rest."""
    log, whole = tmp_path / "log.jsonl", tmp_path / "whole.db"
    events = [(f"u{n % 2}", n) for n in range(700)]
    write(log, events)
    fold(log, whole)
    done = tmp_path / "done.db"
    shutil.copy(whole, done)
    collected(done, keep_last=20, vacuum=False)
    before, after = journals(whole), journals(done)
    at = 0
    while True:
        store = tmp_path / "store.db"
        shutil.copy(whole, store)
        with dying(at):
            try:
                collected(store, keep_last=20, vacuum=False)
                break
            except Died:
                pass
        found = journals(store)
        assert all(found[id] in (before[id], after[id]) for id in before)
        assert fold(log, store).executed == 0
        collected(store, keep_last=20, vacuum=False)
        assert journals(store) == after
        at += 1
    assert at > 20


KILLED = """
import os, signal, sys
import durproj
from durproj.stores import sqlite

plain, left = sqlite.connect_writer, int(sys.argv[2])

def die():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def connect(*args, **options):
    conn = plain(*args, **options)
    conn.set_progress_handler(die, 100)  # in the middle of statements, VACUUM among them
    return conn

sqlite.connect_writer = connect
durproj.gc(keep_last=0, vacuum=True, store=sys.argv[1])
print(left)
"""


@pytest.mark.slow
def test_kills_at_any_instant_leave_a_sound_store(tmp_path):
    log, whole = tmp_path / "log.jsonl", tmp_path / "whole.db"
    events = [(f"u{n % 20}", n) for n in range(6000)]
    write(log, events)
    fold(log, whole)
    want, most = expected(events), 1_000_000

    def killed(store, at):
        shutil.copy(whole, store)
        args = [sys.executable, "-c", KILLED, str(store), str(at)]
        done = subprocess.run(args, env=environment(), capture_output=True, check=False, timeout=60)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
        return done

    points = most - int(killed(tmp_path / "first.db", most).stdout)
    assert points > 40
    for at in range(0, points, points // 10):
        store = tmp_path / f"store{at}.db"
        assert killed(store, at).returncode == -signal.SIGKILL
        assert states(store) == want
        assert fold(log, store).executed == 0
        summary = collected(store, keep_last=0, vacuum=True)[1]
        assert summary["file"]["after"] < os.path.getsize(whole) / 2
        assert states(store) == want
        assert fold(log, store, keys=["u1"]).executed == 0
