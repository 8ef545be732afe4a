"""The past is guarded: a cached step is served only to the event and the function it was recorded for."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from dying import journals, line, tables, trail, write

import durproj
from durproj import Mapping, PastChanged

N = 6
EVENTS = [event for i in range(N) for event in (("u1", i), ("u2", 10 + i))]
POSITIONS = [0, 2, N - 1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "log", EVENTS)
    return tmp_path


def fold(log="log", **options):
    return durproj.fold(log, **{"reducer": trail, "store": "s.db", **options})


def at(step):
    """Where in EVENTS the event of projection/u1#step is."""
    return 2 * step


def edited(events, step):
    return [*events[: at(step)], ("u1", 99), *events[at(step) + 1 :]]


def swapped(events, step):
    one, two = sorted((at(step), at(step + 1 if step < N - 1 else step - 1)))
    return [*events[:one], events[two], *events[one + 1 : two], events[one], *events[two + 1 :]]


def inserted(events, step):
    return [*events[: at(step)], ("u1", 99), *events[at(step) :]]


def deleted(events, step):
    return [*events[: at(step)], *events[at(step) + 1 :]]


def shorter(events, step):
    return events[: at(step)]


CHANGES = [edited, swapped, inserted, deleted, shorter]


def first_difference(change, step):
    return step - 1 if change is swapped and step == N - 1 else step


def refused(place, *, step=None, id="projection/u1", **options):
    """The error of a fold that must be refused, which leaves the store as it was and resume at peace."""
    before = tables(place / "s.db")
    with pytest.raises(PastChanged) as caught:
        fold(**options)
    error = caught.value
    assert error.exit_code == 4
    assert error.id == id
    if step is not None:
        assert error.step == step
        assert f"{id}#{step}: the past changed" in str(error)
    assert f"recorded: {error.recorded}" in str(error)
    assert f"now:      {error.present}" in str(error)
    assert "--name" in error.hint
    assert "--restart" in error.hint
    assert tables(place / "s.db") == before
    assert durproj.resume(store="s.db").projections == 0
    return error


@pytest.mark.parametrize("step", POSITIONS)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("keys", [None, ["u1"]], ids=["all", "user"])
def test_a_changed_past_is_refused_at_its_first_difference(place, change, step, keys):
    fold(keys=keys)
    changed = change(EVENTS, step)
    write(place / "log", changed)
    first = first_difference(change, step)
    error = refused(place, step=first, keys=keys)
    # What was recorded, and what is there now: the event now at that place, or the end of the log.
    now = [event for event in changed if event[0] == "u1"]
    assert line("u1", first) in error.recorded
    expected = line(*now[first]) if first < len(now) else "the log ends before this event"
    assert expected in error.present
    if first:
        assert f"from {first} on" in error.hint


@pytest.mark.parametrize("step", POSITIONS)
def test_the_log_put_back_is_accepted_again(place, step):
    fold()
    whole = journals(place / "s.db")
    write(place / "log", edited(EVENTS, step))
    refused(place, step=step)
    write(place / "log", [*EVENTS, ("u1", 7)])
    assert fold().executed == 1
    assert journals(place / "s.db")["projection/u2"] == whole["projection/u2"]


@pytest.mark.parametrize("step", POSITIONS)
@pytest.mark.parametrize("change", [edited, swapped, deleted, shorter])
def test_a_past_that_changes_between_a_crash_and_its_resume_is_refused(
    place, durproj, change, step
):
    crashed = durproj("run", "log", "--reducer", "counts", "--user", "u1", "--crash", N - 1)
    assert crashed.code == 3
    write(place / "log", change(EVENTS, step))
    first = first_difference(change, step)
    resumed = durproj("resume", "--json")
    if first == N - 1:
        # Step N-1 was never recorded: the log may say what it likes there.
        assert resumed.code == 0
        return
    assert resumed.code == 4
    assert f"projection/u1#{first}" in resumed.err
    assert line("u1", first) in resumed.err
    assert resumed.json[-1]["exit"] == 4
    assert resumed.json[-1]["executed"] == 0


def test_an_emptied_log_is_refused(place):
    fold()
    (place / "log").write_bytes(b"")
    refused(place, step=0)


def test_a_stream_that_is_gone_is_refused(place):
    fold()
    write(place / "log", [event for event in EVENTS if event[0] == "u2"])
    error = refused(place, step=0)
    assert error.present == "the log ends before this event"


@pytest.mark.parametrize("step", POSITIONS)
def test_one_user_does_not_mind_the_other_streams(place, step):
    fold(keys=["u2"])
    write(place / "log", edited(EVENTS, step))
    assert fold(keys=["u2"]).executed == 0
    fold(keys=["u2"])


