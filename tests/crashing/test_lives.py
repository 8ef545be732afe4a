"""Lives: what a broken durproj would lose is found; which lives there are."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import suppress

import pytest

from durproj import StoreError, UsageError
from durproj.cli.verdicts import verdict
from durproj.crashing.lives.killing import Kill, Plan
from durproj.crashing.lives.left import Left
from durproj.crashing.lives.life import Lives, Whole
from durproj.crashing.lives.plans import at_random, kind_of, planned, spread
from durproj.crashing.purity.cause import cause, first_difference
from durproj.crashing.sample import places_of
from durproj.crashing.servers import Servers, TimeUp
from durproj.runtime.observer import Stop
from durproj.stores.base import Head

BROKEN = '''
import os, random, signal, time
from durproj.stores.sqlite import SqliteStore
from durproj.stores.statements import Statements

def count(state, event):
    return {"n": state.get("n", 0) + 1, "last": event.id}

plain_row, plain_write = SqliteStore.add_row, Statements._write

def early(state, event):
    """Steps are acknowledged before they are committed: with the head, in the end."""
    SqliteStore.add_row = late_row
    Statements._write = late_write
    return count(state, event)

def late_row(self, *args):
    if not self._conn.in_transaction:
        self._conn.execute("BEGIN")
    plain_row(self, *args)

def late_write(self, sql, values=()):
    ends = sql.startswith("BEGIN") or sql.startswith("UPDATE workflow")
    if ends and self._conn.in_transaction and not self._open:
        self._conn.execute("COMMIT")
    return plain_write(self, sql, values)

def forgetful(state, event):
    """Failed attempts are not written down."""
    SqliteStore.add_attempt = lambda *_: None
    return count(state, event)

calls = iter(range(100))
def remembering(state, event):
    return {"n": state.get("n", 0) + (next(calls) > 3)}

def rarely(state, event):
    return {"at": random.random() == 2}

def duration(state, event):
    began = time.perf_counter()
    return {"s": int(time.perf_counter() - began)}

def dated(state, event):
    return {"at": time.time()}

def value_error(state, event):
    if event.id in (2, 3):
        raise ValueError("poison")
    return count(state, event)

def hashing(state, event):
    return {"n": state.get("n", 0) + 1, "hash": hash("a")}

def killed(state, event):
    if os.path.exists(__file__ + ".kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    return count(state, event)

def os_error(state, event):
    if event.id == 2:
        raise OSError("poison")
    return count(state, event)
'''
FAILURE = {
    **dict.fromkeys(("id", "seed")),
    "type": "failure",
    "kind": "fold",
    "differs": "it does",
    "changes": [],
}
PATCHED = {
    # The way of a run in which nobody looks at the single steps.
    "each": "from durproj.runtime.stream import StreamFold\nStreamFold._take_each = None",
    "budget": "from durproj.runtime.attempts import Attempts\nAttempts.failures = lambda self: []",
    "wait": "from durproj.runtime.attempts import Attempts\nAttempts.resume = lambda self: None",
    "holed": """
from durproj.stores.sqlite import SqliteStore
plain = SqliteStore.add_attempt
def add_attempt(self, *args):
    plain(self, *args)
    self._conn.execute("UPDATE workflow SET seal = x'00'")
SqliteStore.add_attempt = add_attempt
""",
    "again": """
from durproj import codec
from durproj.runtime.stream import StreamFold
plain = StreamFold._apply
def apply(self, lines, events):
    for line in self._journal.inputs():
        self._fold.reduce({}, self._fold.envelope.event(codec.decode(line), line, self.key))
    plain(self, lines, events)
StreamFold._apply = apply
""",
    "anew": """
from durproj.runtime.attempts import Attempts
def resume(self):
    if failures := self.failures():
        self._stop.sleep((failures[-1].retry_at - failures[-1].at) / 1000)
