"""`durproj crashtest` as its users run it."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from inspect import signature
from xml.etree import ElementTree as ET

import pytest
from conftest import environment

import durproj as library
from durproj.cli.crashtest import crashtest as command
from durproj.cli.verdicts import cases_of, verdict
from durproj.crashing.job import Job
from durproj.crashing.lives.life import Lived, Lives
from durproj.crashing.purity.faults import Faults
from durproj.crashing.servers import Servers, TimeUp
from durproj.errors import Rewritten, StoreError, UsageError
from durproj.render import safe
from durproj.runtime.observer import Stop

REDUCERS = """
import os, signal, sys, time, traceback
def count(state, event):
    return {"n": state.get("n", 0) + 1, "last": event.id}
def clock(state, event):
    return {"n": state.get("n", 0) + 1, "at": time.time()}
def poisoned(state, event):
    if event.id == "e3":
        raise ValueError("poison")
    return count(state, event)
def both(state, event):
    import random
    return clock(state, event) | {"random": random.random()}
def late(state, event):
    return clock(state, event) if event.id == "e31" else count(state, event)
def thief(state, event):
    import gc
    from durproj.stores.sqlite import SqliteStore
    if event.id == "e4":
        for store in gc.get_objects():
            if isinstance(store, SqliteStore):
                store._conn.execute("DELETE FROM step WHERE step = 0")
    return count(state, event)
seen = []
def middle(state, event):
    if event.id in ("e25", "e28", "e31", "e34"):
        seen.append(event.id)
        return {"seen": len(seen)}
    return count(state, event)
def writing(state, event):
    open("/dev/null", "w").close()
    return clock(state, event)
def uncompared(state, event):
    frame = sys._getframe()
    while frame := frame.f_back:
        if frame.f_code.co_name == "_verify":
            os.kill(os.getpid(), signal.SIGKILL)
    return count(state, event)
def hashing(state, event):
    return {"hash": hash("a")}
def forking(state, event):
    if event.id == "e2" and os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    return count(state, event)
def stuck(state, event):
    if event.id == "e3":
        open("is-stuck", "w").close()
        time.sleep(600)
    return count(state, event)
def leaving(state, event):
    os._exit(0)
def lonely(state, event):
    os.kill(os.getppid(), 9)
def remembering(state, event):
    seen.append(event.id)
    return {"seen": len(seen)}
def growing(state, event):
    # While the log is folded without a store, an event comes to it.
    frame = sys._getframe()
    while frame := frame.f_back:
        if frame.f_code.co_name == "_verify" and not os.path.exists("grown"):
            open("grown", "w").close()
            with open("log.jsonl", "a") as log:
                log.write('{"key":"a","type":"T","id":"e5"}\\n')
    return count(state, event)
def dawdling(state, event):
    return (hanging if "_verify" in {f.name for f in traceback.extract_stack()} else count)(state, event)
def hanging(state, event):
    open("pid", "w").write(str(os.getpid()))
    time.sleep(600)
"""
STEP = ["--durability", "step"]
FEW = [*STEP, "--seeds", "0"]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""Settings with which Python takes files for ASCII."""
HOSTILE = "\xad\x7f\x85\u202e##[x]\U000e0041 '\\\n\"$é\u200d."


@pytest.fixture
def lab(durproj):
    """The command line, in a folder with a log and reducers, and one for what is temporary."""
    (durproj.folder / "r.py").write_text(REDUCERS)
    (durproj.folder / "tmp").mkdir()
    log = [{"key": "ab"[n % 2], "type": "T", "id": f"e{n}"} for n in range(5)]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))

    def run(*args, env=None, **how):
        return durproj(*args, env={"TMPDIR": str(durproj.folder / "tmp")} | (env or {}), **how)

    run.folder = durproj.folder
    run.left = lambda: list((durproj.folder / "tmp").iterdir())
    return run


def shorten(lab, lines):
    """Leave the log so many of its lines."""
    log = lab.folder / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:lines]))


def test_a_log_survives_everything_and_nothing_is_left(lab):
    shorten(lab, 2)
    done = lab("crashtest", "log.jsonl", "--reducer", "r.py:count", *STEP, "--seeds", "1", "--json")
    assert (done.code, done.err) == (0, "")
    *kinds, summary = done.json
    assert [record["type"] for record in kinds] == ["crashes"] * 6
    assert {record["kind"] for record in kinds} == {
        *("before", "after", "twice", "backoff", "race", "random")
    }
    assert all(record["lives"] == record["survived"] == record["planned"] > 0 for record in kinds)
    assert summary["crashes"] == sum(record["kills"] for record in kinds) > 20
    assert (summary["projections"], summary["events"], summary["probed"]) == (2, 2, 2)
    assert (summary["complete"], summary["exit"]) == (True, 0)
    assert "seconds" in summary["timing"]
    assert lab.left() == []
    assert not (lab.folder / "durproj.db").exists()


def test_one_life_is_the_same_again(lab):
    first, second = (
        lab("crashtest", "log.jsonl", *STEP, "--seed", "4", "--json", "--stable") for _ in range(2)
    )
    assert first.out == second.out
    assert first.json[0]["planned"] == 1
    done = lab("crashtest", "--seed", "step:before@3+after@1", "--json", "--stable")
    assert done.json[0] == {
        "type": "crashes", "kind": "twice", "planned": 1, "lives": 1, "kills": 2, "survived": 1,
        "unstruck": 0,
    }  # fmt: skip


