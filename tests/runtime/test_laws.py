"""The laws of replay over a corpus of workflows and logs: a fold, the generator it stands for, and
functools.reduce agree; a crash anywhere and a resume are a straight run."""

from __future__ import annotations

import copy
import functools
import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import examples
from dying import Died, dying, journals, line, tables, trail, write
from hypothesis import given
from hypothesis import strategies as st

import durproj
from durproj import Constant, Event, Retry, StepFailed
from durproj.codec import decode
from durproj.events.envelope import Envelope
from durproj.events.formats.detection import detect
from durproj.projections.reducer import from_function
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

DURABILITIES = ["step", "fsync", "batch"]
ID = "projection/k"


# -- reducers and workflows


def counting(state, event):
    return state + 1


counting.initial = 0


def collecting(state, event):
    return [*state, event.body["v"]]


collecting.initial = []


def nesting(state, event):
    return {"was": state, "v": event.body["v"]} if event.body["v"] != [] else {}


def mutating(state, event):
    state.setdefault("seen", []).append(event.body["v"])
    event.body.clear()
    return state


def tuples(state, event):
    return {"pair": (event.body["v"], len(state))}


def by_type(state, event):
    match event.type:
        case "A":
            return state | {"a": state.get("a", 0) + 1}
        case _:
            return state


def nulls(state, event):
    return event.body["v"] or state


nulls.initial = None


def text(state, event):
    return state + json.dumps(event.body["v"])


text.initial = "\u2028\u202e\x00 "


def floats(state, event):
    return (state + 0.1) / 3


floats.initial = 0.1


def keyed(state, event):
    return {**state, event.type: event.key}


keyed.initial = lambda key: {"of": key}

REDUCERS = [
    trail, counting, collecting, nesting, mutating, tuples, by_type, nulls, text, floats, keyed,
]  # fmt: skip

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=4,
)
LOGS = st.lists(st.tuples(st.sampled_from("AB"), VALUES), max_size=30)


def records(journal):
    return [record for _, block in journal.blocks() for record in block]


def kept(store, id=ID):
    opened = SqliteStore.open_reader(store)
    try:
        journal = Journal.open(opened, id)
        return records(journal), journal.head.hash, journal.head.state, journal.head.status
    finally:
        opened.close()


@pytest.mark.parametrize("reducer", REDUCERS, ids=lambda reducer: reducer.__name__)
@examples(5)
@given(log=LOGS)
def test_a_fold_is_the_generator_is_functools_reduce(reducer, log):
    if reducer is trail:
        log = [(kind, i) for i, (kind, _) in enumerate(log)]
    lines = [json.dumps({"key": "k", "type": kind, "v": value}) for kind, value in log]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "log").write_text("".join(f"{each}\n" for each in lines))
        envelope = Envelope(detect([{"key": "k", "type": "A", "v": 1}]))
        prepared = from_function(reducer)
        events = [envelope.event(json.loads(raw), raw.encode(), "k") for raw in lines]
        # JSON by way of the standard library: each value as storage would give it back.
        expected = functools.reduce(
            lambda state, event: json.loads(json.dumps(reducer(state, event))),
            copy.deepcopy(events),
            prepared.initial("k"),
        )
        result = durproj.run(
            ID, durproj.process_events, events, prepared, store=place / "generator.db"
        )
        assert result == expected
        reference = kept(place / "generator.db")
        assert len(reference[0]) == len(lines)
        for durability in DURABILITIES if lines else ():
            store = place / f"{durability}.db"
            mapping = durproj.Mapping(key="key", type="type", id="", time="", data="")
            durproj.fold(
                place / "log", reducer=reducer, store=store, durability=durability, mapping=mapping
            )
            assert kept(store) == reference


def test_a_step_that_fails_and_is_retried_leaves_the_same_journal_either_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failing = {"left": 0}

    def spoiling(state, event):
        state["n"] = state.get("n", 0) + 1
        event.body["v"] = "spoilt"
        if failing["left"]:
            failing["left"] -= 1
            raise Retry
        return state | {"last": event.body["v"]}

    write(tmp_path / "log", [("k", 1), ("k", 2)])
    events = [Event("k", "T", None, None, {}, raw.encode())
              for raw in (line("k", 1), line("k", 2))]  # fmt: skip
    retry = durproj.Exponential(retries=3, delay_s=0)
    failing["left"] = 2
    durproj.fold("log", reducer=spoiling, store="fold.db", retry=retry)
    failing["left"] = 2
    durproj.run(
        ID, durproj.process_events, events, from_function(spoiling), store="run.db",
        retry=Constant(retries=3, delay_s=0),
    )  # fmt: skip
    assert kept(Path("fold.db")) == kept(Path("run.db"))
    assert decode(kept(Path("fold.db"))[2]) == {"n": 2, "last": "spoilt"}


