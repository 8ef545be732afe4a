"""What is wrong with a reducer is told by what it is; pure ones are never accused."""

from __future__ import annotations

import json
import time

import pytest

from durproj.crashing.lives.life import Lives
from durproj.crashing.purity.faults import EXECUTIONS, SHARE, SUSPECT, Faults
from durproj.crashing.servers import Servers
from durproj.runtime.observer import Stop

REDUCERS = """
import functools, itertools, os, random, time, uuid
from datetime import UTC, date, datetime, timedelta

calls = itertools.count()
own = random.Random(5)
last = {}
began = time.time()

def clock(state, event): return {"at": time.time()}
def day(state, event): return {"at": str(date.today())}
def now(state, event): return {"at": datetime.now(UTC).isoformat()}
def elapsed(state, event): return {"at": round(time.time() - began)}
def chance(state, event): return {"at": random.random()}
def dice(state, event): return {"at": random.choice("abcdefgh")}
def owned(state, event): return {"at": own.random()}
def ids(state, event): return {"at": str(uuid.uuid4())}
def address(state, event): return {"at": id(object())}
def pid(state, event): return {"at": os.getpid()}
def setting(state, event): return {"at": os.environ.get("CRASHTEST_SETTING")}
def zone(state, event): return {"at": datetime.fromtimestamp(86400).isoformat()}
def pairs(state, event): return {"tags": list({event.type + " on", event.type + " off"})}
def hashes(state, event): return {"at": hash(event.type)}
def names(state, event): return dict.fromkeys({"one", "two", "three", "four", event.type}, 1)
def rarely(state, event): return {"at": random.random() < 0.1}
def duration(state, event):
    start = time.perf_counter()
    return {"at": int(time.perf_counter() - start) > 0}
def half_hour(state, event): return {"at": datetime.now(UTC).minute // 30}
def half_day(state, event): return {"at": datetime.now().hour // 12}
def half_year(state, event): return {"at": (date.today().month - 1) // 6}
def weekend(state, event): return {"at": datetime.now(UTC).weekday() > 4}
def local(state, event): return {"at": datetime.fromtimestamp(86400 + time.time() * 0).isoformat()}
def counter(state, event): return {"at": next(calls)}
def memory(state, event):
    before, last[event.key] = last.get(event.key), event.id
    return {"at": before}
def default(state, event, seen=[]):
    seen.append(event.id)
    return {"at": len(seen)}
def failing(state, event):
    if next(calls) % 2:
        raise ValueError("every other time")
    return {"at": 1}
def in_place(state, event):
    state["n"] = state.get("n", 0) + 1
    return state
def deep(state, event):
    state.setdefault("tags", []).append(event.type)
    return {**state}
def touching(state, event):
    event.data["seen"] = True
    return {"n": 1}
def in_body(state, event):
    event.body["seen"] = True
    return {"n": 1}
def retyped(state, event):
    event.type = "X"
    return {"n": 1}
def real_clock(state, event): return {"at": int(time.clock_gettime(time.CLOCK_REALTIME))}
def own_time(state, event): return {"at": time.process_time() + time.thread_time_ns()}

def same(state, event): return state
def copied(state, event):
    made = json_copy(state)
    made["n"] = made.get("n", 0) + 1
    return made
def json_copy(state):
    import copy
    return copy.deepcopy(state)
@functools.cache
def slow(name): return len(name)
def cached(state, event): return {"n": state.get("n", 0) + slow(event.type)}
def timed(state, event):
    time.perf_counter(), datetime.now(), random.random(), id(state), hash(event.type)
    return {"n": state.get("n", 0) + 1}
def seeded(state, event): return {"at": random.Random(event.id).random()}
def members(state, event): return {"tags": sorted({*state.get("tags", []), event.type})}
def within(state, event): return {"n": event.type in {"T", "U"}}
def dates(state, event):
    moment = datetime.fromtimestamp(86400, UTC) + timedelta(days=1)
    assert isinstance(moment, datetime) and isinstance(moment, date)
    return {"at": moment.isoformat(), "d": str(date(2026, 1, 2)), "p": str(datetime.strptime("2026", "%Y"))}
def aged(state, event): return {"days": (date(2026, 3, 1) - date.fromisoformat("2026-01-01")).days}
class Day(date): pass
class Moment(datetime, Day): pass
def derived(state, event):
    made = Moment(2026, 1, 2, 3), Moment.fromtimestamp(86400, UTC), Day(2026, 1, 2)
    assert [type(each) for each in made] == [Moment, Moment, Day]
    assert isinstance(made[0], datetime) and not isinstance(datetime(2026, 1, 1), Moment)
    assert issubclass(Moment, datetime) and not issubclass(date, datetime) and not issubclass(Day, Moment)
    return {"at": [str(each) for each in made]}
def encoded(state, event):
    import copy, orjson, pickle
    made = datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), datetime.fromisoformat("2026-01-02")
    assert pickle.loads(pickle.dumps(made)) == made == copy.deepcopy(made)
    return {"at": orjson.dumps(made).decode(), "now": type(datetime.now()).__name__}
def typed(state, event):
    import functools
    shown = {datetime: "moment", date: "day", str: "text"}
    @functools.singledispatch
    def told(value): return "?"
    told.register(datetime)(lambda value: "dispatched")
    made = datetime(2026, 1, 2), date(2026, 1, 2), datetime.now()
    assert [type(each) == kind for each, kind in zip(made, (datetime, date, date))] == [True, True, False]
    assert datetime != date and type(Moment(2026, 1, 2)) not in shown
    return {"at": [shown[type(each)] for each in made] + [told(made[0]), told(made[1])]}
def converted(state, event):
    import msgspec
    moment, day = msgspec.convert("2026-01-02T03:04:05Z", datetime), msgspec.convert("2026-01-02", date)
    assert type(moment) is type(datetime.now()) is type(datetime.today()) is datetime
    assert type(day) is type(date.today()) is date and type(Day.today()) is Day
    return {"at": [str(moment), str(day)]}
def waiting(state, event):
    import asyncio, threading
    if event.id != "e7":
        return state
    asyncio.run(asyncio.sleep(0.005))
    until = time.monotonic() + 0.02
    while time.monotonic() < until:
        time.sleep(0.01)
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        threading.Event().wait(0.0001)
    return {"n": 1}
TOGETHER = (
    copied, cached, timed, seeded, members, within, dates, aged, derived, encoded, typed, converted
)
def together(state, event):
    return {each.__name__: each(state.get(each.__name__, {}), event) for each in TOGETHER}
def numbers(state, event): return {"x": state.get("x", 0.0) + 0.1}
def rejecting(state, event):
    if event.type == "V":
        raise ValueError("no V")
    return {"n": 1}
"""
IMPURE = {
    **dict.fromkeys(
        [
            "clock",
            "day",
            "now",
            "elapsed",
            "duration",
            "half_hour",
            "half_day",
            "half_year",
            "weekend",
            "local",
            "real_clock",
            "own_time",
        ],
        "clock",
    ),
    **dict.fromkeys(["chance", "dice", "rarely"], "random"),
    **dict.fromkeys(["ids", "pid"], "outside"),
    "address": "process",
    **dict.fromkeys(["counter", "memory", "default", "failing", "owned"], "memory"),
    **dict.fromkeys(["pairs", "hashes", "names"], "order"),
    **dict.fromkeys(["in_place", "deep", "touching", "in_body", "retyped"], "mutation"),
    "setting": "environment",
    "zone": "zone",
}
PURE = ["same", "together", "numbers", "waiting", "rejecting", "account", "counts", "merge"]
CALLS = {
    "clock": "the clock",
    "chance": "random.random",
    "dice": "random.choice",
    "ids": "uuid.uuid4",
    "address": "id",
    "counter": "next",
    "hashes": "hash",
}