def test_a_reducer_that_is_not_pure_is_told_and_a_line_does_it_again(lab):
    args = ["log.jsonl", "--reducer", "r.py:clock", *STEP, "--junit", "x.xml"]
    done = lab("crashtest", *args)
    assert done.code == 1
    lines = done.out.split("\n")
    assert lines[0].startswith("impure  projection/a#0  T e0  at ")
    assert "the reducer is not pure: it goes by the clock" in lines[1]
    assert lines[2].startswith("  it calls the clock (r.py:")
    (again,) = [line for line in lines if line.startswith("  again: ")]
    assert cases(lab) == [("pure", "failure"), *ALL]
    (kept,) = lab.left()
    words = shlex.split(again.removeprefix("  again: durproj "))
    log = kept / "smallest.jsonl"
    assert str(log) in words
    assert log.read_text().count("\n") == 1
    repeated = lab(*words, *STEP, "--json")
    assert repeated.code == 1
    assert [record["kind"] for record in repeated.json if record["type"] == "fault"] == ["clock"]


def test_a_reducer_that_does_something_besides_is_shrunk_too(lab):
    done = lab("crashtest", "log.jsonl", "--reducer", "r.py:writing", *STEP, "--json")
    assert (done.code, done.err) == (1, "")
    warning, fault, again, _ = done.json
    assert (warning["type"], fault["kind"]) == ("warning", "clock")
    assert "smallest.jsonl" in again["reproduce"]


def test_junit_has_a_case_for_the_reducer_and_each_kind_of_crash(lab):
    (lab.folder / "few.jsonl").write_text('{"type":"T","id":"e0"}\n')
    done = lab("crashtest", "few.jsonl", "--reducer", "r.py:count", *FEW, "--junit", "x.xml")
    assert done.code == 0
    assert [line.split("  ")[0] for line in done.out.split("\n")[:5]] == [
        *("before a commit", "after a commit", "twice in a row", "in back-off", "with two runners")
    ]
    assert "survived" in done.out.split("\n")[5]
    root = ET.parse(lab.folder / "x.xml").getroot()
    cases = [(case.attrib["classname"], case.attrib["name"]) for case in root.iter("testcase")]
    assert cases[:2] == [("reducer", "pure"), ("crash", "before a commit")]
    assert len(cases) == 7
    assert root.attrib["failures"] == root.attrib["errors"] == "0"


NOT_LIVED = [
    (kind, "skipped")
    for kind in ("twice in a row", "in back-off", "with two runners", "at random instants")
]
"""The cases of the kinds of crash that nothing was killed by."""
ALL = [("before a commit", "skipped"), ("after a commit", "skipped"), *NOT_LIVED]


def cases(lab):
    """How each case of a report ended, in order; its numbers are right."""
    root = ET.parse(lab.folder / "x.xml").getroot()
    ended = [(case.attrib["name"], *(each.tag for each in case)) for case in root.iter("testcase")]
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(root.attrib[name]) == sum(tag in case for case in ended)
    return ended


def test_junit_says_that_a_reducer_was_not_looked_into_and_a_kind_not_lived(lab):
    done = lab("crashtest", "log.jsonl", "--seed", "step:after@3", "--junit", "x.xml")
    assert done.code == 0
    assert cases(lab) == [
        ("pure", "skipped"),
        ("before a commit", "skipped"),
        ("after a commit",),
        *NOT_LIVED,
    ]
    lab("crashtest", "log.jsonl", "--seed", "step:after@999", "--junit", "x.xml")
    assert cases(lab) == [("pure", "skipped"), *ALL, ("enough", "error")]
    lab("crashtest", "log.jsonl", "--seconds", "0.001", "--junit", "x.xml")
    assert cases(lab) == [("pure", "skipped"), *ALL, ("enough", "error")]


def test_junit_has_all_faults_of_a_reducer_in_one_case(lab):
    done = lab("crashtest", "log.jsonl", "--reducer", "r.py:both", *STEP, "--junit", "x.xml")
    assert done.code == 1
    assert cases(lab) == [("pure", "failure"), *ALL]
    (failure,) = ET.parse(lab.folder / "x.xml").getroot().iter("failure")
    for found in ("goes by the clock", "goes by random numbers", "  again: durproj crashtest "):
        assert failure.text.count(found) == 1


def test_junit_has_a_case_for_the_cause_of_what_was_lost(lab):
    args = ["log.jsonl", "--reducer", "r.py:remembering", "--seed", "step:after@3"]
    lab("crashtest", *args, "--junit", "x.xml")
    assert cases(lab) == [
        ("pure", "failure"),
        ("before a commit", "skipped"),
        ("after a commit", "failure"),
        *NOT_LIVED,
    ]
    failure, _ = ET.parse(lab.folder / "x.xml").getroot().iter("failure")
    assert failure.attrib["message"].startswith("  the cause is the reducer: executed alone")


@pytest.mark.parametrize(
    ("cause", "ended"), [("durproj", []), ("the reducer", ["failure"]), ("unknown", ["skipped"])]
)
def test_junit_passes_no_kind_that_was_not_lived_and_no_reducer_that_may_be_the_cause(cause, ended):
    lived = {
        "type": "crashes",
        "kind": "before",
        "planned": 9,
        "lives": 3,
        "kills": 3,
        "survived": 3,
        "unstruck": 0,
    }
    records = [
        lived,
        lived | {"kind": "after", "lives": 0, "kills": 0, "survived": 0},
        lived | {"kind": "twice", "survived": 2},
        {
            "type": "failure",
            "kind": "twice",
            "seed": None,
            "id": "projection/a",
            "changes": [],
            "differs": "it is another state",
            "cause": cause,
            "calls": ["next"],
            "step": 1,
        },
        {"type": "summary", "exit": 1, "probed": 5},
    ]
    assert [(case.name, *filter(None, [case.outcome])) for case in cases_of(records)] == [
        ("pure", *ended),
        ("before a commit",),
        ("after a commit", "skipped"),
        ("twice in a row", "failure"),
        *NOT_LIVED[1:],
    ]