# What it sees of each event before and after it spoilt it; one attempt fails after that.
SPOILING = """
import json
from durproj import Retry

failing = ["T2"]

def spoiling(state, event):
    def looks():
        return [json.dumps(part) for part in (event.time, event.data, event.body)]
    before = looks()
    event.time["at"] = "spoilt"
    event.data["v"] = "spoilt"
    event.data.pop("list", []).append(1)
    event.body["d"]["more"] = "spoilt"
    event.body["list"] = []
    if event.type in failing:
        failing.remove(event.type)
        raise Retry
    return {"seen": [*state.get("seen", []), [before, looks()]]}
"""


@pytest.mark.parametrize("data", ["d", ""], ids=["a payload", "the whole line"])
@pytest.mark.parametrize("keys", [["--user", "u1"], []], ids=["one stream", "all streams"])
def test_what_a_reducer_does_to_an_event_shows_neither_after_a_crash_nor_beside_odd_lines(
    tmp_path, durproj, data, keys
):
    (tmp_path / "mine.py").write_text(SPOILING)
    line = '{"key":"u1","type":"TN","w":{"at":1},"d":{"v":1,"list":[[]]}}\n'
    lines = [line.replace("TN", f"T{n}") for n in range(4)]
    odd = lines[0].replace("u1", "u2").replace("[[]]", "[1234567890123456789]")
    seen = []
    for text in ("".join(lines), odd + "".join(lines)):
        (tmp_path / "log").write_text(text)
        stores = [tmp_path / f"{len(text)} {name}.db" for name in ("whole", "1", "3", "failed")]
        run = ["run", "log", "--reducer", "mine.py:spoiling", "--time", "w", "--data", data, *keys]
        run += ["--retry-delay", 0]
        assert durproj(*run, "--store", stores[0]).code == 0
        for crash, store in zip((1, 3), stores[1:], strict=False):
            assert durproj(*run, "--store", store, "--crash", crash).code == 3
            assert durproj("resume", "--store", store).code == 0
        assert durproj(*run, "--store", stores[3], "--fail", "2x2").code == 0
        whole = journals(stores[0])
        assert [journals(store) for store in stores[1:]] == [whole] * 3
        seen.append(whole["projection/u1"])
    assert seen[0] == seen[1]
    assert len(decode(seen[0]["state"])["seen"]) == len(lines)


def add(a, b):
    return a + b


def boom(kind):
    raise ValueError(kind)


def straight(ctx):
    a = yield ctx.run(add, 1, 2)
    return (yield ctx.run(add, a, a))


def delegating(ctx):
    a = yield from ctx.run(add, "x", "y")
    b = yield from straight(ctx)
    return [a, b]


def looping(ctx):
    total = 0
    for i in range(300):
        total = yield ctx.run(add, total, i)
    return total


def branching(ctx):
    a = yield ctx.run(add, 1, 1)
    return (yield ctx.run(add, a, 1)) if a == 2 else (yield ctx.run(add, "never", ""))


def forgiving(ctx):
    try:
        yield ctx.run(boom, "bad").options(retry=durproj.Never())
    except StepFailed as failed:
        return (yield ctx.run(add, failed.kind, failed.reason))


def failing(ctx):
    yield ctx.run(add, 1, 2)
    yield ctx.run(boom, "bad")


def raising(ctx):
    yield ctx.run(add, 1, 2)
    raise KeyError("out of steps")


def empty(ctx):
    return {"done": True}
    yield


def deep(ctx, depth=4):
    if not depth:
        return (yield ctx.run(add, 0, 1))
    left = yield from deep(ctx, depth - 1)
    right = yield from deep(ctx, depth - 1)
    return (yield ctx.run(add, left, right))


def renamed(ctx):
    return (yield ctx.run(add, [1], [2]).options(name="join"))


def keyworded(ctx):
    return (yield ctx.run(add, a={"k": 1}["k"], b=2))