VARIABLES = {
    "CRASHTEST_SETTING": "seven",
    **dict.fromkeys(("CRASHTEST_NEEDED", "USER", "LANG"), "1.5"),
}


@pytest.fixture(scope="module")
def servers():
    """The processes that all is executed in forks of; the environment has VARIABLES."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        with Servers(Stop(), time.monotonic() + 3600) as servers:
            servers.begin()
            yield servers


@pytest.fixture(scope="module")
def lab(servers, tmp_path_factory):
    """What is wrong with a reducer of the file, over a log of two streams."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "r.py").write_text(REDUCERS)
    lines = [
        {"key": "ab"[n % 2], "type": "TUVW"[n % 4], "id": f"e{n}", "data": {"n": n}}
        for n in range(8)
    ]
    log = folder / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def faults(reducer, *, mutation=True):
        within = tmp_path_factory.mktemp(reducer)
        options = {
            **dict.fromkeys(("keys", "initial", "no_key", "order", "dedupe")),
            "events": [str(log)],
            "mapping": {},
            "on_error": "skip",
            "reducer": reducer
            if reducer in ("account", "counts", "merge")
            else f"{folder}/r.py:{reducer}",
        }
        store = Lives(servers, within, options).begin("step")
        found = Faults(servers, store, mutation=mutation)
        records = list(found.found())
        assert found.lacks == []
        return records

    return faults