@pytest.mark.parametrize(("lives", "kinds_missing"), [(12, False), (6, True)])
def test_it_stops_in_good_order_when_the_time_is_over(lab, monkeypatch, lives, kinds_missing):
    later = 0.0

    class Clock:
        @staticmethod
        def monotonic():
            return time.monotonic() + later

    def pass_time(_lived, _planned):
        nonlocal later
        later += 1000.0

    monkeypatch.setattr("durproj.crashing.servers.time", Clock)
    monkeypatch.chdir(lab.folder)
    *_, summary = library.crashtest("log.jsonl", seconds=lives * 1000 - 500, progress=pass_time)
    assert (summary["lives"], summary["survived"], summary["complete"]) == (lives, lives, False)
    assert summary["planned"] > 60
    assert summary["exit"] == kinds_missing
    (lack,) = summary["uncovered"]
    assert ("before (batch)" in lack) is kinds_missing


def test_where_nothing_was_killed_nothing_is_proved(lab):
    done = lab("crashtest", "log.jsonl", "--seed", "step:before@9999", "--junit", "x.xml")
    assert done.code == 1
    assert "0 of 0 survived  (1 more without a crash)" in done.out
    assert "nothing was killed: step:before@9999 is not a moment of this run" in done.out
    (error,) = ET.parse(lab.folder / "x.xml").getroot().iter("error")
    assert "is not a moment" in error.text


def test_a_life_of_two_kills_of_which_one_struck_is_not_killed_twice(lab, monkeypatch):
    monkeypatch.chdir(lab.folder)
    how = {"reducer": "r.py:count", "seed": "step:after@3+after@9999"}
    *_, summary = library.crashtest("log.jsonl", **how)
    assert (summary["crashes"], summary["survived"], summary["exit"]) == (1, 1, 1)
    assert summary["uncovered"] == ["these kinds of crash never happened as planned: twice (step)"]


def test_a_kind_of_crash_that_never_struck_is_told_though_others_survived(lab, monkeypatch):
    def live(_, plan):
        return Lived(0 if plan.in_backoff is not None else len(plan.kills))

    monkeypatch.setattr(Lives, "live", live)
    monkeypatch.chdir(lab.folder)
    (lab.folder / "few.jsonl").write_text('{"type":"T","id":"e0"}\n')
    how = {"reducer": "r.py:count", "durability": ["step"], "seeds": 0}
    *_, summary = library.crashtest("few.jsonl", **how)
    assert (summary["lives"], summary["unstruck"], summary["exit"]) == (summary["planned"], 1, 1)
    (lack,) = summary["uncovered"]
    assert lack.endswith("never happened as planned: backoff (step)")


def test_the_fold_without_a_store_has_another_hash_seed(lab):
    args = ["--reducer", "r.py:hashing", "--seed", "1", "--durability", "fsync"]
    done = lab("crashtest", "log.jsonl", *args, "--json")
    failure, again, _ = done.json
    assert (done.code, failure["kind"], failure["cause"]) == (1, "fold", "the reducer")
    assert again["reproduce"].endswith(" --durability fsync")


def test_a_key_is_read_back_whatever_the_locale_is(lab):
    (lab.folder / "log.jsonl").write_text('{"key":"é","type":"T"}\n', encoding="utf-8")
    done = lab("crashtest", "log.jsonl", "--seed", "step:after@3", env=ASCII)
    assert (done.code, done.err) == (0, "")


def test_what_a_reducer_forks_may_live_on(lab):
    args = ["--reducer", "r.py:forking", "--durability", "step", "--seed", "step:after@8"]
    done = lab("crashtest", "log.jsonl", *args, "--json")
    assert (done.code, done.json[-1]["survived"]) == (0, 1), done.out


@pytest.mark.parametrize("level", ["step", "batch"])
def test_of_a_reducer_that_does_not_end_the_step_is_named(lab, monkeypatch, level):
    class Clock:
        @staticmethod
        def monotonic():
            return time.monotonic() + 1000.0 * (lab.folder / "is-stuck").exists()

    monkeypatch.setattr("durproj.crashing.servers.time", Clock)
    monkeypatch.chdir(lab.folder)
    how = {"reducer": "r.py:stuck", "durability": [level], "seconds": 900}
    (summary,) = library.crashtest("log.jsonl", **how)
    said = "step 1 of the stream b did not end: give it more time: --seconds"
    assert (summary["exit"], summary["uncovered"]) == (1, [said])


def test_a_comparison_that_died_has_found_nothing_sound(lab):
    args = ["--reducer", "r.py:uncompared", "--durability", "step", "--seed", "step:after@1"]
    done = lab("crashtest", "log.jsonl", *args, "--json")
    summary = done.json[-1]
    assert (done.code, summary["survived"], summary["complete"]) == (1, 1, False)
    (lack,) = summary["uncovered"]
    assert lack == (
        "a run could not be compared with what the log folds to: the fold without a store"
        " is ended by signal 9 from elsewhere (out of memory, or the reducer?)"
    )


def test_too_little_time_is_no_success(lab):
    done = lab("crashtest", "log.jsonl", "--seconds", "0.001", "--json")
    (summary,) = done.json
    assert (done.code, summary["lives"], summary["exit"]) == (1, 0, 1)
    assert summary["uncovered"] == [
        "time ran out before anything could be crashed: give it more time: --seconds"
    ]


@pytest.fixture(params=["jsonl", "csv", "array"])
def long_log(request, lab, monkeypatch):
    """A log of three streams that does not fit into the time, and how it is read."""
    monkeypatch.setattr("durproj.crashing.sample.RUNS", 10**9)
    monkeypatch.chdir(lab.folder)
    rows = [{"user": "abc"[n % 3], "type": "T", "id": f"e{n}"} for n in range(60)]
    if request.param == "csv":
        text = "user,type,id\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    elif request.param == "array":
        text = json.dumps(rows)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
    (lab.folder / "long.log").write_text(text)
    return library.Mapping(key="user", format=None if request.param == "jsonl" else request.param)


