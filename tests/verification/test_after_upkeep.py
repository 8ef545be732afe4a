"""`verify` of what was trimmed, forked and promoted, and of what a store lacks."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import durproj as library
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

REDUCER = """
def total(state, event):
    if event.data["v"] == 13:
        raise ValueError("poison")
    return {"sum": state["sum"] + event.data["v"], "key": event.key}

def initial(key):
    return {"sum": 0, "key": key}

total.initial = initial
"""
STEPS = 30


class Shop:
    """A store with `projection/a` and `projection/b`, of 30 steps each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "s.db"
        self.code(REDUCER)
        self.log(self.events())
        self.fold()

    def events(self):
        return [
            {"key": key, "type": "T", "id": f"{key}{n}", "data": {"v": n}}
            for n in range(STEPS)
            for key in "ab"
        ]

    def log(self, lines):
        (self.folder / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))

    def code(self, text):
        (self.folder / "r.py").write_text(text)

    def fold(self, name="projection", **how):
        library.fold(
            self.folder / "log.jsonl", reducer=f"{self.folder}/r.py:total", store=self.store, name=name,
            durability="batch", on_error="skip", **how,
        )  # fmt: skip

    def verify(self, *ids, **how):
        """The records by id, and the summary."""
        *records, summary = library.verify(ids or None, store=self.store, **how)
        return {record["id"]: record for record in records}, summary


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def trimmed(shop, steps=10):
    """`projection/a` without its oldest steps."""
    with closing(SqliteStore.open_writer(shop.store)) as opened:
        Journal.open(opened, "projection/a").trim(steps)
    return STEPS - steps


# -- trimmed


@pytest.mark.parametrize("kept", [10, 1, 0])
def test_a_trimmed_workflow_is_folded_from_the_first_event_of_its_log(shop, kept):
    first = trimmed(shop, kept)
    records, summary = shop.verify(refold=True)
    a = records["projection/a"]
    assert (a["status"], a["from"], a["kept_from"]) == ("ok", "log", first)
    assert (a["steps"], a["refolded"]) == (kept, STEPS if kept else first)
    assert "kept_from" not in records["projection/b"]
    assert (summary["steps"], summary["refolded"]) == (STEPS + kept, 2 * STEPS)


@pytest.mark.parametrize("kept", [10, 0])
def test_an_event_of_a_step_that_is_not_kept_is_compared_by_its_digest(shop, kept):
    first = trimmed(shop, kept)
    lines = shop.events()
    lines[6]["id"] = "another"
    shop.log(lines)
    records, _ = shop.verify(refold=True)
    (found,) = records["projection/a"]["differences"]
    assert (found["differs"], found["step"]) == ("event", first - 1)
    assert found["reason"] == f"one of the first {first}, whose steps are no longer kept"
    assert records["projection/b"]["status"] == "ok"


@pytest.mark.parametrize("kept", [10, 0])
def test_a_reducer_that_leads_the_dropped_steps_elsewhere_is_noticed_at_the_first_kept_state(
    shop, kept
):
    first = trimmed(shop, kept)
    shop.code(REDUCER.replace('+ event.data["v"]', '+ event.data["v"] + (event.id == "a3")'))
    records, _ = shop.verify("projection/a", refold=True)
    (found,) = records["projection/a"]["differences"]
    assert (found["differs"], found["step"]) == ("state", first if kept else first - 1)
    assert [change["path"] for change in found["changes"]] == ["sum"]
    assert "a step before it that is no longer kept" in found["reason"]


def test_a_log_that_ends_or_is_bad_before_the_first_kept_step_is_different(shop):
    trimmed(shop)
    shop.log(shop.events()[:20])
    (found,) = shop.verify("projection/a", refold=True)[0]["projection/a"]["differences"]
    assert (found["differs"], found["step"]) == ("length", 10)
    with (shop.folder / "log.jsonl").open("a") as file:
        file.write("{oops\n")
    (found,) = shop.verify("projection/a", refold=True)[0]["projection/a"]["differences"]
    assert (found["differs"], "log.jsonl:21" in found["reason"]) == ("event", True)


def test_without_the_log_a_trimmed_workflow_is_gone_on_with_from_its_first_kept_state(shop):
    first = trimmed(shop)
    (shop.folder / "log.jsonl").unlink()
    records, summary = shop.verify(refold=True, twice=True)
    a = records["projection/a"]
    assert (a["status"], a["from"], a["kept_from"]) == ("ok", "journal", first)
    assert (a["refolded"], a["folded_twice"]) == (9, 9)
    assert (summary["refolded"], summary["folded_twice"]) == (STEPS + 9, STEPS + 9)
    shop.code(REDUCER.replace("return {", "return {'new': 1, "))
    (found,) = shop.verify("projection/a", refold=True)[0]["projection/a"]["differences"]
    assert found["step"] == first + 1


@pytest.mark.parametrize("kept", [1, 0])
def test_a_workflow_of_which_nothing_could_be_executed_is_not_green(shop, kept):
    trimmed(shop, kept)
    (shop.folder / "log.jsonl").unlink()
    for how in ({"refold": True}, {"twice": True}):
        records, summary = shop.verify(**how)
        a = records["projection/a"]
        assert (a["status"], summary["exit"]) == ("unverifiable", 1)
        assert a["reason"].startswith(f"steps before {STEPS - kept} are no longer kept, and")
        assert records["projection/b"]["status"] == "ok"