@pytest.mark.parametrize("reducer", IMPURE)
def test_what_is_wrong_is_told_by_what_it_is(lab, reducer):
    faults = lab(reducer)
    assert [fault["kind"] for fault in faults] == [IMPURE[reducer]]
    (fault,) = faults
    assert (fault["type"], fault["id"][:11]) == ("fault", "projection/")
    assert fault["event"]["type"] in "TUVW"
    assert fault["message"]
    assert fault["advice"]
    if reducer == "failing":
        assert "failed with ValueError: every other time" in fault["reason"]
    elif reducer == "names":
        assert fault["reason"] == "the fields of an object come in another order"
    else:
        assert fault["changes"]
    if IMPURE[reducer] in ("clock", "random", "process", "outside"):
        (change,) = fault["changes"]
        assert change["path"] == "at"
        assert change["old"] != change["new"]
    if reducer in CALLS:
        assert fault["calls"][0].startswith(f"{CALLS[reducer]} (r.py:")


@pytest.mark.parametrize("reducer", PURE)
def test_a_pure_reducer_is_accused_of_nothing(lab, reducer):
    assert lab(reducer) == []


def test_a_state_that_is_changed_in_place_can_be_accepted(lab):
    assert lab("in_place", mutation=False) == []


def looked_into(servers, folder, source, events=2):
    """The records and the lacks of a reducer of a file of its own."""
    (folder / "own.py").write_text(source)
    (folder / "log.jsonl").write_text(
        "".join(f'{{"type":"T","id":"e{n}"}}\n' for n in range(events))
    )
    options = {
        **dict.fromkeys(("keys", "initial", "no_key", "order", "dedupe")),
        "events": [str(folder / "log.jsonl")],
        "mapping": {},
        "on_error": "stop",
        "reducer": f"{folder}/own.py:own",
    }
    faults = Faults(servers, Lives(servers, folder, options).begin("step"), mutation=True)
    return list(faults.found()), faults.lacks


@pytest.mark.parametrize(
    ("source", "effects"),
    [
        (
            """
def own(state, event):
    with open("/dev/null", "w") as file:
        file.write("x")
    subprocess.run(["true"], check=True)
    return {"n": 1}
""",
            {"opens /dev/null", "starts a process"},
        ),
        (
            """
@functools.cache
def rates(): return pathlib.Path("/dev/null").read_text()
def own(state, event): return {"n": rates()}
""",
            {"opens /dev/null"},
        ),
        (
            'rates = pathlib.Path("/dev/null").read_text()\ndef own(s, e): return {"n": rates}',
            {"opens /dev/null"},
        ),
        (
            'def own(s, e): return {"n": len(os.listdir("/")) + len(list(os.scandir()))}',
            {"lists /", "lists ."},
        ),
    ],
)
def test_what_a_reducer_does_besides_is_a_warning(servers, tmp_path, source, effects):
    imports = "import functools, os, pathlib, subprocess\n"
    (warning,), lacks = looked_into(servers, tmp_path, imports + source)
    assert (warning["type"], lacks) == ("warning", [])
    assert effects <= set(warning["effects"])


def test_what_an_import_opens_is_no_effect_of_the_reducer(servers, tmp_path):
    (tmp_path / "beside.py").write_text("def text(value): return str(value)\n")
    source = f"""
import decimal, msgspec, re, sys, traceback
from datetime import datetime
sys.path.insert(0, {str(tmp_path)!r})
import beside
def own(state, event):
    import colorsys, importlib.metadata, zoneinfo
    try:
        raise ValueError
    except ValueError:
        traceback.format_exc()
    importlib.metadata.version("msgspec")
    zone = zoneinfo.ZoneInfo("Europe/Istanbul")
    return {{"n": beside.text(datetime(2026, 1, 2, tzinfo=zone))}}
"""
    assert looked_into(servers, tmp_path, source) == ([], [])