def test_of_a_log_that_is_too_long_parts_from_all_over_are_crashed(long_log):
    told = library.crashtest(
        "long.log", reducer="r.py:count", seed="step:after@3", mapping=long_log
    )
    sample, _, summary = told
    starts = ("a", 0), ("a", 14), ("b", 8), ("c", 2), ("c", 16)
    assert sample == {
        "type": "sample", "events": 20, "of": 60, "beyond": False,
        "parts": [{"id": f"projection/{key}", "step": step, "events": 4} for key, step in starts],
    }  # fmt: skip
    assert (summary["events"], summary["of"], summary["projections"]) == (20, 60, 3)
    assert (summary["survived"], summary["exit"], summary["complete"]) == (5, 0, False)
    assert summary["uncovered"] == ["20 of 60 events were tested: there was no time for more"]
    first, second = ("".join(text for text, _ in line) for line in verdict(sample))
    assert first.startswith("sample  20 of 60 events, in 5 parts from all over it, each tested")
    assert second.startswith("  from projection/a#0, projection/a#14, projection/b#8")


@pytest.mark.parametrize("long_log", ["csv"], indirect=True)
def test_what_goes_wrong_in_the_middle_only_is_found_there(lab, long_log):
    told = library.crashtest(
        "long.log", reducer="r.py:middle", seed="step:after@3", mapping=long_log, keep="here"
    )
    _, _, failure, again, _ = told
    assert failure["part"] == {"id": "projection/b", "step": 8, "events": 4}
    assert (failure["cause"], failure["id"]) == ("the reducer", "projection/b")
    lines = ["".join(text for text, _ in line) for line in verdict(failure)]
    assert "  in the part that begins with projection/b#8: that is its step 0" in lines
    words = shlex.split(again["reproduce"])[1:]
    assert words[words.index("--initial") + 1] == '{"n":8,"last":"e22"}'
    repeated = lab(*words, "--json")
    assert repeated.code == 1
    assert [record["type"] for record in repeated.json[:2]] == ["crashes", "failure"]
    assert "part" not in repeated.json[1]


@pytest.mark.parametrize("long_log", ["jsonl", "csv"], indirect=True)
def test_whatever_a_log_is_the_line_that_does_it_again_reads_what_it_became(lab, long_log):
    how = {"mapping": long_log, "durability": "step", "keep": "here"}
    told = library.crashtest("long.log", reducer="r.py:late", **how)
    fault, again, _ = told
    assert (fault["id"], fault["step"]) == ("projection/b", 10)
    (line,) = again["log"]
    assert json.loads(line) == {"user": "b", "type": "T", "id": "e31"}
    words = shlex.split(again["reproduce"])[1:]
    assert words[words.index("--initial") + 1] == '{"n":10,"last":"e28"}'
    (repeated, _, summary) = lab(*words, *STEP, "--json").json
    same = ("kind", "message", "changes", "event")
    assert [repeated[name] for name in same] == [fault[name] for name in same]
    assert (summary["events"], summary["faults"]) == (1, 1)


@pytest.mark.parametrize("size", [2000, 60_000])
def test_a_long_state_is_no_part_of_the_line_that_does_it_again(lab, size):
    (lab.folder / "big.py").write_text(
        "import time\n"
        "def big(state, event):\n"
        f'    if event.id == "e3": return {{"n": "é" * {size}, "at": time.time()}}\n'
        f'    return {{"n": "é" * {size}}}\n',
        encoding="utf-8",
    )
    (lab.folder / "two.jsonl").write_text('{"type":"T","id":"e1"}\n{"type":"T","id":"e3"}\n')
    args = ["two.jsonl", "--reducer", "big.py:big", *STEP, "--keep", "k", "--seconds", "600"]
    fault, again, _ = lab("crashtest", *args, "--json", env=ASCII).json
    assert fault["step"] == 1
    (folder,) = (lab.folder / "k").iterdir()
    if size == 2000:
        assert f'--initial "$(cat {folder}/initial.json)"' in again["reproduce"]
        assert len((folder / "initial.json").read_text(encoding="utf-8")) > size
    else:
        assert "--initial" not in again["reproduce"]
        assert len(again["log"]) == 2
    line = again["reproduce"].replace("durproj", f"{sys.executable} -m durproj", 1)
    done = subprocess.run(
        ["sh", "-c", f"{line} --durability step"],
        check=False,
        cwd=lab.folder,
        env=environment(),
        capture_output=True,
    )
    assert done.returncode == 1, done.stderr
    assert b"goes by the clock" in done.stdout


