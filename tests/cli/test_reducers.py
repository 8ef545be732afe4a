"""Reducers in jq, handlers by type and upcasts, as the command line's users meet them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from conftest import ROOT

OPEN = '.state | .open += ({"OrderPlaced": 1, "OrderShipped": -1, "OrderCancelled": -1}[$event.type] // 0)'
PYTHON = """
def placed(state, event): return {"open": state.get("open", 0) + 1}
def closed(state, event): return {"open": state.get("open", 0) - 1}
def paid(state, event): return {"open": state.get("open", 0)}
on = {"OrderPlaced": placed, "OrderShipped": closed, "OrderCancelled": closed, "OrderPaid": paid}
"""
UPCAST = """
def total(state, event):
    return {"total": state["total"] + event.data["amount"]}
def modern(event):
    if event.type == "PaidCents":
        return event.replace(type="Paid", data={"amount": event.data["cents"] / 100})
    return event
total.initial = {"total": 0}
total.upcast = modern
"""


@pytest.fixture
def folder(durproj):
    shutil.copy(ROOT / "sample_events" / "shop.jsonl", durproj.folder)
    (durproj.folder / "handlers.py").write_text(PYTHON)
    return durproj.folder


def rows(folder, store, query):
    with closing(sqlite3.connect(folder / store)) as opened:
        return opened.execute(query).fetchall()


def states(folder, store):
    return dict(rows(folder, store, "select id, state from projections"))


def test_jq_handlers_and_python_come_to_the_same(durproj, folder):
    assert durproj("run", "shop.jsonl", "--jq", OPEN, "--store", "1.db").code == 0
    done = durproj("run", "shop.jsonl", "--reducer", f"jq:{OPEN}", "--store", "2.db")
    assert done.code == 0
    assert durproj("run", "shop.jsonl", "--reducer", "handlers.py:on", "--store", "3.db").code == 0
    found = [states(folder, f"{n}.db") for n in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 12


@pytest.mark.parametrize("how", ["EXIT", "KILL"])
@pytest.mark.parametrize("reducer", [("--jq", OPEN), ("--reducer", "handlers.py:on")], ids=str)
def test_a_crash_is_nothing(durproj, folder, reducer, how):
    args = ("run", "shop.jsonl", *reducer, "--user", "hana")
    assert durproj(*args, "--crash", 7, "--crash-with", how).code == (3 if how == "EXIT" else -9)
    assert durproj("resume").code == 0
    assert durproj(*args, "--store", "whole.db").code == 0
    shown = [
        durproj("inspect", "projection/hana", "--json", "--stable", "--store", store).json[0]
        for store in ("durproj.db", "whole.db")
    ]
    assert shown[0]["steps"] == 36
    for field in ("state", "status", "steps", "reducer", "events_seen"):
        assert shown[0][field] == shown[1][field]
    hashes = [
        rows(folder, store, "select hash from workflow") for store in ("durproj.db", "whole.db")
    ]
    assert hashes[0] == hashes[1]


def test_the_text_of_a_file_is_kept_not_its_name(durproj, folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "open.jq").write_text(f"# Orders under way.\n{OPEN}\n")
    args = ("run", "../shop.jsonl", "--store", "../s.db", "--jq", "@open.jq", "--user", "hana")
    assert durproj(*args, "--crash", 3, cwd=folder / "sub").code == 3
    (folder / "sub" / "open.jq").unlink()
    assert durproj("resume", "--store", "s.db").code == 0
    shown = durproj("inspect", "projection/hana", "--store", "s.db", "--json").json[0]
    assert shown["reducer"] == f"jq:# Orders under way.\n{OPEN}"


def test_a_program_that_looks_like_a_file_and_a_function_is_none(durproj, folder):
    program = '.state | .like = "some/shop.py:orders"'
    args = ("run", "shop.jsonl", "--user", "hana", "--store", "elsewhere/s.db")
    (folder / "elsewhere").mkdir()
    assert durproj(*args, "--jq", program, "--crash", 3).code == 3
    assert durproj("resume", "--store", "elsewhere/s.db").code == 0
    ((_, state),) = states(folder, "elsewhere/s.db").items()
    assert json.loads(state) == {"like": "some/shop.py:orders"}


def test_a_changed_program_is_refused_with_both_texts_in_short(durproj, folder):
    before = f"{OPEN} | .some_other_field_with_a_long_name = 1 | .by = 1"
    after = f"{OPEN} | .some_other_field_with_a_long_name = 1 | .by = 2"
    args = ("run", "shop.jsonl", "--user", "hana", "--jq")
    assert durproj(*args, before).code == 0
    done = durproj(*args, after)
    assert done.code == 4
    recorded, now = (line for line in done.err.splitlines() if "reducer " in line)
    assert "recorded: reducer …" in recorded
    assert ".by = 1 (" in recorded
    assert "now:      reducer …" in now
    assert ".by = 2 (" in now
    assert durproj(*args, after, "--accept-reducer").code == 0
    assert durproj("run", "shop.jsonl", "--user", "hana").code == 0
    done = durproj(*args, "# new\n.state")
    assert done.code == 4
    assert "now:      reducer jq:# new\\n.state (" in done.err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--jq", ".state |"], "syntax error"),
        (["--jq", "@none.jq"], "none.jq: No such file"),
        (["--jq", ".", "--reducer", "counts"], "--jq and --reducer both name a reducer"),
        (["--reducer", "handlers.py:one"], "did you mean 'on'?"),
    ],
)
def test_what_cannot_be_used_is_refused_before_there_is_a_store(durproj, folder, args, text):
    done = durproj("run", "shop.jsonl", *args)
    assert done.code == 2
    assert text in done.err
    assert "Traceback" not in done.err
    assert not (folder / "durproj.db").exists()


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("if $event.type == 3 then .state else empty end", "gave no output"),
        ("1, 2", "several outputs"),
        ('error("red \\u001b[31m")', "red \\x1b[31m"),
        (".event.data + 1", "cannot be added"),
    ],
)
def test_a_program_that_fails_fails_the_step_once(durproj, folder, program, text):
    done = durproj("run", "shop.jsonl", "--jq", program)
    assert done.code == 1
    assert "JqError: " in done.err
    assert text in done.err
    assert "retrying" not in done.err
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err


def test_the_package_is_asked_for_where_it_is_not_installed(durproj, folder):
    (folder / "without").mkdir()
    (folder / "without" / "jq.py").write_text("raise ModuleNotFoundError(name='jq')\n")
    path = {"PYTHONPATH": f"{folder / 'without'}:{ROOT}"}
    done = durproj("run", "shop.jsonl", "--jq", ".state", env=path)
    assert done.code == 2
    assert "pip install 'durproj[jq]'" in done.err
    assert durproj("run", "shop.jsonl", "--reducer", "counts", env=path).code == 0


def test_an_upcast_changes_what_the_reducer_sees_and_nothing_that_is_recorded(durproj):
    lines = [
        {"user": "a", "type": "PaidCents", "data": {"cents": 250}},
        {"user": "a", "type": "Paid", "data": {"amount": 2}},
    ]
    log = durproj.folder / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (durproj.folder / "pay.py").write_text(UPCAST)
    args = ("run", "log.jsonl", "--reducer", "pay.py:total")
    done = durproj(*args)
    assert done.code == 0
    assert "PaidCents" in done.out
    assert durproj("inspect", "projection/a", "--json").json[0]["state"] == {"total": 4.5}
    assert durproj("inspect", "projection/a#0", "--json").json[0]["event"] == lines[0]
    (durproj.folder / "pay.py").write_text(UPCAST.replace("/ 100", "/ 10"))
    assert durproj(*args).code == 4


def test_an_upcast_that_forgets_to_return_fails_the_step(durproj):
    (durproj.folder / "log.jsonl").write_text('{"user":"a","type":"Other","data":{}}\n')
    (durproj.folder / "pay.py").write_text(UPCAST.replace("    return event\n", "    pass\n"))
    done = durproj("run", "log.jsonl", "--reducer", "pay.py:total")
    assert done.code == 1
    assert "upcast returned a NoneType for an event of type Other" in done.err
