"""durproj find as its users meet it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, environment

ECOM = ROOT.parent / "shared" / "data" / "ecom.csv.gz"
ID = "projection/u1"


@pytest.fixture
def sample(durproj):
    assert durproj("run", "-q").code == 0
    return durproj


def test_the_event_that_made_it_true_is_shown_with_what_it_changed(sample):
    found = sample("find", ID, "size(state.activeOrders) > 1")
    assert found.out == (
        "projection/u1#4  2026-01-15T09:30:00Z  OrderPlaced  evt_005"
        '  totalOrders 1→2  +activeOrders[1] "ord_002"  eventsProcessed 4→5\n'
    )
    assert (found.code, found.err) == (0, "durproj: 1 step found\n")


def test_json_has_the_records_of_the_library_call_and_nothing_else(sample):
    import durproj

    for flags, how in (
        ([], {}),
        (["--all"], {"which": "all"}),
        (["--last"], {"which": "last"}),
        (["--bisect"], {"bisect": True}),
    ):
        found = sample("find", ID, "state.totalOrders >= 1", *flags, "--json", "--stable", "-q")
        store = sample.folder / "durproj.db"
        expected = durproj.find(ID, "state.totalOrders >= 1", store=store, **how)
        assert found.json == list(expected)
        assert (found.code, found.err) == (0, "")


@pytest.mark.parametrize("flags", [[], ["--all"], ["--last"], ["--bisect"], ["--json"]])
def test_nothing_found_is_exit_code_1(sample, flags):
    found = sample("find", ID, "state.totalOrders > 100", *flags)
    assert (found.code, found.out) == (1, "")
    assert "durproj: no step found" in found.err


def test_a_limit_is_the_most_that_is_shown(sample):
    sample("run", "--name", "other", "-q")
    condition = "state.totalOrders >= 1"
    found = sample("find", "--all-ids", condition, "--all", "--limit", 7, "--json")
    whole = sample("find", "--all-ids", condition, "--all", "--json")
    assert found.json == whole.json[:7]
    assert found.err == (
        "durproj: 7 steps found in 2 of 2 projections; --limit 7 leaves out what follows\n"
    )
    assert len(whole.json) == 10
    one = sample("find", ID, condition, "--all", "--limit", 20)
    assert one.err == "durproj: 5 steps found\n"
    assert sample("find", ID, condition, "--limit", 0).code == 2


def test_a_bisection_says_how_many_checkpoints_it_read(sample):
    found = sample("find", ID, "state.totalOrders >= 2", "--bisect")
    assert found.out.startswith("projection/u1#4  ")
    assert found.err == "durproj: 1 step found; 5 checkpoints read\n"
    found = sample("find", ID, "size(state.activeOrders) > 0", "--bisect")
    assert found.code == 1
    assert "durproj: it does not hold at the last step, 7; " in found.err
    found = sample("find", ID, "state.totalOrders >= 0", "--bisect")
    assert found.code == 0
    assert "durproj: it holds at the first step already, 0\n" in found.err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([ID, "state.balance <"], 2, "cannot be read at character 16: it ends where a value was"),
        ([ID, "state.balance < 0"], 2, "at none of 8 steps: projection/u1#7: there is no field"),
        ([ID, "state.totalOrders"], 2, "gives the number 0, where true or false was expected"),
        ([ID, "totalOrders > 1"], 2, "state.totalOrders, perhaps"),
        (["step == 1"], 2, "an ID and a condition expected, met 1: step == 1"),
        ([ID, "step == 1", "--all-ids"], 2, "a condition and no ID expected, met 2"),
        ([ID, "step == 1", "--all", "--last"], 2, "--all and --last ask for different steps"),
        ([ID, "step == 1", "--bisect", "--all"], 2, "--bisect finds the first step"),
        (["projection/u2", "step == 1"], 66, "projection/u2: no such workflow"),
        (["--name", "v2", "step == 1"], 66, "no workflow in durproj.db has the name v2"),
        ([ID, "step == 1", "--store", "no.db"], 66, "no.db: no such store"),
    ],
)
def test_what_cannot_be_searched_is_said(sample, args, code, said):
    found = sample("find", *args)
    assert (found.code, found.out) == (code, "")
    assert said in found.err
    assert "Traceback" not in found.err


def test_over_all_projections_a_count_is_said_in_the_end(durproj):
    lines = [{"user": f"u{n % 5}", "type": "T", "n": n} for n in range(50)]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    for name in ("projection", "other"):
        args = ["run", "log.jsonl", "--reducer", "merge", "--key", "user", "--name", name]
        assert durproj(*args).code == 0
    found = durproj("find", "--all-ids", "state.n == 47", "--color=never")
    assert [line.split(" ")[0] for line in found.out.splitlines()] == [
        "projection/u2#9",
        "other/u2#9",
    ]
    assert found.err == "durproj: 2 steps found in 2 of 10 projections\n"
    found = durproj("find", "--name", "other", 'event.body.user == "u3"', "--all", "--json")
    assert [record["step"] for record in found.json] == list(range(10))
    assert found.err == "durproj: 10 steps found in 1 of 5 projections\n"


def test_steps_at_which_it_could_not_be_told_are_counted_on_stderr(durproj):
    lines = [{"user": "u1", "n": n} for n in (None, "x", 3)]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    assert durproj("run", "log.jsonl", "--reducer", "merge", "--key", "user").code == 0
    found = durproj("find", ID, "state.n > 1", "--json")
    assert [record["step"] for record in found.json] == [2]
    assert "durproj: at 2 steps the condition could not be evaluated" in found.err
    assert "the last one: projection/u1#1: " in found.err


@pytest.mark.skipif(not ECOM.exists(), reason="the real data is not here")
def test_a_real_log_is_searched(durproj):
    with gzip.open(ECOM, "rt") as rows:
        header = next(rows).strip().split(",")
        first = dict(zip(header, next(rows).strip().split(","), strict=False))
    key = next(name for name in header if "user" in name or "customer" in name.lower())
    args = ["run", ECOM, "--format", "csv", "--key", key, "--user", first[key]]
    assert durproj(*args, "--reducer", "counts").code == 0
    found = durproj("find", f"projection/{first[key]}", "state.events == 1", "--json")
    assert (found.code, found.json[0]["step"]) == (0, 0)


@pytest.mark.parametrize("ignored", [False, True], ids=["heard", "ignored"])
def test_an_interrupt_ends_a_search_at_once_unless_the_shell_has_it_ignored(durproj, ignored):
    log = "".join(f'{{"user":"u","type":"T","n":{n}}}\n' for n in range(3000))
    (durproj.folder / "log.jsonl").write_text(log)
    durproj(
        "run", "log.jsonl", "--key", "user", "--reducer", "merge", "--durability", "batch", "-q"
    )
    trap = "trap '' INT; " if ignored else ""
    search = subprocess.Popen(
        ["sh", "-c", f"{trap}exec {sys.executable} -m durproj find projection/u true --all --json"],
        cwd=durproj.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert json.loads(search.stdout.readline())["step"] == 0
    # It cannot have come to its end: more is to be said than a pipe holds.
    os.kill(search.pid, signal.SIGINT)
    rest, said = search.communicate(timeout=60)
    # A shell calls the end by this signal 130.
    assert search.returncode == (0 if ignored else -signal.SIGINT)
    assert said == (b"durproj: 3,000 steps found\n" if ignored else b"")
    assert (rest.count(b"\n") == 2999) == ignored