def in_bash(lab, line):
    """How a line that was printed ends in a shell, and what it prints."""
    line = line.replace("durproj", f"{shlex.quote(sys.executable)} -m durproj", 1)
    done = subprocess.run(
        ["bash", "-c", line], check=False, cwd=lab.folder, env=environment(), capture_output=True
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def hostile(lab, monkeypatch):
    """A reducer and a log whose key, name and states are HOSTILE, and what shows that the reducer is not pure."""
    monkeypatch.chdir(lab.folder)
    (lab.folder / "h.py").write_text(
        "import time\n"
        "def late(state, event):\n"
        '    return {"t": event.data["t"], "at": time.time() if event.id == "e1" else 0}\n'
    )
    lines = [{"key": HOSTILE, "type": "T", "id": f"e{n}", "t": HOSTILE} for n in range(2)]
    # A tab and a carriage return stand between what they hold, too.
    text = "".join(json.dumps(line, ensure_ascii=False) + "\t\r\n" for line in lines)
    (lab.folder / HOSTILE).write_text(text, encoding="utf-8")
    return {"reducer": "h.py:late", "keep": HOSTILE + "kept", "durability": "step"}


def test_a_state_and_events_that_cannot_be_shown_are_pasted_back_as_they_were(lab, hostile):
    fault, again, _ = library.crashtest(HOSTILE, **hostile)
    assert fault["step"] == 1
    shown, _, log = ("".join(text for text, _ in line) for line in verdict(again))
    assert (safe(shown), safe(log)) == (shown, log)
    (line,) = (lab.folder / HOSTILE).read_text(encoding="utf-8").split("\n")[1:2]
    assert json.loads(log.removeprefix("  log: ")) == json.loads(line)
    code, (repeated, *_) = in_bash(lab, f"{again['reproduce']} --durability step --json")
    same = ("kind", "message", "changes", "event")
    assert code == 1
    assert [repeated[name] for name in same] == [fault[name] for name in same]


def test_keys_and_paths_that_cannot_be_shown_are_pasted_back_as_they_were(
    lab, hostile, monkeypatch
):
    monkeypatch.setattr("durproj.crashing.job.Shrinking.of_fault", no_time)
    _, again, _ = library.crashtest(HOSTILE, keys=[HOSTILE], **hostile)
    line = again["reproduce"]
    assert (safe(line), "--user $'" in line) == (line, True)
    code, (*_, summary) = in_bash(lab, f"{line} --durability step --json")
    assert (code, summary["events"], summary["faults"]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("data", "log"),
    [
        ([b'{"id":1}', b'{"id":2}'], ['{"id":1}', '{"id":2}']),
        ([b'{"id":1}'] * 6, None),
        ([b'{"id":1,"n":"%b"}' % (b"n" * 70_000)], None),
    ],
    ids=["no newline", "many lines", "many bytes"],
)
def test_a_short_log_is_told_with_what_does_it_again(lab, monkeypatch, data, log):
    monkeypatch.setattr("durproj.crashing.job.Shrinking.of_fault", no_time)
    monkeypatch.chdir(lab.folder)
    (lab.folder / "in.jsonl").write_bytes(b"\n".join(data))
    with open("in.jsonl") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        _, again, _ = library.crashtest("-", reducer="r.py:clock", durability="step", keep="here")
    assert again.get("log") == log


def test_a_log_that_is_longer_than_could_be_looked_through_is_told(lab, monkeypatch):
    monkeypatch.setattr("durproj.crashing.sample.RUNS", 10**9)
    monkeypatch.chdir(lab.folder)
    plain = Lives.first

    def first(self, durability, most_s):
        store, answer = plain(self, durability, most_s)
        return store, answer | {"partial": True}

    monkeypatch.setattr(Lives, "first", first)
    sample, *_, summary = library.crashtest("log.jsonl", reducer="r.py:count", seed="step:after@1")
    assert (sample["beyond"], sample["of"]) == (True, 5)
    assert summary["uncovered"] == [
        "4 of the first 5 events were tested: there was no time for more"
    ]
    said = "".join(text for text, _ in next(verdict(sample)))
    assert said.startswith("sample  4 of the first 5 events, in 1 part")
    assert summary["beyond"]
    said = "".join(text for text, _ in next(verdict(summary | {"probed": 4})))
    assert said.startswith(
        "2 projections, 4 of the first 5 events: survived 1 crash; 4 of the first 5 steps"
    )


def no_time(*_, **_how):
    raise TimeUp


def test_what_was_found_is_told_though_the_time_is_over(lab, monkeypatch):
    plain = Faults.found

    def found(self):
        yield next(plain(self))
        raise TimeUp

    monkeypatch.setattr(Faults, "found", found)
    monkeypatch.setattr("durproj.crashing.job.Shrinking.of_fault", no_time)
    monkeypatch.chdir(lab.folder)
    how = {"reducer": "r.py:clock", "durability": "step", "keep": "here"}
    fault, again, summary = library.crashtest("log.jsonl", **how)
    assert (fault["kind"], summary["faults"], summary["exit"]) == ("clock", 1, 1)
    assert "log.jsonl --reducer r.py:clock" in again["reproduce"]
    assert "time ran out before the reducer was fully examined" in summary["uncovered"][0]


def test_a_message_of_several_lines_is_one_line():
    record = {"type": "failure", "id": None, "differs": "it changed\n  do this", "changes": []}
    line, *_ = verdict({**record, "seed": None})
    assert "".join(text for text, _ in line) == "lost  it changed; do this"


def test_what_is_kept_is_where_it_is_asked_for(lab):
    args = ["log.jsonl", "--reducer", "r.py:clock", *STEP, "--keep", "here", "--seconds", "61"]
    done = lab("crashtest", *args, "--max-line", 99, "--json", "--stable")
    fault, again, summary = done.json
    assert (fault["kind"], again["type"], summary["exit"]) == ("clock", "reproduction", 1)
    assert again["reproduce"] == (
        "durproj crashtest smallest.jsonl --reducer r.py:clock --max-line 99 --seconds 61"
    )
    assert [json.loads(line)["id"] for line in again["log"]] == ["e0"]
    assert "kept" not in again
    (folder,) = (lab.folder / "here").iterdir()
    assert (folder / "smallest.jsonl").exists()
    assert lab.left() == []


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["none.jsonl"], 66, "none.jsonl"),
        (["log.jsonl", "--reducer", "r.py:nothing"], 2, "r.py has no function 'nothing'"),
        (["log.jsonl", "--reducer", "other"], 2, "no built-in reducer"),
        (["log.jsonl", "--reducer", "r.py:poisoned"], 1, "projection/b#1: ValueError: poison"),
        (["log.jsonl", "--reducer", "r.py:leaving"], 74, "exit code 0 in the midst of its work"),
        (["log.jsonl", "--reducer", "r.py:lonely"], 74, "are forked from was ended by signal 9"),
        (["log.jsonl", "--user", "zoe"], 66, "zoe"),
        (["bad.jsonl"], 65, "bad.jsonl:1"),
        (["log.jsonl", "--max-line", "20"], 65, "log.jsonl:1"),
        (["--seed", "nonsense"], 2, "'nonsense' is not a valid --seed"),
        (["--seed", "²"], 2, "is not a valid --seed"),
        (["--seed", "٣"], 2, "is not a valid --seed"),
        (["--seed", "9" * 5000], 2, "--seed must be a number of at most 18 digits, such as 4"),
        *(
            (
                ["--seconds", given],
                2,
                "--seconds must be more than 0\n",
            )
            for given in ("0", "-1")
        ),
        (["--seconds", "nan"], 2, "nan is not a number of seconds"),
        (
            ["--durability", "batch", "--seed", "step:before@1"],
            2,
            "--durability batch does not go with --seed step:before@1, which is at the level step\n  leave",
        ),
        (["--durability", "never"], 2, "no such durability: never"),
        (["--junit", "nowhere/x.xml"], 74, "nowhere/x.xml cannot be written"),
        (["--initial", "{"], 2, "--initial is not JSON"),
    ],
)
def test_what_cannot_be_crashed_is_refused_as_run_refuses_it(lab, args, code, says):
    (lab.folder / "bad.jsonl").write_text("{oops\n")
    done = lab("crashtest", *args)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert "Traceback" not in done.err
    assert lab.left() == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("log.jsonl", "an input"),
        ("link.xml", "an input"),
        ("hard.xml", "an input"),
        ("r.py", "the reducer"),
        ("p.jq", "the reducer"),
        ("m.py", "the reducer"),
    ],
)
@pytest.mark.parametrize("events", ["log.jsonl", "l*.jsonl", None])
def test_what_is_crashed_is_no_report(lab, name, what, events):
    (lab.folder / "p.jq").write_text(".state")
    (lab.folder / "m.py").write_text(REDUCERS)
    (lab.folder / "link.xml").symlink_to("log.jsonl")
    os.link(lab.folder / "log.jsonl", lab.folder / "hard.xml")
    before = (lab.folder / name).read_bytes()
    reducer = {"p.jq": ["--jq", "@p.jq"], "m.py": ["--reducer", "m:count"]}
    args = [*reducer.get(name, ["--reducer", "r.py:count"]), "--junit", name]
    if events:
        done = lab("crashtest", events, *args)
    else:
        done = lab("crashtest", *args, env={"DURPROJ_EVENTS": "log.jsonl"})
    said = f"--junit {name}: {what}: it is left as it is\n  write to another file\n"
    assert (done.code, done.out, done.err) == (2, "", f"durproj: {said}")
    assert (lab.folder / name).read_bytes() == before
    assert lab.left() == []


