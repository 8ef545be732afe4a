"""A fork: the same steps, or those that other events would have led to; and what it is to everyone else."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from pasts import keep

import durproj as library
from durproj.errors import NotFound, PastChanged, StepFailed, UsageError
from durproj.runtime.retry import Constant
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

REDUCER = """
def total(state, event):
    value = event.data["v"]
    if value < 0 and state["sum"] + value < 0:
        raise ValueError(f"overdrawn by {event.id}")
    return {"sum": state["sum"] + value, "seen": [*state["seen"], event.id][-3:], "n": state["n"] + 1}

total.initial = {"sum": 0, "seen": [], "n": 0}

def count(state, event):
    return {"count": state.get("count", 0) + 1, "key": event.key}
"""


def line(v, n, key="a"):
    return json.dumps({"key": key, "type": "T", "id": n, "v": v}, separators=(",", ":"))


def write(log, values):
    log.write_text("".join(line(v, n) + "\n" for n, v in enumerate(values)))


def records(store, id):
    """The records of a workflow, its status and state; every hash is verified."""
    with closing(SqliteStore.open_reader(Path(store))) as opened:
        journal = Journal.open(opened, id)
        found = [record for _, part in journal.blocks() for record in part]
        return found, journal.head.status, journal.head.state


def folded(folder, values, **options):
    """A store in which `projection/a` is the fold of events with these values."""
    (folder / "r.py").write_text(REDUCER)
    write(folder / "log.jsonl", values)
    library.fold(
        folder / "log.jsonl", reducer=str(folder / "r.py") + ":total", store=folder / "s.db",
        durability="batch", **options,
    )  # fmt: skip
    return folder / "s.db"


@pytest.fixture
def store(tmp_path):
    return folded(tmp_path, range(10))


@examples(15)
@given(data=st.data())
def test_a_fork_with_other_events_is_what_folding_them_would_have_made(tmp_path_factory, data):
    size = data.draw(st.sampled_from([1, 5, 20, 300]))
    at = data.draw(st.none() | st.integers(0, size - 1))
    last = size - 1 if at is None else at
    steps = st.integers(0, last)
    replaced = data.draw(st.dictionaries(steps, st.integers(0, 99), max_size=3))
    dropped = data.draw(st.sets(steps, max_size=min(3, last))) - set(replaced)
    folder = tmp_path_factory.mktemp("fork")
    store = folded(folder, [1] * size)
    events = {
        step: {"key": "a", "type": "T", "id": f"x{step}", "v": v} for step, v in replaced.items()
    }
    made = library.fork("projection/a", "other", at=at, replace=events, drop=dropped, store=store)
    lines = [
        json.dumps(events[n], separators=(",", ":")) if n in events else line(1, n)
        for n in range(last + 1)
        if n not in dropped
    ]
    (folder / "mended.jsonl").write_text("\n".join(lines))
    library.fold(
        folder / "mended.jsonl", reducer=str(folder / "r.py") + ":total", store=store, name="mended",
        durability="batch",
    )  # fmt: skip
    assert records(store, "other/a") == records(store, "mended/a")
    begin = min([*replaced, *dropped], default=last + 1)
    assert (made["copied"], made["steps"]) == (begin, len(lines))
    assert made["executed"] == len(lines) - begin
    assert made["state"] == json.loads(records(store, "mended/a")[2])
    assert bool(made["changes"]) == bool(dropped or any(v != 1 for v in replaced.values()) or (
        json.loads(records(store, "projection/a")[0][last].output) != made["state"]
    ))  # fmt: skip
    assert len(records(store, "projection/a")[0]) == size


def test_it_tells_the_state_and_what_differs(durproj, store):
    args = ("--store", "s.db", "--replace-event")
    done = durproj(
        "fork", "projection/a", "--as", "whatif", *args, '8={"key":"a","type":"T","v":0}'
    )
    assert done.code == 0
    assert done.out == (
        "whatif/a  10 steps (8 copied, 2 executed)\n"
        '{\n  "sum": 37,\n  "seen": [\n    7,\n    null,\n    9\n  ],\n  "n": 10\n}\n'
        "differs from projection/a#9\n"
        "  sum 45→37\n"
        "  seen[1] 8→null\n"
    )
    assert (
        done.err == "durproj: value by value: durproj diff 'projection/a#9' whatif/a --store s.db\n"
    )
    (durproj.folder / "fixed.json").write_text('{\n "key": "a", "type": "T",\n "v": 80\n}\n')
    (record,) = durproj(
        "fork", "projection/a#8", "--as", "b/c", *args, "8=@fixed.json", "--drop-event", 1, "--json"
    ).json
    assert record == {
        "type": "fork",
        "id": "b/c",
        "from": "projection/a",
        "at": 8,
        "replaced": [8],
        "dropped": [1],
        "steps": 8,
        "copied": 1,
        "executed": 7,
        "skipped": 0,
        "state": {"sum": 107, "seen": [6, 7, None], "n": 8},
        "changes": [
            {"path": "sum", "kind": "changed", "old": 36, "new": 107},
            {"path": "seen[2]", "kind": "changed", "old": 8, "new": None},
            {"path": "n", "kind": "changed", "old": 9, "new": 8},
        ],
    }
    told = durproj("inspect", "b/c", "--store", "s.db").out
    assert "  forked from projection/a#8; event replaced: 8; event dropped: 1\n" in told
    same = durproj("fork", "projection/a", "--as", "same", "--store", "s.db")
    assert "the same state as projection/a#9\n" in same.out


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--as", "x", "--at", 10], 66, "projection/a#10: no such step"),
        (["--as", "projection"], 2, "projection/a is there already"),
        (["--as", "a b"], 2, "not a name"),
        (["--as", "/b"], 2, "not a workflow id"),
        (["--as", "x", "--at", 3, "--drop-event", 4], 2, "none of the steps 0 to 3"),
        (["--as", "x", "--at", 0, "--drop-event", 0], 2, "no step would be left"),
        (["--as", "x", "--drop-event", 4, "--replace-event", "4={}"], 2, "replaced and dropped"),
        (["--as", "x", "--replace-event", "4"], 2, "K=JSON"),
        (["--as", "x", "--replace-event", "4=oops"], 2, "step 4 is not JSON"),
        (["--as", "x", "--replace-event", "4={}", "--replace-event", "4={}"], 2, "two events"),
        (["--as", "x", "--replace-event", "4=[1]"], 2, "step 4 is no event"),
        (["--as", "x", "--replace-event", "4={}"], 2, "has no key"),
        (["--as", "x", "--replace-event", '4={"key":"b"}'], 2, 'of the key "b", not "a"'),
        (["--as", "x", "--replace-event", '4={"key":"a","type":[]}'], 2, "the type is an array"),
        (["--as", "x", "--replace-event", f'4={{"key":"a","v":{10**30}}}'], 2, "64 bits"),
        (["--as", "x", "--replace-event", "4=@none.json"], 66, "no such file: none.json"),
        (["--as", "x", "--accept-reducer"], 2, "no step is executed anew"),
        (["--as", "x", "--reducer", "nope"], 2, "no built-in reducer"),
        (["--as", "x", "--replace-event", '4={"key":"a","type":"T"}'], 1, "x/a#4: KeyError"),
        (["--as", "x", "--replace-event", '4={"key":"a","v":-99}'], 1, "nothing was forked"),
    ],
)  # fmt: skip
def test_what_cannot_be_forked_is_refused_and_leaves_nothing(durproj, store, args, code, says):
    done = durproj("fork", "projection/a", *args, "--store", "s.db")
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert "Traceback" not in done.err
    with closing(SqliteStore.open_reader(store)) as opened:
        assert [(head.id, head.steps) for head in opened.heads()] == [("projection/a", 10)]
        assert len(opened.runs()) == 1


def test_a_reducer_that_has_changed_folds_only_if_that_is_accepted(tmp_path, store):
    (tmp_path / "r.py").write_text(REDUCER.replace('"n": state["n"] + 1', '"n": state["n"] + 100'))
    with pytest.raises(PastChanged, match=r"(?s)recorded: .*r\.py:total .*--accept-reducer"):
        library.fork("projection/a", "x", drop=[8], store=store)
    assert library.fork("projection/a", "plain", store=store)["executed"] == 0
    made = library.fork("projection/a", "x", drop=[8], accept_reducer=True, store=store)
    assert made["state"]["n"] == 108
    assert library.fork("x/a", "y", drop=[8], store=store)["state"]["n"] == 8


def test_with_another_reducer_all_steps_are_folded_with_it(tmp_path, store):
    made = library.fork(
        "projection/a", "x/z", reducer=str(tmp_path / "r.py") + ":count", store=store
    )
    assert (made["copied"], made["executed"]) == (0, 10)
    # The events' own key, whatever the fork is called.
    assert made["state"] == {"count": 10, "key": "a"}
    assert library.inspect("x/z", store=store)["reducer"] == "r.py:count"
    again = library.fork("x/z", "y", drop=[8], store=store)
    assert (again["copied"], again["state"]) == (8, {"count": 9, "key": "a"})


def test_an_event_that_was_skipped_is_tried_again_behind_one_that_is_replaced(tmp_path):
    store = folded(tmp_path, [5, -9, 1, -90, 1], on_error="skip")
    copied = library.fork("projection/a", "copy", store=store)
    assert copied["state"] == {"sum": 7, "seen": [0, 2, 4], "n": 3}
    assert records(store, "copy/a") == records(store, "projection/a")
    richer = {"key": "a", "type": "T", "id": 0, "v": 20}
    made = library.fork("projection/a", "x", replace={0: richer}, store=store)
    assert made["state"] == {"sum": 13, "seen": [1, 2, 4], "n": 4}
    assert made["skipped"] == 1
    shown = library.inspect("x/a", 3, store=store)
    assert shown["skipped"] == {"kind": "ValueError", "message": "overdrawn by 3"}
    assert "skipped" not in library.inspect("x/a", 1, store=store)


def test_where_errors_stop_a_run_only_what_was_skipped_by_hand_may_fail(tmp_path):
    folded(tmp_path, [5, -9, 1, -6], on_error="park")
    store = tmp_path / "s.db"
    parked = library.fork("projection/a", "early", store=store)
    assert (parked["steps"], library.inspect("early/a", store=store)["status"]) == (1, "resolved")
    library.drop_parked(["projection/a"], store=store)
    assert library.fork("projection/a", "x", replace={0: line(7, 0)}, store=store)["skipped"] == 1
    with pytest.raises(StepFailed, match=r"y/a#3: ValueError: overdrawn by 3"):
        library.fork("projection/a", "y", replace={0: line(1, 0)}, store=store)


@pytest.mark.parametrize("status", ["pending", "rejected"])
def test_an_unfinished_workflow_is_forked_as_far_as_it_is(durproj, status):
    (durproj.folder / "r.py").write_text(REDUCER)
    write(durproj.folder / "log.jsonl", [1, 2, 3, -9 if status == "rejected" else 4, 5])
    crash = ("--crash", 3) if status == "pending" else ()
    durproj("run", "log.jsonl", "--reducer", "r.py:total", *crash)
    (made,) = durproj("fork", "projection/a", "--as", "x", "--json").json
    assert (made["at"], made["state"]["sum"]) == (2, 6)
    stands = {each["id"]: each["status"] for each in durproj("list", "--json").json}
    assert stands == {"projection/a": status, "x/a": "resolved"}
    # It is nothing that resume would go on with.
    assert [each["id"] for each in durproj("resume", "--json").json if "status" in each] == [
        "projection/a"
    ]


def test_a_workflow_without_steps_has_nothing_to_fork(durproj):
    (durproj.folder / "r.py").write_text(REDUCER)
    write(durproj.folder / "log.jsonl", [-1])
    durproj("run", "log.jsonl", "--reducer", "r.py:total")
    done = durproj("fork", "projection/a", "--as", "x")
    assert (done.code, "it has no step yet" in done.err) == (66, True)


def test_a_fork_is_not_what_the_store_last_read(durproj, store):
    (durproj.folder / "other.jsonl").write_text(line(1, 1, "b") + "\n")
    durproj("run", "other.jsonl", "--reducer", "counts", "--store", "s.db", "--name", "other")
    durproj("fork", "projection/a", "--as", "x", "--store", "s.db")
    told = durproj("run", "--name", "third", "--reducer", "counts", "--store", "s.db", "--json")
    assert told.json[0]["input"] == "other.jsonl"
    resumed = durproj("resume", "--store", "s.db")
    assert (resumed.code, "nothing to resume" in resumed.err) == (0, True)
    assert durproj("doctor", "--store", "s.db", "--json").json[0]["store"]["unfinished"] == 0


def test_a_log_goes_on_with_a_fork_whose_events_are_its_own(durproj, store):
    run = ("run", "log.jsonl", "--reducer", "r.py:total", "--store", "s.db", "--json", "--name")
    durproj("fork", "projection/a#3", "--as", "prefix", "--store", "s.db")
    last = durproj(*run, "prefix").json[-1]
    assert (last["cached"], last["executed"]) == (4, 6)
    assert "fork" not in durproj("inspect", "prefix/a", "--store", "s.db", "--json").json[0]
    assert durproj(*run, "prefix").json[-1]["executed"] == 0
    durproj(
        "fork",
        "projection/a",
        "--as",
        "changed",
        "--replace-event",
        f"4={line(9, 4)}",
        "--store",
        "s.db",
    )
    refused = durproj(*run, "changed")
    assert (refused.code, "changed/a#4: the past changed" in refused.err) == (4, True)
    assert records(store, "changed/a")[0][4].input == line(9, 4).encode()


def test_a_fork_is_rewound_without_waiting_for_a_log(durproj, store):
    durproj("fork", "projection/a", "--as", "x", "--drop-event", 2, "--store", "s.db")
    done = durproj("rewind", "x/a#3", "--store", "s.db")
    assert (done.code, done.err) == (0, "durproj: x/a: dropped 5 steps; steps 0 to 3 are kept\n")
    stands = durproj("inspect", "x/a", "--store", "s.db", "--json").json[0]
    assert (stands["status"], stands["steps"], stands["state"]["sum"]) == ("resolved", 4, 8)
    assert "nothing to resume" in durproj("resume", "--store", "s.db").err


def test_another_process_that_writes_is_reported(durproj, store):
    with closing(SqliteStore.open_writer(store)):
        assert durproj("fork", "projection/a", "--as", "x", "--store", "s.db").code == 75


def test_a_step_is_tried_again_as_the_run_would_have_but_without_waiting(tmp_path):
    flaky = (
        "TRIES = []\n"
        "def flaky(state, event):\n"
        "    TRIES.append(event.id)\n"
        "    if TRIES.count(event.id) < 3:\n"
        "        state['sum'] = 'spoilt'\n"
        "        raise OSError('busy')\n"
        "    return {'sum': state['sum'] + event.data['v']}\n"
        "flaky.initial = {'sum': 0}\n"
    )
    store = folded(tmp_path, [1, 2, 3], retry=Constant(retries=2, delay_s=3600))
    (tmp_path / "flaky.py").write_text(flaky)
    reducer = str(tmp_path / "flaky.py") + ":flaky"
    assert library.fork("projection/a", "x", reducer=reducer, store=store)["state"] == {"sum": 6}
    impatient = folded(tmp_path, [1, 2, 3], retry=Constant(retries=1, delay_s=0), name="once")
    (tmp_path / "flaky.py").write_text(flaky.replace("TRIES = []", "TRIES = []  # anew"))
    with pytest.raises(StepFailed, match=r"y/a#0: OSError: busy"):
        library.fork("once/a", "y", reducer=reducer, store=impatient)


def test_the_initial_state_of_a_fork_is_that_of_its_events_key(durproj):
    """The state that `account` begins with names the key, which is the events' and not the fork's."""
    durproj("run", "-q")
    durproj("fork", "projection/u1", "--as", "what/if")
    first, fork = (durproj("log", id, "--json").json[0] for id in ("projection/u1", "what/if"))
    assert fork["changes"] == first["changes"]
    assert "userId" not in {change["path"] for change in fork["changes"]}


# -- workflows of programs


CALLS = []


def one():
    CALLS.append("one")
    return len(CALLS)


def two(first):
    CALLS.append("two")
    return first * 10


def program(ctx, by):
    first = yield ctx.run(one)
    second = yield ctx.run(two, first)
    return second + by


def test_a_program_goes_on_after_the_steps_of_a_fork(tmp_path):
    CALLS.clear()
    store = tmp_path / "s.db"
    assert library.run("p/1", program, 5, store=store) == 15
    made = library.fork("p/1", "p/2", at=0, store=store)
    assert ("state" not in made, made["steps"]) == (True, 1)
    assert library.run("p/2", program, 5, store=store) == 15
    assert CALLS == ["one", "two", "two"]
    library.fork("p/1", "q", store=store)
    assert library.inspect("q/1", store=store)["status"] == "pending"
    assert library.run("q/1", program, 5, store=store) == 15
    assert CALLS == ["one", "two", "two"]
    with pytest.raises(PastChanged):
        library.run("q/1", program, 6, store=store)
    for options in ({"drop": [0]}, {"replace": {0: {}}}, {"reducer": "counts"}):
        with pytest.raises(UsageError, match="a program's workflow"):
            library.fork("p/1", "r", store=store, **options)


def test_a_program_is_not_forked_from_steps_that_are_not_all_kept(tmp_path):
    CALLS.clear()
    store = tmp_path / "s.db"
    library.run("p/1", program, 5, store=store)
    keep(store, 1, "p/1")
    with pytest.raises(UsageError, match=r"p/1: steps before 1 are no longer kept"):
        library.fork("p/1", "p/2", store=store)
    assert library.run("p/1", program, 5, store=store) == 15
    # A store in which an earlier version forked one.
    with closing(SqliteStore.open_writer(store)) as opened:
        Journal.open(opened, "p/1").save("pending")
    with pytest.raises(NotFound, match=r"p/1: steps before 1 are no longer kept"):
        library.run("p/1", program, 5, store=store)
    assert CALLS == ["one", "two"]


def test_a_fold_of_a_program_is_folded_anew_with_a_reducer_at_hand_only(tmp_path):
    write(tmp_path / "log.jsonl", range(4))
    store = tmp_path / "s.db"
    library.fold(
        tmp_path / "log.jsonl", reducer=lambda _, event: {"v": event.data["v"]}, store=store
    )
    library.fork("projection/a", "copy", store=store)
    for id in ("projection/a", "copy/a"):
        with pytest.raises(UsageError, match="folded by a program"):
            library.fork(id, "x", drop=[3], store=store)
    made = library.fork(
        "copy/a", "x", drop=[3], reducer=lambda _, event: event.data["v"], store=store
    )
    assert made["state"] == 2


# -- journals that lost their oldest steps


@pytest.mark.parametrize("keep", [0, 50])
def test_a_fork_takes_over_what_is_known_of_dropped_steps(tmp_path, keep):
    store = folded(tmp_path, [1] * 400)
    with closing(SqliteStore.open_writer(store)) as opened:
        journal = Journal.open(opened, "projection/a")
        journal.trim(keep)
        dropped, past = journal.head.dropped, journal.head.past
    made = library.fork("projection/a", "x", store=store)
    assert (made["steps"], made["changes"]) == (400, [])
    assert (made["copied"], made["executed"]) == (400 - dropped, 0)
    assert made["kept_from"] == dropped
    with closing(SqliteStore.open_reader(store)) as opened:
        head = opened.head("x/a")
        assert (head.dropped, head.past.inputs, head.steps) == (dropped, past.inputs, 400)
        assert head.past.id == "x/a"  # no block of one passes for one of the other
    assert records(store, "x/a")[0] == records(store, "projection/a")[0]
    assert library.inspect("x/a", store=store)["state"]["sum"] == 400
    for options in ({"at": dropped - 2}, {"drop": [dropped]}, {"drop": [3]}, {"reducer": "counts"}):
        if options != {"drop": [dropped]} or dropped < 400:
            with pytest.raises(NotFound, match="no longer kept"):
                library.fork("projection/a", "y", store=store, **options)
    if keep:
        assert (
            library.fork("projection/a", "y", drop=[dropped + 1], store=store)["state"]["sum"]
            == 399
        )