def test_what_does_not_hold_still_is_one_fault(servers, tmp_path):
    source = f"""
import pathlib, subprocess
count = pathlib.Path({str(tmp_path / "count")!r})
with count.open("a") as file:
    file.write("x")
def own(state, event): return {{"n": len(count.read_text()) // 4}}
"""
    records, lacks = looked_into(servers, tmp_path, source)
    assert [record.get("kind") for record in records] == [None, "outside"]
    assert lacks == []


def test_what_could_not_be_checked_is_said_once(servers, tmp_path):
    source = """
import random, time
held = type(time.time) is not type(len)
if held and random.random() != random.Random(0).random():
    raise ValueError("no luck")
def own(state, event): return {"n": 1}
"""
    records, lacks = looked_into(servers, tmp_path, source)
    (lack,) = lacks
    assert lack.startswith(
        "could not check whether it depends on random numbers: its reducer cannot"
    )
    assert records == []


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (
            'rate = float(os.environ["CRASHTEST_NEEDED"])\ndef own(s, e): return {"n": rate}',
            "fault",
        ),
        ('rate = float(os.environ["CRASHTEST_NEEDED"])\ndef own(s, e): return {"n": 1}', None),
        (
            'assert os.environ["CRASHTEST_NEEDED"] == "1.5"\ndef own(s, e): return {"n": 1}',
            "warning",
        ),
        ('def own(s, e): return {"n": os.environ["USER"]}', "fault"),
        ('def own(s, e): return {"n": os.environ["LANG"]}', "fault"),
    ],
)
def test_a_variable_that_an_import_needs_is_no_fault_by_itself(servers, tmp_path, source, kind):
    records, lacks = looked_into(servers, tmp_path, f"import os\n{source}\n")
    assert [record["type"] for record in records] == ([kind] if kind else [])
    assert all(record.get("kind", "environment") == "environment" for record in records)
    assert lacks == []


def test_what_fails_only_when_it_is_looked_into_is_not_called_pure(servers, tmp_path):
    source = """
import time
real = type(time.time) is type(len)
def own(state, event):
    if not real:
        raise TypeError("no clock of mine")
    return {"n": 1}
"""
    records, lacks = looked_into(servers, tmp_path, source)
    assert (records, lacks) == (
        [], [f"projection/all#0 could not be probed{SUSPECT}: TypeError: no clock of mine"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "takes", "seen", "left_out"),
    [
        (3, 1000.0, 3, []),
        (30, 1000.0, 30, []),
        (100, 0.01, 100, []),
        (100, 1.0, 50, ["one in 2 of 100 steps was looked into: more do not fit into the time"]),
        (100, 1000.0, 20, ["one in 5 of 100 steps was looked into: more do not fit into the time"]),
    ],
)
def test_fewer_of_many_steps_are_executed_where_the_probes_would_take_half_of_the_time(
    servers, tmp_path, monkeypatch, steps, takes, seen, left_out
):
    (tmp_path / "r.py").write_text("def count(state, event): return {'n': state.get('n', 0) + 1}\n")
    (tmp_path / "log.jsonl").write_text('{"type":"T"}\n' * steps)
    options = {
        **dict.fromkeys(("keys", "initial", "no_key", "order", "dedupe")),
        "events": [str(tmp_path / "log.jsonl")],
        "mapping": {},
        "on_error": "stop",
        "reducer": f"{tmp_path}/r.py:count",
    }
    store = Lives(servers, tmp_path, options).begin("step")
    faults = Faults(servers, store, mutation=True)
    monkeypatch.setattr("durproj.crashing.purity.faults.LEAST", 20)
    plain = Servers.ask
    # At a second each they would take twice the half of it, whatever the clock on the wall says.
    monkeypatch.setattr(Servers, "left", lambda _: EXECUTIONS / SHARE / 2 * 1.01)
    monkeypatch.setattr(
        Servers, "ask", lambda self, *args, **task: plain(self, *args, **task) | {"seconds": takes}
    )
    assert list(faults.found()) == []
    assert (faults.seen, faults.uncovered, faults.lacks) == (seen, left_out, [])


def test_what_a_reducer_does_at_the_last_step_only_is_a_warning(servers, tmp_path):
    source = """
def own(state, event):
    if event.id == "e8":
        open("/dev/null").close()
    return {"n": 1}
"""
    (warning,), _ = looked_into(servers, tmp_path, source, events=9)
    assert "opens /dev/null" in warning["effects"]