Attempts.resume = resume
""",
}


@pytest.fixture(scope="module")
def servers():
    with Servers(Stop(), time.monotonic() + 3600) as servers:
        yield servers


@pytest.fixture
def lives(servers, tmp_path):
    """Lives of a reducer over a log of a few events."""
    (tmp_path / "r.py").write_text(BROKEN)
    for name, patch in PATCHED.items():
        (tmp_path / f"{name}.py").write_text(f"from r import count\n{patch}\n")
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"type": "T", "id": n}) + "\n" for n in range(6)))
    (tmp_path / "lives").mkdir()

    def of(reducer, on_error="stop", file="r"):
        options = {
            **dict.fromkeys(("keys", "initial", "no_key", "order", "dedupe")),
            "events": [str(log)],
            "mapping": {},
            "on_error": on_error,
            "reducer": f"{tmp_path}/{file}.py:{reducer}",
        }
        found = Lives(servers, tmp_path / "lives", options)
        found.begin("step")
        return found

    return of


def test_what_is_left_is_the_same_wherever_it_is_killed(lives):
    whole = lives("count")
    commits = whole.whole["step"].commits
    assert commits > 6
    for at in ("before", "after"):
        for number in (0, 3, commits - 1):
            lived = whole.live(Plan("step", (Kill(at, number),)))
            assert (lived.kills, lived.wrong) == (1, None)
    calls = whole.whole["step"].calls
    for number in (0, calls // 3, calls - 1):
        assert whole.live(Plan("step", (Kill("call", number),))).kills == 1
    back_off = Plan("step", (Kill("backoff", 2), Kill("backoff", 2)))
    assert whole.live(back_off).kills == 2
    assert not list((whole.folder).glob("life.db*"))


@pytest.mark.parametrize("race", [False, True])
def test_a_life_goes_on_with_another_hash_seed(lives, race):
    found = lives("hashing").live(Plan("step", (Kill("after", 3),), race))
    assert "its state" in found.wrong["differs"]


def test_steps_that_are_acknowledged_before_they_are_committed_are_found_lost(lives):
    whole = lives("early")
    plans = [Plan("step", (Kill("after", n),)) for n in range(whole.whole["step"].commits)]
    found = [lived.wrong["differs"] for lived in map(whole.live, plans) if lived.wrong]
    assert found
    assert all("was acknowledged, and there " in each for each in found), found


def test_the_way_of_a_run_whose_steps_nobody_looks_at_is_taken(lives):
    with pytest.raises(StoreError, match="a run that was not killed fails: TypeError"):
        lives("count", file="each")


def test_an_acknowledged_step_that_is_executed_again_is_found(lives):
    wrong = lives("count", file="again").live(Plan("step", (Kill("after", 4),))).wrong
    assert wrong["differs"] == "step 0 was executed again, though it was acknowledged"


def test_a_failed_attempt_that_is_forgotten_is_found_lost(lives):
    wrong = lives("forgetful").live(Plan("step", (Kill("backoff", 2),))).wrong
    assert wrong["differs"] == "the attempt that failed before the crash is forgotten"


def test_a_store_that_is_damaged_in_back_off_is_what_the_crash_left(lives):
    wrong = lives("count", file="holed").live(Plan("step", (Kill("backoff", 2),))).wrong
    assert "the store is damaged" in wrong["differs"]


@pytest.mark.parametrize("kill", [Kill("after", 3), Kill("after", 9999), Kill("call", 9999999)])
def test_a_process_that_is_killed_from_elsewhere_is_no_crash_of_ours(lives, tmp_path, kill):
    whole = lives("killed")
    (tmp_path / "r.py.kill").touch()
    lived = whole.live(Plan("step", (kill,)))
    assert lived.kills == 0
    assert lived.wrong["differs"] == (
        "a run that goes on is ended by signal 9 from elsewhere (out of memory, or the reducer?)"
    )


class Answering:
    """In place of `Servers`: every process of a life is answered for, in order."""

    def __init__(self, *answers):
        self._answers = iter(answers)

    def ask(self, _number, **_task):
        return next(self._answers)

    def ask_all(self, tasks):
        return [next(self._answers) for _ in tasks]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"code": 70, "said": "a bug"}, "a run that goes on fails: a bug"),
        ({"code": 74, "said": "no room"}, "a run that goes on fails: no room"),
        ({"code": 0, "error": {"kind": "StoreError", "fields": {"message": "x"}}}, "StoreError: x"),
        ({"code": -9, "said": "", "struck": False}, "signal 9 from elsewhere"),
    ],
)
def test_whichever_of_two_runners_goes_wrong_it_is_told(lives, answer, says, first):
    whole = lives("count")
    struck = {"code": -9, "said": "struck", "struck": True}
    done = {"code": 0, "commits": 9, "calls": 9}
    two = [answer, struck] if first else [struck, answer]
    whole.servers = Answering(*two, done)
    lived = whole.live(Plan("step", (Kill("before", 0), Kill("after", 1)), race=True))
    assert lived.kills == 1
    assert says in lived.wrong["differs"]


@pytest.mark.parametrize("on_error", ["skip", "park"])
@pytest.mark.parametrize("reducer", ["value_error", "os_error"])
def test_an_event_that_fails_for_good_is_no_loss(lives, reducer, on_error):
    whole = lives(reducer, on_error)
    for step in range(4):
        lived = whole.live(Plan("step", (Kill("backoff", step), Kill("backoff", step))))
        assert lived.wrong is None
        # What fails with an OSError waits by itself, too.
        parked = (reducer, on_error, step) == ("value_error", "park", 3)
        assert lived.kills == (0 if parked else 2)


@pytest.mark.parametrize(
    ("broken", "kills", "says"),
    [
        ("budget", 1, "its budget began anew (step 2)"),
        ("wait", 1, "was cut short by the crash (step 2)"),
        ("wait", 2, "a wait was skipped (step 2)"),
        ("anew", 2, "was begun anew after the crash (step 2)"),
    ],
)
def test_a_back_off_that_a_crash_changes_is_found(lives, broken, kills, says):
    wrong = lives("count", file=broken).live(Plan("step", (Kill("backoff", 2),) * kills)).wrong
    assert wrong
    assert says in wrong["differs"]


def test_a_step_that_is_lost_is_named_with_what_differs(lives):
    whole = lives("count")
    left = whole.whole["step"].left
    (id,) = left
    whole.whole["step"].left = {id: left[id]._replace(steps=7, state=b'{"n":7,"last":6}')}
    wrong = whole.live(Plan("step", (Kill("after", 3),))).wrong
    assert (wrong["id"], wrong["differs"]) == (id, "it has 7 steps without, 6 with the crash")
    assert [change["path"] for change in wrong["changes"]] == ["n", "last"]


def test_who_is_the_cause_is_told(lives):
    whole = lives("remembering")
    store, left = whole.folder / "whole-step.db", whole.folder / "life.db"
    wrong = whole.live(Plan("step", (Kill("after", 5),))).wrong
    step = first_difference(store, left, wrong["id"])
    found = cause(whole.servers, store, wrong["id"], step)
    assert (found["cause"], found["step"]) == ("the reducer", step)
    assert found["calls"][0].startswith("next (r.py:")
    assert cause(whole.servers, store, None, 0) == {}


@pytest.mark.parametrize(
    ("reducer", "who", "call"),
    [
        ("count", "durproj", None),
        ("remembering", "unknown", "next"),
        ("rarely", "unknown", "random.random"),
        ("duration", "the reducer", "the clock"),
        ("dated", "the reducer", "the clock"),
    ],
)
def test_durproj_is_blamed_only_for_what_calls_nothing_suspicious(lives, reducer, who, call):
    whole = lives(reducer)
    store = whole.folder / "whole-step.db"
    (id,) = whole.whole["step"].left
    found = cause(whole.servers, store, id, 0)
    assert (found["cause"], found["step"]) == (who, 0)
    assert {each.split(" (")[0] for each in found.get("calls", ())} == ({call} if call else set())
    told = "".join(text for text, _ in list(verdict(FAILURE | found))[-1])
    assert ("please report it" in told, f"but it calls {call} (r.py:" in told) == (
        who == "durproj",
        who == "unknown",
    )


def test_a_life_is_written_and_read():
    for text in ("step:before@3", "batch:race:after@0+before@7", "fsync:call@12+backoff@1"):
        assert str(Plan.parse(text)) == text
    for text in ("", "step", "step:before", "step:never@1", "other:after@1", "step:after@x"):
        with pytest.raises(UsageError, match="is not a valid --seed"):
            Plan.parse(text)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 100])
def test_wherever_it_breaks_off_they_are_from_all_over(count):
    found = list(spread(count))
    assert sorted(found) == list(range(count))
    if count > 8:
        assert max(
            b - a for a, b in zip(sorted(found[:9]), sorted(found[:9])[1:], strict=False)
        ) <= (count // 4)


def test_there_are_lives_of_every_kind_in_turn():
    left = {"projection/a": Left("a", "resolved", 20, b"{}", b"")}
    whole = {level: Whole(left, 30, 9000) for level in ("step", "batch")}
    found = list(planned([whole], 5))
    assert {life.kind for life in found[:6]} == {
        *("before", "after", "twice", "backoff", "race", "random")
    }
    before = [life.plan.kills[0].number for life in found if life.kind == "before"]
    assert sorted(before) == sorted([*range(30)] * 2)
    assert [life for life in found if life.kind == "random"] == [
        at_random([whole], seed) for seed in range(1, 6)
    ]
    # One that is asked for by what it is, is of its kind, too.
    for kind, _, plan, _ in found:
        assert kind == "random" or kind_of(plan) == kind
    assert kind_of(Plan.parse("step:after@2+backoff@1")) == "random"


def test_parts_are_crashed_in_turn_and_every_kind_soon():
    left = {"projection/a": Left("a", "resolved", 20, b"{}", b"")}
    parts = [{level: Whole(left, 30, 9000) for level in ("step", "batch")} for _ in range(8)]
    found = list(planned(parts, 16))
    assert len({(life.kind, life.plan.durability) for life in found[:11]}) >= 11
    assert {life.part for life in found[:11]} == {*range(8)}
    assert len({life[2:] for life in found}) == len(found)
    before = [life for life in found if (life.kind, life.plan.durability) == ("before", "step")]
    assert len(before) == 8 * 30
    assert {life.part for life in before[:8]} == {*range(8)}
    assert [at_random(parts, seed).part for seed in (0, 7, 8, 17)] == [0, 7, 0, 1]


def heads_of(*steps):
    return [Head(str(n), "projection", str(n), n, steps=count) for n, count in enumerate(steps)]


@pytest.mark.parametrize(
    ("streams", "size", "count", "places"),
    [
        ((1000,), 10, 1, [(0, 0)]),
        ((1000,), 100, 4, [(0, 0), (0, 300), (0, 600), (0, 900)]),
        # What is left of a stream is too short: the next one is begun with.
        ((50, 50, 50, 50), 40, 3, [(0, 0), (2, 0), (3, 10)]),
        ((3,) * 100, 30, 3, [(0, 0), (45, 0), (90, 0)]),
        ((90, 8, 2), 20, 3, [(0, 0), (0, 40), (1, 0)]),
        ((2, 2, 95), 90, 2, [(0, 0), (2, 5)]),
    ],
)
def test_parts_begin_all_over_where_there_is_one_state_to_begin_with(streams, size, count, places):
    assert list(places_of(heads_of(*streams), size, count)) == places


def test_when_the_time_is_over_it_ends(tmp_path):
    with Servers(Stop(), time.monotonic() - 1) as servers, pytest.raises(TimeUp):
        servers.ask(0, act="verify", store=str(tmp_path))


def test_nothing_is_left_running_when_who_asked_is_gone(tmp_path):
    with Servers(Stop(), time.monotonic() + 60) as servers:
        servers.begin()
        processes = list(servers._processes.values())
        assert all(process.poll() is None for process in processes)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        assert process.returncode is not None