def test_a_reducer_that_takes_steps_out_of_the_store_is_told_without_any_crash(lab):
    done = lab("crashtest", "log.jsonl", "--reducer", "r.py:thief")
    assert (done.code, done.out) == (74, "")
    said, *advice, kept = done.err.splitlines()
    assert said == (
        "durproj: a run that was not killed left this: projection/a#0: the store is damaged:"
        " the step is missing"
    )
    assert "which belongs to this test" in advice[0]
    assert kept == f"  kept: {lab.left()[0]}"


def test_poison_events_can_be_skipped_or_parked(lab):
    for how in ("skip", "park"):
        done = lab(
            *("crashtest", "log.jsonl", "--reducer", "r.py:poisoned", "--on-error", how),
            *("--seed", "step:after@4", "--json"),
        )
        assert (done.code, done.json[-1]["survived"]) == (0, 1), done.err


@pytest.mark.parametrize("kind", ["csv", "gz", "stdin", "array"])
def test_whatever_run_reads_can_be_crashed(lab, kind):
    log = (lab.folder / "log.jsonl").read_bytes()
    lines = log.splitlines()
    args, given = ["in.data"], b""
    if kind == "csv":
        rows = "".join(f"{line['key']},T,{line['id']}\n" for line in map(json.loads, lines))
        (lab.folder / "in.data").write_text(f"key,type,id\n{rows}")
        args += ["--format", "csv", "--key", "key"]
    elif kind == "gz":
        (lab.folder / "in.data").write_bytes(gzip.compress(log))
    elif kind == "stdin":
        args, given = ["-"], log
    else:
        (lab.folder / "in.data").write_bytes(b"[" + b",".join(lines) + b"]")
        args += ["--array"]
    done = lab(
        "crashtest", *args, "--reducer", "counts", "--seed", "step:after@0", "--json", input=given
    )
    assert (done.code, done.json[-1]["survived"]) == (0, 1), done.err
    assert done.json[-1]["events"] == 5


@pytest.mark.parametrize("log", ["", "{oops\n"], ids=["empty", "bad lines"])
@pytest.mark.parametrize("life", [[], ["--seed", "step:after@0"], ["--seed", "4"]])
def test_a_log_without_events_has_not_survived_anything(lab, log, life):
    (lab.folder / "in.data").write_text(log)
    args = ["in.data", "--on-bad-line", "skip", "--junit", "x.xml"]
    done = lab("crashtest", *args, *life)
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines() == [
        "0 projections, 0 events: not enough was tested, 0 crashes",
        "  not covered: there are no events in the log",
    ]
    assert cases(lab) == [("pure", "skipped"), *ALL, ("enough", "error")]


def test_a_log_of_which_no_event_can_be_applied_has_not_survived_anything(lab):
    (lab.folder / "one.jsonl").write_text('{"type":"T","id":"e3"}\n')
    args = ["one.jsonl", "--reducer", "r.py:poisoned", "--on-error", "park", "--json"]
    done = lab("crashtest", *args)
    assert (done.code, done.json[-1]["uncovered"]) == (1, ["no event of the log could be applied"])


def test_more_time_than_a_timer_can_be_set_to_is_time_enough(lab):
    done = lab("crashtest", "log.jsonl", "--seed", "step:after@1", "--seconds", "1e300")
    assert (done.code, done.err) == (0, "")