def test_people_are_told_how_much_is_kept_and_was_executed(durproj):
    shop = Shop(durproj.folder)
    trimmed(shop)
    (durproj.folder / "log.jsonl").unlink()
    done = durproj("verify", "--refold", "-v", "--store", "s.db")
    assert done.out.splitlines() == [
        "ok            projection/a  10 of 30 steps, kept from 20; folded again: 9 steps",
        "ok            projection/b  30 steps",
        "2 workflows, 40 steps: all verified; folded again: 2 from the journal, 39 steps",
    ]


# -- forked and promoted


def test_a_fork_is_folded_again_from_its_own_events_and_with_their_key(shop):
    other = {"key": "a", "type": "T", "id": "x", "data": {"v": 100}}
    library.fork("projection/a", "what/if", replace={3: other}, store=shop.store)
    library.fork("what/if", "again", drop=[5], store=shop.store)
    records, _ = shop.verify(refold=True, twice=True)
    assert {record["status"] for record in records.values()} == {"ok"}
    assert {id: record["from"] for id, record in records.items()} == {
        "projection/a": "log", "projection/b": "log", "what/if": "journal", "again/if": "journal",
    }  # fmt: skip
    assert "a fork" in records["what/if"]["note"]
    shop.code(REDUCER.replace('+ event.data["v"]', '+ event.data["v"] + (event.id == "x")'))
    (found,) = shop.verify("what/if", refold=True)[0]["what/if"]["differences"]
    assert (found["step"], found["event"]["id"]) == (3, "x")


def test_a_fork_of_a_trimmed_workflow_is_gone_on_with(shop):
    first = trimmed(shop)
    library.fork("projection/a", "fork", drop=[first + 4], store=shop.store)
    record = shop.verify("fork/a", refold=True)[0]["fork/a"]
    assert (record["status"], record["kept_from"], record["refolded"]) == ("ok", first, 8)


def test_what_was_promoted_is_folded_again_from_its_log(shop):
    shop.fold("new")
    library.promote("new", "projection", store=shop.store)
    trimmed(shop)
    records, summary = shop.verify(refold=True, twice=True)
    assert (summary["ok"], summary["exit"]) == (4, 0)
    assert {record["from"] for record in records.values()} == {"log"}
    assert set(records) == {
        f"{name}/{key}" for name in ("projection", "projection@old") for key in "ab"
    }


# -- reducers


def test_a_step_is_told_from_its_run_where_another_version_made_it(shop):
    shop.code(REDUCER.replace("return {", "return {'new': 1, "))
    shop.log([*shop.events(), {"key": "a", "type": "T", "id": "late", "data": {"v": 1}}])
    shop.fold(accept_reducer=True)
    (found,) = shop.verify("projection/a", refold=True)[0]["projection/a"]["differences"]
    assert (found["step"], found["reason"]) == (0, "made with another version of the reducer")


def test_a_changed_initial_state_and_a_reducer_that_is_not_pure_are_told_apart(shop):
    shop.code(REDUCER.replace('"sum": 0', '"sum": 1'))
    (found,) = shop.verify("projection/a", refold=True)[0]["projection/a"]["differences"]
    assert (found["step"], found["reason"]) == (0, "the initial state has changed since")
    shop.code("import random\n" + REDUCER.replace("return {", "return {'x': random.random(), "))
    shop.fold("impure")
    (found,) = shop.verify("impure/a", refold=True)[0]["impure/a"]["differences"]
    assert found["reason"].startswith("the reducer has not changed: what it calls has")


# -- what is missing


def drop(store, id, tables=("segment", "step", "attempt")):
    """Take a workflow out of the store, without a trace."""
    with closing(sqlite3.connect(store)) as conn:
        (no,) = conn.execute("SELECT no FROM workflow WHERE id = ?", (id,)).fetchone()
        for table in tables:
            conn.execute(f"DELETE FROM {table} WHERE workflow = ?", (no,))
        conn.execute("DELETE FROM workflow WHERE no = ?", (no,))
        conn.commit()


def test_a_workflow_that_is_gone_from_the_store_is_missed(shop):
    drop(shop.store, "projection/a")
    for how in ({}, {"name": "projection"}):
        records, summary = shop.verify(**how)
        assert summary["exit"] == 1
        assert "missing workflows: 1, steps: 30" in records[None]["error"]
    records, _ = shop.verify(refold=True)
    assert records[None]["error"].endswith('the log has the keys "a"')
    assert records["projection/b"]["status"] == "ok"
    assert shop.verify("projection/b", refold=True)[1]["exit"] == 0
    drop(shop.store, "projection/b")
    assert "missing workflows: 2, steps: 60" in shop.verify()[0][None]["error"]


def test_what_is_meant_to_be_gone_or_to_come_is_not_missed(shop):
    lines = [*shop.events(), {"key": "new", "type": "T", "id": "n", "data": {"v": 1}}]
    shop.log(lines)
    assert shop.verify(refold=True)[1]["exit"] == 0
    shop.fold("other")
    library.fork("projection/a", "fork", store=shop.store)
    library.promote("other", "projection", store=shop.store)
    assert shop.verify()[1]["exit"] == 0
    library.rewind("projection/a", 4, store=shop.store)
    assert shop.verify(refold=True)[1]["exit"] == 0
    shop.fold()
    assert shop.verify(refold=True)[1]["exit"] == 0
    assert list(library.gc(["projection/new"], drop=True, store=shop.store))
    assert list(library.gc(keep_last=5, store=shop.store))
    assert shop.verify()[1]["exit"] == 0
