"""What a run remembers, hands over and leaves to `resume`."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from conftest import environment
from dying import Died, dying, folded, inputs, journals, line, stream, trail, write

import durproj
from durproj.codec import decode
from durproj.events.reader import Source
from durproj.projections.counts import counts as by_type
from durproj.runtime.retry import ANY, TRANSIENT, from_options, to_options
from durproj.stores.sqlite import SqliteStore

BOTH = [("a", 1), ("b", 2), ("a", 3), ("b", 4)]
STORE = Path("s.db")


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "log.jsonl"


fold_by_library = durproj.fold


def fold(log, **options):
    return durproj.fold(log, **{"reducer": trail, "store": STORE, **options})


def resume(*args, **options):
    return durproj.resume(*args, store=STORE, **options)


def runs():
    store = SqliteStore.open_reader(STORE)
    try:
        return store.runs()
    finally:
        store.close()


def dies(log, steps, **options):
    """Fold and die as soon as `steps` steps are in the store."""
    for at in range(200):
        with dying(at), suppress(Died):
            fold(log, **options)
        if sum(each["steps"] for each in journals(STORE).values()) >= steps:
            return
    raise AssertionError


class Watching(durproj.Silent):
    """Remembers what it is told."""

    wants_all = True

    def __init__(self, *, steps=False):
        self.wants_steps = steps
        self.notes, self.steps, self.heads, self.expected, self.done = [], [], [], [], []

    def note(self, text):
        self.notes.append(text)

    def expect(self, events):
        self.expected.append(events)

    def progress(self, events):
        self.done.append(events)

    def step(self, id, step, event, source, attempts, state):  # noqa: ARG002
        self.steps.append((id, step, source))

    def projection(self, head, cached, executed):
        self.heads.append((head.id, head.status, head.steps, cached, executed))


# -- what a log shows at first contact


@pytest.mark.parametrize("begin", ["", "\n\n", "{bad\n"], ids=["empty", "blank", "bad"])
@pytest.mark.parametrize("way", ["run", "resume"])
def test_a_log_that_showed_nothing_is_looked_at_again(log, begin, way):
    log.write_text(begin)
    bad = begin.startswith("{")
    with pytest.raises(durproj.BadEvent) if bad else nullcontext():
        assert fold(log).projections == 0
    assert journals(STORE) == {}
    assert runs()[0].complete is not bad
    write(log, BOTH)
    if way == "resume" and bad:
        resume()
    else:
        fold(log)
    assert sorted(journals(STORE)) == ["projection/a", "projection/b"]


def test_keys_that_no_event_has_are_named_with_those_that_are_there(log):
    write(log, BOTH)
    for keys, missing in (["a", "x"], '"x"'), (["x", "y"], '"x", "y"'), (["x"], '"x"'):
        with pytest.raises(durproj.NotFound) as refused:
            fold(log, keys=keys)
        assert refused.value.message == f"log.jsonl: no event has the key {missing}"
        assert refused.value.hint == 'keys that are there: "a", "b"'


def test_lines_without_a_key_that_are_left_out_are_counted(log):
    write(log, BOTH)
    with log.open("ab") as file:
        file.write(b'{"type":"T","v":1}\n' * 3)
    watching = Watching()
    fold(log, mapping=durproj.Mapping(key="key"), no_key="skip", observer=watching)
    assert "left out: 3 lines without a key" in watching.notes
    assert watching.expected == [4]
    assert sum(watching.done) == 4


def test_what_is_compared_counts_as_progress_and_what_is_proven_does_not(log):
    write(log, BOTH)
    fold(log)
    log.write_text("\n" + log.read_text())
    watching = Watching()
    assert fold(log, observer=watching).cached == 4
    assert (watching.expected, sum(watching.done)) == ([4], 4)
    write(log, [*BOTH, ("a", 5)])
    fold(log)
    write(log, [*BOTH, ("a", 5), ("a", 6)])
    watching = Watching()
    assert fold(log, observer=watching).executed == 1
    assert (watching.expected, sum(watching.done)) == ([1], 1)


def test_where_there_is_nothing_to_do_all_of_the_run_is_shown_and_nothing_of_others(log):
    write(log, BOTH)
    fold(log, name="other")
    fold(log)
    watching = Watching()
    fold(log, observer=watching)
    assert watching.heads == [(f"projection/{key}", "resolved", 2, 2, 0) for key in "ab"]


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_events_of_unknown_types_are_counted_once_however_many_there_are(log, durability):
    ways = {"reducer": {"T": trail}, "initial": trail.initial, "durability": durability}
    write(log, [("a", n) for n in range(300)])
    assert fold(log, **ways).unknown == {}
    with log.open("a") as file:
        file.writelines(line("a", n).replace('"T"', '"X"') + "\n" for n in range(3000))
    assert fold(log, **ways).unknown == {"X": 3000}


def test_streams_of_another_run_are_guarded_against_another_reducer(log):
    write(log, BOTH)
    fold(log)
    other = log.with_name("other.jsonl")
    write(other, [*BOTH, ("a", 5)])

    def changed(state, event):
        return trail(state, event) | {"more": 1}

    changed.initial = trail.initial
    with pytest.raises(durproj.PastChanged, match="projection/a#0: ") as refused:
        fold(other, reducer=changed)
    assert "reducer" in str(refused.value)
    assert fold(other, reducer=changed, accept_reducer=True).executed == 1


def test_a_new_state_knows_its_key(log):
    log.write_text('{"user_id":"u7","type":"UserRegistered","id":"e1","email":"e","name":"n"}\n')
    durproj.fold(log, store=STORE)
    assert decode(journals(STORE)["projection/u7"]["state"])["userId"] == "u7"


def test_a_key_that_was_misspelt_at_first_is_forgotten(log):
    write(log, BOTH)
    with pytest.raises(durproj.BadEvent):
        fold(log, mapping=durproj.Mapping(key="usr"))
    with pytest.raises(durproj.BadEvent):
        resume()  # as it was started
    fold(log)
    assert sorted(journals(STORE)) == ["projection/a", "projection/b"]


def test_no_key_on_purpose_survives_a_crash_before_the_first_step(log, durproj):
    write(log, BOTH)
    assert durproj("run", log, "--key", "", "--crash", 0).code == 3
    assert durproj("resume").code == 0
    assert sorted(journals(log.parent / "durproj.db")) == ["projection/all"]


def test_an_empty_log_is_complete_and_has_no_workflow(log, durproj):
    log.write_bytes(b"")
    done = durproj("run", log, "--json")
    assert (done.code, done.json[-1]["projections"]) == (0, 0)
    assert "no line has a key" not in done.err
    assert "nothing to resume" in durproj("resume").err


# -- parts of a run


@pytest.mark.parametrize("flag", ["restart", "accept_reducer"])
def test_a_run_changes_its_reducer_as_a_whole_or_not_at_all(log, flag):
    write(log, BOTH)
    dies(log, 3)
    before = journals(STORE)
    with pytest.raises(durproj.UsageError, match="as a whole"):
        resume(["projection/a"], **{flag: True})
    assert journals(STORE) == before
    resume(["projection/a", "projection/b"], **{flag: True})
    resume()
    assert {each["steps"] for each in journals(STORE).values()} == {2}


MINE = "def mine(state, event):\n    return {'n': state.get('n', 0) + 1}\n"


@pytest.mark.parametrize("flag", ["--restart", "--accept-reducer"])
def test_what_a_run_was_permitted_holds_until_it_is_complete(log, durproj, flag):
    (log.parent / "mine.py").write_text(MINE)
    write(log, BOTH)
    run = ["run", log, "--reducer", "mine.py:mine"]
    assert durproj(*run).code == 0
    assert durproj(*run, "--user", "b").code == 0
    (log.parent / "mine.py").write_text(MINE.replace("+ 1", "+ 10"))
    write(log, [*BOTH, ("a", 5), ("b", 6)])
    assert durproj(*run, flag, "--crash", 2).code == 3
    resumed = durproj("resume")
    assert resumed.code == 0, resumed.err
    found = journals(log.parent / "durproj.db")
    assert decode(found["projection/b"]["state"]) == {"n": 30 if flag == "--restart" else 12}
    # It is complete: what comes now has to be accepted anew.
    (log.parent / "mine.py").write_text(MINE.replace("+ 1", "+ 100"))
    assert durproj(*run).code == 4


def test_another_change_after_the_crash_has_to_be_accepted_anew(log, durproj):
    (log.parent / "mine.py").write_text(MINE)
    write(log, BOTH)
    run = ["run", log, "--reducer", "mine.py:mine"]
    assert durproj(*run, "--user", "a", "--user", "b").code == 0
    (log.parent / "mine.py").write_text(MINE.replace("+ 1", "+ 10"))
    write(log, [*BOTH, ("b", 6)])
    assert durproj(*run, "--accept-reducer", "--crash", 2).code == 3
    (log.parent / "mine.py").write_text(MINE.replace("+ 1", "+ 100"))
    assert durproj("resume").code == 4


def test_a_run_that_is_not_resumed_says_anew_what_it_may_do(log):
    write(log, BOTH)
    fold(log)
    fold(log, keys=["b"])
    for at in range(20):
        with dying(at), suppress(Died):
            fold(log, restart=True)
        if any("restarting" in run.options for run in runs()):
            break
    write(log, [("a", 1), ("b", 9), ("a", 3), ("b", 4)])
    with pytest.raises(durproj.PastChanged, match="projection/b#0"):
        fold(log)
    with pytest.raises(durproj.PastChanged, match="projection/b#0"):
        resume()
    assert fold(log, restart=True).executed == len(BOTH)
    assert inputs(journals(STORE)["projection/b"]) == stream([("b", 9), ("b", 4)], "b")


# -- runs beside each other


def test_a_run_that_another_took_over_is_no_longer_resumed(log, durproj):
    for name in ("1", "2"):
        write(log.parent / f"{name}.jsonl", BOTH)
    assert durproj("run", "1.jsonl", "--crash", 1).code == 3
    assert durproj("run", "1.jsonl", "2.jsonl").code == 0
    resumed = durproj("resume")
    assert resumed.code == 0, resumed.err
    assert "nothing to resume" in resumed.err


@pytest.mark.parametrize(
    ("theirs", "mine", "over"),
    [
        (["a"], None, True),
        (["a"], ["a", "b"], True),
        (["a"], ["a"], True),
        (["a", "b"], ["a"], False),
        (None, ["a"], False),
    ],
)
def test_a_run_is_over_when_another_takes_all_that_it_had_to_do(log, theirs, mine, over):
    copy = log.parent / "copy.jsonl"
    for path in (log, copy):
        write(path, BOTH)
    dies(log, 1, keys=theirs)
    fold(copy, keys=mine)
    assert [run.complete for run in runs()] == [over, True]
    assert resume().projections == (0 if over else 2)


def test_a_run_that_lost_its_only_workflow_still_has_its_other_streams(log):
    write(log, BOTH)
    dies(log, 2)
    fold(log, keys=["a"])
    resume()
    found = journals(STORE)
    assert {id: each["steps"] for id, each in found.items()} == {
        "projection/a": 2,
        "projection/b": 2,
    }


def test_a_dead_run_keeps_no_other_from_going_on(log):
    other = log.parent / "other.jsonl"
    write(log, BOTH)
    write(other, BOTH)
    dies(log, 1)
    dies(other, 2, name="other")
    log.unlink()
    watching = Watching()
    with pytest.raises(durproj.NotFound, match="no such file"):
        resume(observer=watching)
    assert any("no such file" in note for note in watching.notes)
    found = journals(STORE)
    assert inputs(found["other/a"]) == stream(BOTH, "a")
    assert found["other/b"]["status"] == "resolved"
    # Alone, it is told once.
    alone = Watching()
    with pytest.raises(durproj.NotFound):
        resume(observer=alone)
    assert alone.notes == []


SCRIPT = """
import sys, durproj