def test_the_process_that_runs_are_forked_from_is_looked_for_before_it_is_asked(tmp_path):
    with Servers(Stop(), time.monotonic() + 60) as servers:
        servers.begin([0])
        os.kill(servers._processes[0].pid, signal.SIGKILL)
        with pytest.raises(StoreError, match="was ended by signal 9"):
            servers.ask(0, act="step", text="x" * (1 << 20))


def test_a_process_that_has_ended_is_not_killed_later_when_its_number_may_be_another_ones(
    monkeypatch, tmp_path
):
    killed = []
    with Servers(Stop(), time.monotonic() + 60) as servers:
        servers.begin([0])
        servers._processes[0].kill()
        with pytest.raises(StoreError, match="was ended by signal 9"):
            servers.ask(0, act="step")
        monkeypatch.setattr(os, "killpg", lambda *of: killed.append(of))
    assert killed == []


@pytest.mark.parametrize("seed", [-1, 10**5000], ids=["below 0", "long"])
def test_the_number_of_a_life_is_of_some_digits(seed):
    with pytest.raises(UsageError, match="--seed must be a number of at most 18 digits"):
        next(library.crashtest(seed=seed))


PIPED = {
    "substitution": "durproj crashtest <(cat log.jsonl) <(head -n 1 log.jsonl) --seed step:after@1 --json",
    "descriptor": "durproj crashtest /dev/fd/3 --seed step:after@1 --json 3<log.jsonl",
    "fifo": "mkfifo f; cat log.jsonl >f & durproj crashtest f --seed step:after@1 --json",
}


def piped(lab, line, stdin=subprocess.DEVNULL):
    """How a line of a shell ended that has `durproj` in it, and what it wrote."""
    line = line.replace("durproj", f"{shlex.quote(sys.executable)} -m durproj")
    done = subprocess.run(
        ["bash", "-c", line],
        check=False,
        cwd=lab.folder,
        env=environment(TMPDIR=str(lab.folder / "tmp")),
        stdin=stdin,
        capture_output=True,
        text=True,
    )
    assert lab.left() == []
    return done


@pytest.mark.parametrize("how", PIPED)
def test_what_can_be_read_once_only_is_copied(lab, how):
    done = piped(lab, PIPED[how])
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["events"], summary["survived"]) == (6 if how == "substitution" else 5, 1)


def test_a_disk_that_is_full_is_not_said_of_the_input(lab):
    big = "".join(json.dumps({"type": "T", "id": n}) + "\n" for n in range(1000))
    (lab.folder / "log.jsonl").write_text(big)
    done = piped(lab, "ulimit -f 4; cat log.jsonl | durproj crashtest - --seed step:after@1")
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr.endswith("/input-0: the input cannot be copied: File too large\n")


@pytest.mark.parametrize("input", ["-", "f"])
def test_the_time_is_over_though_the_input_is_not(lab, input):
    os.mkfifo(lab.folder / "f")
    reading, writing = os.pipe()
    with open(reading, "rb") as stdin, open(writing, "wb") as log:
        log.write((lab.folder / "log.jsonl").read_bytes())
        log.flush()
        line = f"exec timeout 60 durproj crashtest {input} --seconds 0.5 --json"
        done = piped(lab, line, stdin=stdin)
    (summary,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, summary["planned"]) == (1, 0)
    assert "before anything could be crashed" in summary["uncovered"][0]