WORKFLOWS = [
    straight, delegating, looping, branching, forgiving, failing, raising, empty, deep, renamed, keyworded,
]  # fmt: skip


def executed(*args, **kwargs):
    raise SystemError("a cached step was executed")


def outcome(workflow, store, **options):
    try:
        return "returned", durproj.run("w/k", workflow, store=store, **options)
    except (StepFailed, KeyError) as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.__name__)
def test_running_a_workflow_again_executes_nothing_and_changes_nothing(workflow, tmp_path):
    store = tmp_path / "s.db"
    first = outcome(workflow, store)
    before = journals(store)
    rows = {name: rows for name, rows in tables(store).items() if name in {"step", "segment"}}

    for _ in range(3):
        assert outcome(workflow, store) == first
    # Not even a function that could no longer run is missed, for none is called.
    codes = {fn: fn.__code__ for fn in (add, boom)}
    try:
        for fn in codes:
            fn.__code__ = executed.__code__
        assert outcome(workflow, store, accept_functions=True) == first
    finally:
        for fn, code in codes.items():
            fn.__code__ = code
    assert journals(store) == before
    again = tables(store)
    assert {name: again[name] for name in rows} == rows


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.__name__)
@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_workflow_crashed_at_any_write_ends_as_if_it_had_not(workflow, durability, tmp_path):
    whole = tmp_path / "whole.db"
    expected = outcome(workflow, whole, durability=durability)
    points = range(0, 2000, 41 if workflow is looping else 3 if workflow is deep else 1)
    for at in points:
        store = tmp_path / f"{at}.db"
        with dying(at) as died:
            with suppress(Died):
                outcome(workflow, store, durability=durability)
            reached = died.points
        settled = journals(store)["w/k"]["records"] if journals(store) else []
        assert outcome(workflow, store) == expected
        assert journals(store) == journals(whole)
        assert journals(store)["w/k"]["records"][: len(settled)] == settled
        if reached <= at:
            return
    raise AssertionError("no end of crash points")


EVENTS = [(f"u{i * i % 3}", i) for i in range(8)]
LAYOUTS = {"one stream": [("u0", i) for i in range(6)], "many streams": EVENTS}


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tail", [0, 3])
def test_a_fold_crashed_at_any_write_ends_as_if_it_had_not(
    layout, durability, tail, tmp_path, monkeypatch
):
    """With a tail: the crash hits a run over a log that was appended to."""
    monkeypatch.chdir(tmp_path)
    events = LAYOUTS[layout]
    log = Path("log")
    keys = ["u0"] if layout == "one stream" else None

    def fold(store):
        return durproj.fold(log, reducer=trail, store=store, durability=durability, keys=keys)

    def begin(store):
        if tail:
            write(log, events[:-tail])
            fold(store)
        write(log, events)

    begin("whole.db")
    fold("whole.db")
    whole = journals(Path("whole.db"))
    for at in range(2000):
        store = f"{at}.db"
        begin(store)
        with dying(at) as died:
            with suppress(Died):
                fold(store)
            reached = died.points
        settled = journals(Path(store))
        for id, journal in settled.items():
            assert journal["records"] == whole[id]["records"][: len(journal["records"])]
        counts = durproj.resume(store=store)
        done = counts.projections or reached <= at
        if not done:
            # It died before the run was in the store: there was nothing to resume.
            assert counts.executed == 0
            fold(store)
        assert journals(Path(store)) == whole
        assert fold(store).executed == 0
        if reached <= at:
            return
    raise AssertionError("no end of crash points")


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_write_that_fails_once_damages_nothing(layout, durability, tmp_path, monkeypatch):
    """The disk is full for one moment only: the run stops, and what it left can be gone on with."""
    monkeypatch.chdir(tmp_path)
    write(Path("log"), LAYOUTS[layout])

    def fold(store):
        return durproj.fold("log", reducer=trail, store=store, durability=durability)

    fold("whole.db")
    whole = journals(Path("whole.db"))
    for at in range(2000):
        store = f"{at}.db"
        error = None
        with dying(at, durproj.StoreError, mends=True) as died:
            try:
                fold(store)
            except durproj.StoreError as met:
                error = met
            reached = died.points
        # What is reported is what happened, not what came of it.
        assert error is None or error.message == "at a write"
        fold(store)
        assert journals(Path(store)) == whole
        if reached <= at:
            return
    raise AssertionError("no end of write points")