print("top level")

def mine(state, event):
    return {"n": state.get("n", 0) + 1}

which = {"main": mine, "lambda": lambda state, event: {"n": state.get("n", 0) + 1}}
durproj.fold("log.jsonl", reducer=which[sys.argv[1]], crash=3 if "crash" in sys.argv else None)
"""


@pytest.mark.parametrize("which", ["main", "lambda"])
def test_a_reducer_of_a_program_is_run_by_that_program_only(log, durproj, which):
    write(log, [("a", value) for value in range(5)])
    (log.parent / "script.py").write_text(SCRIPT)

    def script(*args):
        return subprocess.run(
            [sys.executable, "script.py", which, *args],
            cwd=log.parent, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert script("crash").returncode == 3
    resumed = durproj("resume")
    assert resumed.code == 0
    assert "was started by a program" in resumed.err
    assert "top level" not in resumed.out + resumed.err
    bare = durproj("run")
    assert bare.code == 2
    assert "top level" not in bare.out + bare.err
    assert script().returncode == 0
    assert journals(log.parent / "durproj.db")["projection/a"]["steps"] == 5


# -- what is counted and shown


def test_counts_come_from_what_is_sealed(log):
    write(log, BOTH)
    fold(log)
    conn = sqlite3.connect(STORE)
    conn.execute("UPDATE workflow SET steps = 99999 WHERE id = 'projection/b'")
    conn.commit()
    conn.close()
    counts = fold(log)
    assert (counts.projections, counts.cached, counts.executed) == (2, 4, 0)


def test_counts_are_those_of_the_whole_log_however_it_grew(log):
    events = list(BOTH)
    write(log, events)
    fold(log)
    for new in ([("c", 1), ("a", 2)], [], [("b", 1)], [("c", 2), ("d", 3)]):
        held = len(events)
        events += new
        write(log, events)
        if new:
            dies(log, held + 1)
            done = sum(each["steps"] for each in journals(STORE).values())
        else:
            done = held
        counts = fold(log)
        there = len({key for key, _ in events})
        assert (counts.projections, counts.cached) == (there, done)
        assert counts.cached + counts.executed == len(events)


def test_steps_that_the_cursor_proves_are_shown_to_who_wants_steps(log):
    write(log, BOTH)
    fold(log)
    watching = Watching(steps=True)
    fold(log, observer=watching)
    assert watching.steps == [
        (f"projection/{key}", step, "cached") for key in "ab" for step in (0, 1)
    ]
    assert [head[:3] for head in watching.heads] == [
        ("projection/a", "resolved", 2), ("projection/b", "resolved", 2)
    ]  # fmt: skip


@pytest.mark.parametrize("durability", ["step", "batch"])
@pytest.mark.parametrize("keys", [None, ["a"]], ids=["many", "one"])
def test_streams_before_a_bad_line_are_shown_as_pending(log, durability, keys):
    write(log, BOTH)
    log.write_text(log.read_text() + "{bad\n")
    watching = Watching()
    with pytest.raises(durproj.BadEvent):
        fold(log, durability=durability, keys=keys, observer=watching)
    expected = [(f"projection/{key}", "pending", 2, 0, 2) for key in keys or "ab"]
    assert watching.heads == expected
    states = {id: each["state"] for id, each in journals(STORE).items()}
    assert decode(states["projection/a"]) == folded(stream(BOTH, "a"))
    # Once more: nothing is executed, and they are what they were.
    again = Watching()
    with pytest.raises(durproj.BadEvent):
        resume(observer=again)
    assert again.heads == [(id, status, 2, 2, 0) for id, status, *_ in expected]


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_every_step_is_shown_as_it_is_recorded(log, durability):
    write(log, [*BOTH, ("a", 5)])
    shown = []

    class Showing(durproj.Silent):
        wants_steps = True

        def step(self, id, step, event, source, attempts, state):
            shown.append((f"{id} {event.key}", step, event.line, source, attempts, state["v"]))

        def skipped(self, id, step, event, source, failures, state):
            shown.append((f"{id} {event.key}", step, event.line, source, -failures, state["v"]))

    def picky(state, event):
        return trail(state, event) if event.body["v"] != 3 else 1 / 0

    picky.initial = trail.initial
    options = {"reducer": picky, "on_error": "skip", "durability": durability}
    fold(log, observer=Showing(), **options)
    steps = [("a", 0, 1, 1, 1), ("a", 1, 3, -1, 1), ("a", 2, 5, 1, 5), ("b", 0, 2, 1, 2), ("b", 1, 4, 1, 4)]  # fmt: skip
    expected = [
        (f"projection/{key} {key}", step, line(key, v).encode(), "executed", attempts, state)
        for key, step, v, attempts, state in steps
    ]
    assert shown == expected
    shown.clear()
    fold(log, observer=Showing(), **options)
    assert shown == [(*each[:3], "cached", *each[4:]) for each in expected]


@pytest.mark.parametrize("keys", [None, ["a"]], ids=["many", "one"])
def test_lines_without_a_key_and_bad_ones_are_left_out_where_that_was_asked(log, keys):
    write(log, BOTH)
    log.write_text('{"type":"T","v":9}\n' + log.read_text() + "{bad\n" + line("a", 5) + "\n")
    options = {"keys": keys, "mapping": durproj.Mapping(key="key")}
    with pytest.raises(durproj.BadEvent):
        fold(log, **options, no_key="skip")
    assert fold(log, **options, name="both", on_bad_line="skip").bad_lines == 2
    counts = fold(log, **options, no_key="skip", on_bad_line="skip")
    assert counts.bad_lines == 1
    assert inputs(journals(STORE)["projection/a"]) == stream([*BOTH, ("a", 5)], "a")


@pytest.mark.parametrize("keys", [None, ["a"]], ids=["many", "one"])
def test_a_batch_is_committed_after_its_time_and_goes_on_with_its_state(log, keys):
    events = [("a", value) for value in range(6)]
    write(log, events)
    there = []

    def slow(state, event):
        time.sleep(0.03)
        there.append(journals(STORE).get("projection/a", {"steps": 0})["steps"])
        return trail(state, event)

    slow.initial = trail.initial
    fold(log, reducer=slow, keys=keys, durability="batch")
    assert there[0] == 0 < there[-1]
    assert decode(journals(STORE)["projection/a"]["state"]) == folded(stream(events, "a"))


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_a_signal_ends_a_fold_after_the_step_at_hand(log, durability):
    write(log, [("a", value) for value in range(9)])
    stop = durproj.Stop()

    def signalled(state, event):
        if event.body["v"] == 3:
            stop.signum = 15
        return trail(state, event)

    signalled.initial = trail.initial
    with pytest.raises(durproj.Interrupted):
        fold(log, reducer=signalled, durability=durability, stop=stop)
    assert journals(STORE)["projection/a"]["steps"] == 4


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_a_bad_line_leaves_pending_what_went_on_and_nothing_else(log, durability):
    write(log, BOTH)
    fold(log, keys=["a"])
    log.write_text(log.read_text() + "{bad\n")
    watching = Watching()
    with pytest.raises(durproj.BadEvent):
        fold(log, durability=durability, observer=watching)
    assert watching.heads == [
        ("projection/a", "resolved", 2, 2, 0), ("projection/b", "pending", 2, 0, 2)
    ]  # fmt: skip
    write(log, [*BOTH, ("a", 5)])
    log.write_text(log.read_text() + "{bad\n")
    watching = Watching()
    with pytest.raises(durproj.BadEvent):
        fold(log, durability=durability, observer=watching)
    assert watching.heads[0] == ("projection/a", "pending", 3, 2, 1)
    assert {each["status"] for each in journals(STORE).values()} == {"pending"}


def test_a_log_rewritten_while_it_is_folded_proves_nothing_later(log):
    write(log, BOTH)
    changed = [("a", 1), ("b", 9), ("a", 3), ("b", 4)]

    def rewriting(state, event):
        if event.key == "a" and event.body["v"] == 3:
            write(log, [*changed, ("c", 5)])
        return trail(state, event)

    rewriting.initial = trail.initial
    with suppress(durproj.StoreError):
        fold(log, reducer=rewriting)
    assert inputs(journals(STORE)["projection/b"]) == stream(changed, "b")
    assert runs()[0].cursor is None
    write(log, BOTH)
    with pytest.raises(durproj.PastChanged, match="projection/b#0"):
        fold(log, reducer=rewriting)


@pytest.mark.parametrize("change", ["grow", "touch", "replace", "remove"])
def test_a_source_knows_when_its_files_are_no_longer_those_it_read(log, change):
    write(log, BOTH)
    source = Source([str(log)])
    list(source.chunks())
    assert source.unchanged()
    status = log.stat()
    if change == "grow":
        write(log, [*BOTH, ("c", 1)])
    elif change == "touch":
        os.utime(log, ns=(0, 0))
    else:
        content = log.read_bytes()
        log.rename("away")
        if change == "replace":
            log.write_bytes(content)
            os.utime(log, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not source.unchanged()


def test_a_compressed_log_keeps_its_cursor(log):
    write(log, BOTH)
    log.write_bytes(gzip.compress(log.read_bytes()))
    fold(log)
    assert runs()[0].cursor is not None


# -- what is asked for


POLICIES = [
    durproj.Never(),
    durproj.Exponential(retries=7, delay_s=0.25, factor=3, max_delay_s=9.5, on=TRANSIENT),
    durproj.Linear(retries=2, delay_s=1),
    durproj.Constant(retries=0, on=ANY),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
def test_a_fold_is_resumed_with_the_policy_it_was_given(log, policy):
    write(log, BOTH)
    dies(log, 1, retry=policy)
    assert from_options(runs()[0].options["retry"]) == policy
    assert from_options(json.loads(json.dumps(to_options(policy)))) == policy
    resume()
    assert from_options(runs()[0].options["retry"]) == policy


class Own:
    def wait_s(self, failures, error):  # noqa: ARG002
        return None


REFUSED = {
    "a policy of one's own": {"retry": Own()},
    "exceptions of one's own": {"retry": durproj.Exponential(on=(KeyError,))},
    "a delay without end": {"retry": durproj.Linear(delay_s=float("inf"))},
    "a durability there is not": {"durability": "bach"},
    "an initial state JSON cannot carry": {"initial": {1: 2}},
    "an initial state that is no number": {"initial": float("nan")},
    "no key": {"keys": []},
    "a text for keys": {"keys": "ab"},
    "a number for a key": {"keys": [1]},
}


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused_before_a_store_is_made(log, options):
    write(log, BOTH)
    with pytest.raises(durproj.UsageError):
        fold(log, **options)
    assert not STORE.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keys": [7]}, "keys must be text, not [7]\nwrite keys=['7']"),
        ({"keys": ["a", ["b"], None]}, "keys must be text, not [['b'], None]\n"),
        ({"keys": []}, "keys is empty: it names nothing\nleave keys out to take all"),
        ({"keys": "ab"}, "keys is the text 'ab', not a list\nwrite keys=['ab']"),
        ({"retry": Own()}, ", which cannot be stored for resume\na fold takes Exponential, "),
        ({"retry": REFUSED["exceptions of one's own"]["retry"]}, "which cannot be stored for res"),
    ],
)
def test_what_cannot_be_meant_is_told(log, options, said):
    write(log, BOTH)
    with pytest.raises(durproj.UsageError) as refused:
        fold(log, **options)
    assert said in str(refused.value)


@pytest.mark.parametrize("policy", [{"policy": "Never", "on": "any"}, {"policy": "Once"}, {}])
def test_a_stored_policy_that_there_is_not_is_damage(policy):
    with pytest.raises(durproj.StoreDamaged, match="a stored retry policy is malformed: ") as found:
        from_options(policy)
    assert found.value.hint == "durproj did not write this: restore the store from a backup"


@pytest.mark.parametrize("options", [{"ids": []}, {"ids": "projection/a"}, {"keys": "a"}])
def test_resume_wants_lists_too(log, options):
    write(log, BOTH)
    dies(log, 1)
    with pytest.raises(durproj.UsageError):
        resume(**options)


def test_a_reducer_made_by_from_function_is_one(log):
    write(log, BOTH)
    made = durproj.from_function(trail)
    assert durproj.from_function(made) is made
    assert fold(log, reducer=made).executed == 4
    assert fold(log).cached == 4  # it is the same
    other = durproj.from_function(made, {"n": 5, "trail": 7})
    assert other.initial("a") == {"n": 5, "trail": 7}
    assert fold(log, reducer=by_type, name="other").executed == 4


def test_a_bare_run_never_waits_for_standard_input(log, durproj):
    piped = (line("a", 1) + "\n").encode()
    assert durproj("run", "-", "--reducer", "counts", input=piped).code == 0
    bare = durproj("run", input=b"")
    assert bare.code == 2
    assert "came through pipes" in bare.err
    write(log, BOTH)
    assert durproj("run", log, "--reducer", "counts", "--name", "x").code == 0
    assert durproj("run", "-", "--reducer", "counts", input=piped).code == 0
    bare = durproj("run", "--name", "x", "--json")
    assert (bare.code, bare.json[-1]["cached"]) == (0, 4)


def test_a_bare_run_does_not_read_what_is_left_of_a_followed_pipe(log, durproj):
    write(log, BOTH)
    assert durproj("run", log, "--reducer", "counts", "--name", "filed").code == 0
    piped = (line("a", 1) + "\n").encode()
    assert durproj("run", "-", "--follow", "--reducer", "counts", input=piped).code == 0
    bare = durproj("run", "--name", "other", "--reducer", "counts", "--json")
    assert (bare.code, bare.json[0]["input"]) == (0, "log.jsonl")


def test_a_name_keeps_its_reducer_whatever_it_reads(log, durproj):
    write(log, BOTH)
    durproj("run", log, "--reducer", "merge", "--initial", '{"x":1}', "--name", "n", "--user", "a")
    every = durproj("run", log, "--name", "n", "--json")
    assert (every.code, every.json[0]["reducer"], every.json[-1]["executed"]) == (0, "merge", 2)
    states = [each["state"] for each in every.json if each["type"] == "projection"]
    assert [state["x"] for state in states] == [1, 1]
    other = durproj("run", log, "--name", "m", "--json")
    assert other.json[0]["reducer"] == "account"
    assert durproj("fork", "n/a", "--as", "n/try", "--reducer", "counts").code == 0
    again = durproj("run", log, "--name", "n", "--user", "b", "--json")
    assert again.json[0]["reducer"] == "merge"


def test_a_program_that_used_the_name_stops_no_fold_that_was_begun_otherwise(log, durproj):
    write(log, BOTH)
    store = log.parent / "durproj.db"
    assert durproj("run", log, "--reducer", "counts", "--user", "a").code == 0
    fold_by_library(
        log, keys=["b"], reducer=lambda state, event: {**state, "t": event.type}, store=store
    )
    again = durproj("run", log, "--user", "a", "--json")
    assert (again.code, again.json[-1]["cached"]) == (0, 2)


@pytest.mark.parametrize("store", ["durproj.db", "../elsewhere.db", "../there/s.db"])
def test_a_glob_is_one_in_a_folder_with_brackets_too(log, durproj, store):
    folder = log.parent / "a[1]"
    (folder / "sub").mkdir(parents=True)
    (log.parent / "there").mkdir()
    write(folder / "sub" / "1.jsonl", BOTH)
    args = ["--reducer", "counts", "--store", store, "--json"]
    done = durproj("run", "sub/*.jsonl", *args, cwd=folder)
    assert (done.code, done.json[-1]["executed"]) == (0, 4), done.err
    write(folder / "sub" / "1.jsonl", [*BOTH, ("a", 5)])
    again = durproj(
        "run", "--store", (folder / store).resolve(), "--json", cwd=log.parent / "there"
    )
    assert (again.code, again.json[-1]["executed"]) == (0, 1), again.err