@pytest.mark.parametrize("reducer", ["hanging", "dawdling"])
def test_an_interrupt_leaves_nothing_behind(lab, reducer):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "durproj", "crashtest", "log.jsonl"),
            *("--reducer", f"r.py:{reducer}", *STEP),
        ],
        cwd=lab.folder,
        env=environment(TMPDIR=str(lab.folder / "tmp")),
        stderr=subprocess.PIPE,
    )
    pid = lab.folder / "pid"
    while not (pid.exists() and pid.read_text()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert (process.returncode, told) == (
        130,
        b"durproj: stopped before everything was tested\n",
    )
    # Killed with its group; whoever inherits it may not have reaped it yet.
    stat = f"/proc/{pid.read_text()}/stat"
    if os.path.exists(stat):
        with open(stat) as file:
            assert file.read().rpartition(")")[2].split()[0] == "Z"
    assert lab.left() == []


@pytest.mark.parametrize("shown", ["json", "text"])
def test_a_log_that_grows_meanwhile_is_no_loss(lab, shown):
    args = ["--reducer", "r.py:growing", "--durability", "step", "--seed", "step:after@1"]
    args += ["--json"] if shown == "json" else []
    done = lab("crashtest", "log.jsonl", *args, "--junit", "x.xml")
    said = "log.jsonl changed while it was tested: nothing can be said of it"
    assert (done.code, done.out) == (75, "")
    assert done.err == (
        f"durproj: {said}\n  every life reads it anew: give it a copy that nothing writes to\n"
    )
    (case,) = ET.parse(lab.folder / "x.xml").getroot().find("testsuite")
    (error,) = case
    assert (case.attrib["name"], error.tag, said in error.text) == ("log", "error", True)
    assert lab.left() == []


def grow(log):
    with log.open("a") as file:
        file.write('{"key":"a","type":"T","id":"new"}\n')


def rewrite(log):
    log.write_text(log.read_text().replace("e0", "f0"))


def replace(log):
    other = log.with_suffix(".other")
    other.write_text(log.read_text().replace("e0", "f0"))
    os.utime(other, ns=(log.stat().st_atime_ns, log.stat().st_mtime_ns))
    other.replace(log)


def rotate(log):
    log.rename(log.with_name("log-1.jsonl"))
    grow(log)


CHANGES = {
    "appended": (grow, "log.jsonl changed"),
    "rewritten": (rewrite, "log.jsonl changed"),
    "replaced": (replace, "log.jsonl changed"),
    "half a line": (lambda log: log.write_text(log.read_text() + '{"key'), "log.jsonl changed"),
    "gone": (lambda log: log.unlink(), "log.jsonl was removed"),
    "rotated": (rotate, "log.jsonl changed|log-1.jsonl appeared"),
    "one more": (lambda log: grow(log.with_name("log2.jsonl")), "log2.jsonl appeared"),
    "the reducer": (
        lambda log: log.with_name("r.py").write_text(REDUCERS.replace(" + 1", " + 2")),
        "r.py changed",
    ),
    "the reducer raises": (
        lambda log: log.with_name("r.py").write_text(REDUCERS.replace("+ 1", "/ 0")),
        "r.py changed",
    ),
    "the reducer is none": (
        lambda log: log.with_name("r.py").write_text("def count(:\n"),
        "r.py changed",
    ),
    "the reducer is gone": (lambda log: log.with_name("r.py").unlink(), "r.py was removed"),
}


# By when it is done: before another run that nobody kills, in the midst of the lives, before a run is compared with the fold without a store, and before
# its steps are executed again.
BEGUN, LIFE, COMPARED = (Lives, "begin"), (Lives, "live"), (Job, "_unsound")
PURITY = (Faults, "found")


@pytest.mark.parametrize(
    ("change", "when"),
    [
        *((change, LIFE) for change in CHANGES),
        ("appended", COMPARED),
        ("gone", COMPARED),
        ("the reducer", COMPARED),
        ("the reducer", PURITY),
        ("the reducer raises", BEGUN),
        ("the reducer is none", BEGUN),
        ("the reducer is gone", BEGUN),
    ],
)
def test_whatever_changes_meanwhile_nothing_is_declared(lab, monkeypatch, change, when):
    (act, says), plain, calls = CHANGES[change], getattr(*when), []
    due = 2 if when == BEGUN else 1

    def acting(self, *args):
        calls.append(args)
        if len(calls) == due:
            act(lab.folder / "log.jsonl")
        return plain(self, *args)

    monkeypatch.setattr(*when, acting)
    monkeypatch.chdir(lab.folder)
    how = {
        BEGUN: {},  # another level is begun
        PURITY: {"durability": "step"},
    }.get(when, {"seed": "step:after@3"})
    found = []
    with pytest.raises(Rewritten, match=says) as told:
        found.extend(library.crashtest("log*.jsonl", reducer="r.py:count", keep="kept", **how))
    assert (told.value.exit_code, found) == (75, [])
    assert list((lab.folder / "kept").iterdir()) == []


def test_what_came_to_a_log_of_which_parts_are_crashed_is_no_matter(lab, monkeypatch):
    monkeypatch.setattr("durproj.crashing.sample.RUNS", 10**9)
    monkeypatch.setattr("durproj.crashing.sample.LEAST", 2)
    monkeypatch.chdir(lab.folder)
    log = lab.folder / "log.jsonl"
    log.write_text(
        "".join(json.dumps({"key": "a", "type": "T", "id": f"e{n}"}) + "\n" for n in range(30))
    )

    def lossy(self, plan):
        grow(log)
        return Lived(1, {"id": "projection/a", "differs": "it does", "changes": []})

    monkeypatch.setattr(Lives, "live", lossy)
    monkeypatch.setattr("durproj.crashing.job.first_difference", lambda *_: None)
    found = library.crashtest("log.jsonl", reducer="r.py:count", seed="step:after@1")
    assert [record["type"] for record in found if record["type"] != "reproduction"] == [
        *("sample", "crashes", "failure", "summary")
    ]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"durability": [], "seed": "step:before@1"}, "no such durability"),
        ({"durability": "never"}, "no such durability: never\n"),
        ({"reducer": lambda state, _event: state}, "no other process can import it"),
        ({"seeds": -1}, "--seeds must be 0 or more"),
        ({"seconds": float("nan")}, "--seconds must be more than 0"),
    ],
)
def test_what_the_command_line_does_not_let_through_is_refused_to_a_program(how, says):
    with pytest.raises(UsageError, match=says):
        library.crashtest(**how)


def test_the_defaults_of_the_command_line_are_those_of_the_library():
    ours, theirs = (signature(each).parameters for each in (command, library.crashtest))
    same = (
        *("durability", "seeds", "seed", "seconds", "allow_mutation", "keep", "no_key", "order"),
        *("dedupe", "on_error", "on_bad_line", "max_line", "strict_types"),
    )
    assert [ours[name].default for name in same] == [theirs[name].default for name in same]


@pytest.mark.parametrize("levels", [[], ["batch", "step"], ["fsync"]])
def test_a_life_is_lived_at_its_own_level(lab, levels):
    args = [arg for level in levels for arg in ("--durability", level)]
    seed = "fsync:before@1" if levels in ([], ["fsync"]) else "step:before@1"
    done = lab("crashtest", "log.jsonl", *args, "--seed", seed, "--json")
    assert (done.code, done.json[-1]["survived"]) == (0, 1)


def test_the_level_of_a_number_is_one_of_those_asked_for(lab, monkeypatch):
    monkeypatch.chdir(lab.folder)
    lived = []
    monkeypatch.setattr(Lives, "live", lambda _, plan: lived.append(plan) or Lived(1))
    # Of all levels, 0 draws "batch".
    list(library.crashtest("log.jsonl", durability="step", seed=0))
    assert [plan.durability for plan in lived] == ["step"]


def test_a_program_can_ask_for_it_too(lab, monkeypatch):
    monkeypatch.chdir(lab.folder)
    told = []
    *records, summary = library.crashtest(
        "log.jsonl",
        reducer="r.py:count",
        seed="batch:before@1",
        progress=lambda *lives: told.append(lives),
    )
    assert [record["kind"] for record in records] == ["before"]
    assert (summary["survived"], told) == (1, [(1, 1)])