def test_the_same_size_and_time_hide_no_edit(place):
    fold()
    status = os.stat("log")
    changed = (place / "log").read_text().replace('"v": 2}', '"v": 3}', 1)
    (place / "log").write_text(changed)
    os.utime("log", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert os.stat("log").st_size == status.st_size
    refused(place, step=2)


@pytest.mark.parametrize("cut", [2, 6, 10])
@pytest.mark.parametrize("end", ["\n", ""], ids=["whole line", "unfinished line"])
@pytest.mark.parametrize("keys", [None, ["u1"]], ids=["all", "user"])
def test_appending_executes_only_what_is_new(place, cut, end, keys):
    write(place / "log", EVENTS[:cut], end)
    fold(keys=keys)
    write(place / "log", EVENTS, end)
    counts = fold(keys=keys)
    held = cut if keys is None else cut // 2
    total = len(EVENTS) if keys is None else N
    assert (counts.cached, counts.executed) == (held, total - held)
    assert fold(keys=keys).executed == 0
    fold(keys=keys, store="fresh.db")
    assert journals(place / "s.db") == journals(place / "fresh.db")


def test_the_same_bytes_compressed_are_the_same_log(place):
    fold()
    (place / "log").write_bytes(gzip.compress((place / "log").read_bytes()))
    assert fold().executed == 0


def test_a_renamed_log_is_the_same_log(place):
    fold()
    os.rename("log", "other")
    counts = fold("other")
    assert (counts.cached, counts.executed) == (len(EVENTS), 0)
    write(place / "other", [*EVENTS, ("u1", 7)])
    assert fold("other").executed == 1


@pytest.mark.parametrize("step", POSITIONS)
def test_a_renamed_and_edited_log_is_refused_and_takes_nothing_over(place, step):
    fold()
    os.remove("log")
    write(place / "other", edited(EVENTS, step))
    refused(place, step=step, log="other")
    write(place / "other", [*EVENTS[:1], ("u2", 99), *EVENTS[2:]])
    refused(place, step=0, id="projection/u2", log="other")


# -- reducers, envelopes and initial states

REDUCER = """
RATE = 1

def twice(x):
    return 2 * x * RATE

def total(state, event, step=1):
    return {"n": state["n"] + step, "sum": state["sum"] + twice(event.body["v"])}

total.initial = {"n": 0, "sum": 0}
"""

EDITS = {
    "body": ('"n": state["n"] + step', '"n": state["n"] - step'),
    "default": ("step=1", "step=2"),
    "callee": ("2 * x", "3 * x"),
    "constant": ("RATE = 1", "RATE = 5"),
}


def run_file(place, durproj, *args):
    return durproj("run", "log", "--reducer", "mine.py:total", *args)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("resumed", [False, True], ids=["run", "resume"])
def test_a_changed_reducer_is_refused_until_it_is_accepted(place, durproj, edit, resumed):
    (place / "mine.py").write_text(REDUCER)
    crash = ["--crash", "4"] if resumed else []
    assert run_file(place, durproj, *crash).code == (3 if resumed else 0)
    before = tables(place / "durproj.db")
    (place / "mine.py").write_text(REDUCER.replace(*EDITS[edit]))
    again = durproj("resume") if resumed else run_file(place, durproj)
    assert again.code == 4, again.err
    recorded = json.loads(before["run"][0][3])["fingerprint"]
    assert f"mine.py:total ({recorded})" in again.err
    assert again.err.count("mine.py:total (") == 2
    assert "--accept-reducer" in again.err
    assert tables(place / "durproj.db") == before
    way = ["--accept-reducer"]
    accepted = durproj("resume", *way) if resumed else run_file(place, durproj, *way)
    assert accepted.code == 0
    assert run_file(place, durproj).code == 0


def test_a_comment_in_the_reducer_changes_nothing(place, durproj):
    (place / "mine.py").write_text(REDUCER)
    assert run_file(place, durproj).code == 0
    (place / "mine.py").write_text(REDUCER.replace("def total", "# the sum\n\n\ndef total"))
    again = run_file(place, durproj, "--json")
    assert (again.code, again.json[-1]["executed"]) == (0, 0)


def test_an_edit_of_what_a_reducer_imports_is_seen_by_its_version_or_a_refold(place, durproj):
    text = "import helper\n\ndef total(state, event):\n    return {'n': helper.add(state.get('n', 0), 1)}\n"
    (place / "mine.py").write_text(text)
    (place / "helper.py").write_text("def add(a, b):\n    return a + b\n")
    assert run_file(place, durproj, "--crash", "4").code == 3
    (place / "helper.py").write_text("def add(a, b):\n    return a + b + 1\n")
    assert durproj("resume").code == 0  # README, limits: the guard sees the reducer's own file
    refolded = durproj("verify", "--refold")
    assert refolded.code == 1
    assert "different" in refolded.out
    for version, code in ((1, 0), (1, 0), (2, 4)):
        (place / "mine.py").write_text(f"{text}\ntotal.version = {version}\n")
        assert run_file(place, durproj, "--name", "versioned").code == code


OPTIONS = {
    "initial state": {"initial": {"n": 1, "trail": 7}},
    "envelope": {"mapping": Mapping(type="v")},
    "--no-key": {"no_key": "skip"},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_other_ways_to_read_the_log_are_refused(place, option):
    fold()
    error = refused(place, step=0, **OPTIONS[option])
    assert error.recorded.startswith(option)
    assert error.present.startswith(option)


def test_another_initial_state_can_be_accepted_for_new_steps(place):
    fold()
    write(place / "log", [*EVENTS, ("u1", 7)])
    assert fold(initial={"n": 5, "trail": 7}, accept_reducer=True).executed == 1
    assert durproj.inspect("projection/u1", store="s.db")["state"]["n"] == N + 1


# -- the ways on


@pytest.mark.parametrize("step", POSITIONS)
def test_restart_folds_again(place, step):
    fold()
    write(place / "log", edited(EVENTS, step))
    refused(place, step=step)
    assert fold(restart=True).executed == len(EVENTS)
    fold(store="fresh.db")
    assert journals(place / "s.db") == journals(place / "fresh.db")


@pytest.mark.parametrize("step", POSITIONS)
def test_rewind_keeps_what_is_before_the_change(place, step):
    fold()
    write(place / "log", edited(EVENTS, step))
    refused(place, step=step)
    assert durproj.rewind("projection/u1", step - 1, store="s.db") == N - step
    assert fold().executed == N - step
    fold(store="fresh.db")
    assert journals(place / "s.db") == journals(place / "fresh.db")


def test_another_name_keeps_both(place):
    fold()
    whole = journals(place / "s.db")
    write(place / "log", edited(EVENTS, 0))
    refused(place, step=0)
    assert fold(name="other").executed == len(EVENTS)
    found = journals(place / "s.db")
    assert {id: found[id] for id in whole} == whole


def test_a_program_and_a_fold_do_not_share_an_id(place):
    def workflow(ctx):
        return (yield ctx.run(len, "abc"))

    assert durproj.run("projection/u1", workflow, store="s.db") == 3
    with pytest.raises(PastChanged, match="--name"):
        fold(keys=["u1"])
    with pytest.raises(PastChanged, match="a projection of a log"):
        fold(keys=["u2"])
        durproj.run("projection/u2", workflow, store="s.db")


# -- what resume finds


def test_two_unfinished_runs_are_both_resumed(place, durproj):
    for name in ("a", "b"):
        assert durproj("run", "log", "--reducer", "counts", "--name", name, "--crash", 2).code == 3
    resumed = durproj("resume", "--json")
    assert resumed.code == 0
    found = journals(place / "durproj.db")
    assert {(id, each["status"], each["steps"]) for id, each in found.items()} == {
        (f"{name}/{key}", "resolved", N) for name in "ab" for key in ("u1", "u2")
    }
    assert "nothing to resume" in durproj("resume").err


def test_one_workflow_of_an_unfinished_run_is_resumed_alone(place, durproj):
    assert durproj("run", "log", "--reducer", "counts", "--crash", 2).code == 3
    assert durproj("resume", "projection/u1").code == 0
    found = journals(place / "durproj.db")
    assert found["projection/u1"]["steps"] == N
    assert durproj("resume").code == 0
    assert journals(place / "durproj.db")["projection/u2"]["steps"] == N
    again = durproj("resume", "projection/u1")
    assert again.code == 0
    assert "nothing to resume" in again.err


def test_a_mended_line_is_gone_on_with(place):
    write(place / "log", EVENTS)
    good = (place / "log").read_text()
    (place / "log").write_text(good.replace(line("u1", 3), '{"key": "u1", "type"'))
    with pytest.raises(durproj.BadEvent) as caught:
        fold()
    assert caught.value.line == 7
    assert sum(each["steps"] for each in journals(place / "s.db").values()) == 6
    with pytest.raises(durproj.BadEvent):
        durproj.resume(store="s.db")
    (place / "log").write_text(good)
    assert durproj.resume(store="s.db").executed == len(EVENTS) - 6
    fold(store="fresh.db")
    assert journals(place / "s.db") == journals(place / "fresh.db")
