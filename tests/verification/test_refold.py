"""`verify --refold`: today's reducer over today's log against what is recorded, step by step."""

from __future__ import annotations

import gzip
import json

import pytest

import durproj as library

REDUCER = """
def total(state, event):
    if event.data["v"] == POISON:
        raise ValueError("poison")
    return {"sum": state["sum"] + event.data["v"], "seen": [*state["seen"], event.id]}

total.initial = {"sum": 0, "seen": []}
POISON = None
"""


@pytest.fixture
def shop(durproj):
    """30 events of three streams, not folded yet."""
    (durproj.folder / "shop.py").write_text(REDUCER)
    write_log(durproj.folder, events())
    return durproj


def events():
    return [
        {"key": "abc"[n % 3], "type": "T", "id": f"e{n}", "time": f"2026-01-01T00:00:{n:02}Z", "data": {"v": n}}
        for n in range(30)
    ]  # fmt: skip


def write_log(folder, lines):
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(shop, *args, **how):
    return shop("run", *(args or ["log.jsonl"]), "--reducer", "shop.py:total", "-q", **how)


def mend(shop, old, new):
    text = (shop.folder / "shop.py").read_text()
    assert old in text
    (shop.folder / "shop.py").write_text(text.replace(old, new))


def refolded(shop, *args, code):
    """The records of the workflows, by id."""
    done = shop("verify", "--refold", "--json", "--stable", *args)
    assert done.code == code, done
    *records, summary = done.json
    assert summary["exit"] == code
    return {record["id"]: record for record in records}


def difference(record):
    (found,) = record["differences"]
    return found


def test_what_was_folded_is_folded_again_to_the_same(shop):
    run(shop)
    for record in refolded(shop, code=0).values():
        assert (record["status"], record["steps"], record["from"]) == ("ok", 10, "log")
    assert (
        shop("verify", "--refold").out
        == "3 workflows, 30 steps: all verified; folded again: 3 from the log\n"
    )


def test_another_reducer_with_the_same_states_is_no_difference(shop):
    run(shop)
    mend(shop, 'state["sum"] + event.data["v"]', 'event.data["v"] + state["sum"]')
    refolded(shop, code=0)


def test_the_first_step_and_path_at_which_a_changed_reducer_differs_are_named(shop):
    run(shop)
    mend(shop, '+ event.data["v"]', '+ event.data["v"] + (event.id == "e13")')
    records = refolded(shop, code=1)
    assert [record["status"] for record in records.values()] == ["ok", "different", "ok"]
    assert difference(records["projection/b"]) == {
        "check": "refold",
        "step": 4,
        "event": {"id": "e13", "type": "T", "time": "2026-01-01T00:00:13Z"},
        "differs": "state",
        "changes": [{"path": "sum", "kind": "changed", "old": 35, "new": 36}],
        "reason": "made with another version of the reducer",
    }
    shown = shop("verify", "--refold")
    assert shown.out == (
        "different     projection/b#4  T e13  gives another state now:  sum 35→36"
        "  (made with another version of the reducer)\n"
        "3 workflows, 30 steps: 1 different, 2 verified;"
        " folded again: 3 from the log, 25 steps\n"
    )


def test_fields_in_another_order_are_a_difference(shop):
    run(shop)
    mend(shop, "return {", "return {**{}, 'seen': [], ")
    found = difference(refolded(shop, code=1)["projection/a"])
    assert (found["changes"], found["reason"]) == (
        [],
        "the fields of an object come in another order",
    )


def test_a_changed_event_is_told_from_a_changed_reducer(shop):
    run(shop)
    lines = events()
    lines[10]["data"]["v"] = 99
    write_log(shop.folder, lines)
    records = refolded(shop, code=1)
    found = difference(records["projection/b"])
    assert (found["step"], found["differs"]) == (3, "event")
    assert found["changes"] == [{"path": "data.v", "kind": "changed", "old": 10, "new": 99}]
    assert records["projection/a"]["status"] == records["projection/c"]["status"] == "ok"


def test_a_log_that_became_shorter_or_bad_is_different_and_a_longer_one_is_not(shop):
    run(shop)
    write_log(shop.folder, [*events(), {**events()[0], "id": "e30"}])
    refolded(shop, code=0)
    write_log(shop.folder, events()[:28])
    records = refolded(shop, code=1)
    found = difference(records["projection/b"])
    assert (found["step"], found["differs"]) == (9, "length")
    assert records["projection/a"]["status"] == "ok"
    with (shop.folder / "log.jsonl").open("a") as file:
        file.write("{oops\n")
    found = difference(refolded(shop, code=1)["projection/b"])
    assert (found["step"], found["differs"]) == (9, "event")
    assert found["reason"].startswith("the log: log.jsonl:29: byte ")


def test_only_the_streams_asked_for_are_folded(shop):
    run(shop)
    mend(shop, "def total(state, event):", "def total(state, event):\n    assert event.key == 'b'")
    assert list(refolded(shop, "projection/b", code=0)) == ["projection/b"]
    assert difference(refolded(shop, "projection/c", code=1)["projection/c"])["differs"] == (
        "failure"
    )


def test_a_planned_crash_and_a_planned_failure_do_not_happen_again(shop):
    assert run(shop, "log.jsonl", "--crash", 4, "--fail", "2x2", "--retry-delay", "0").code == 3
    assert [record["steps"] for record in refolded(shop, code=0).values()] == [4]
    shop("resume", "-q")
    assert sum(record["steps"] for record in refolded(shop, code=0).values()) == 30


@pytest.mark.parametrize(
    ("on_error", "steps"), [("stop", [10, 4]), ("park", [10, 4, 10]), ("skip", [10, 10, 10])]
)
def test_streams_with_a_poison_event_are_compared_as_far_as_they_go(shop, on_error, steps):
    mend(shop, "POISON = None", "POISON = 13")
    assert run(shop, "log.jsonl", "--on-error", on_error).code == 1
    records = refolded(shop, code=0)
    assert [record["steps"] for record in records.values()] == steps


def test_an_event_that_was_skipped_and_is_taken_now_is_a_difference_and_so_is_the_reverse(shop):
    mend(shop, "POISON = None", "POISON = 13")
    run(shop, "log.jsonl", "--on-error", "skip")
    mend(shop, "POISON = 13", "POISON = 14")
    records = refolded(shop, code=1)
    found = difference(records["projection/b"])
    assert (found["step"], found["reason"]) == (4, "the event was skipped: ValueError: poison")
    found = difference(records["projection/c"])
    assert (found["step"], found["differs"], found["reason"]) == (
        *(4, "failure"),
        "ValueError: poison",
    )


def test_what_came_through_a_pipe_or_is_gone_is_folded_from_the_journal(shop):
    log = (shop.folder / "log.jsonl").read_bytes()
    run(shop, "-", "--name", "piped", input=log)
    run(shop)
    (shop.folder / "log.jsonl").unlink()
    done = shop("verify", "--refold")
    assert done.code == 0
    assert done.out.endswith("all verified; folded again: 6 from the journal\n")
    assert "no such file: log.jsonl" in done.err
    assert "came through a pipe" in done.err
    mend(shop, '+ event.data["v"]', '+ event.data["v"] + 1')
    records = refolded(shop, code=1)
    assert {record["from"] for record in records.values()} == {"journal"}
    assert {difference(record)["step"] for record in records.values()} == {0}


@pytest.mark.parametrize(
    "options", [["--order", "time"], ["--dedupe", "id"], ["--key", "key", "--no-key", "skip"]]
)
def test_a_log_is_read_as_the_run_read_it(shop, options):
    lines = events()
    lines.insert(20, lines.pop(2))
    lines.append(lines[4])
    if "skip" in options:
        lines.insert(3, {"type": "T", "id": "x", "data": {"v": 1}})
    write_log(shop.folder, lines)
    assert run(shop, "log.jsonl", *options).code == 0
    records = refolded(shop, code=0)
    assert {record["from"] for record in records.values()} == {"log"}


def test_logs_without_keys_compressed_ones_and_globs_are_folded_again(shop):
    lines = [{name: line[name] for name in ("type", "id", "data")} for line in events()]
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (shop.folder / "x1.gz").write_bytes(gzip.compress(text))
    (shop.folder / "x2.jsonl").write_bytes(text)
    assert run(shop, "x*", "--name", "x").code == 0
    (record,) = refolded(shop, "--name", "x", code=0).values()
    assert (record["id"], record["steps"], record["from"]) == ("x/all", 60, "log")


def test_a_field_found_later_does_not_change_how_the_log_is_read(shop):
    """What the first lines are like was recorded when the run began."""
    lines = [{name: line[name] for name in ("type", "id", "data")} for line in events()]
    write_log(shop.folder, lines[:3])
    run(shop)
    write_log(shop.folder, lines[:3] + events()[3:])
    run(shop)
    (record,) = refolded(shop, code=0).values()
    assert (record["id"], record["steps"]) == ("projection/all", 30)


def test_what_only_a_program_can_fold_is_never_silently_green(shop, monkeypatch):
    monkeypatch.chdir(shop.folder)

    def flow(ctx, order):
        return (yield ctx.run(len, order))

    library.run("flow/1", flow, "abc", store="durproj.db")
    library.fold("log.jsonl", reducer=lambda _, event: {"id": event.id}, store="durproj.db")
    records = refolded(shop, code=1)
    assert {record["status"] for record in records.values()} == {"unverifiable"}
    assert "only that program can execute its steps" in records["flow/1"]["reason"]
    assert "durproj.verify(reducer=…)" in records["projection/a"]["reason"]
    assert shop("verify").code == 0
    given = {"name": "projection", "refold": True, "store": "durproj.db"}
    *_, summary = library.verify(reducer=lambda _, event: {"id": event.id}, **given)
    assert summary["ok"] == 3
    *_, summary = library.verify(reducer=lambda _, event: {"id": event.type}, **given)
    assert summary["different"] == 3
    with pytest.raises(library.UsageError, match="twice folds in processes"):
        list(library.verify(reducer=dict, twice=True))


def test_a_reducer_that_is_gone_is_a_finding(shop):
    run(shop)
    (shop.folder / "shop.py").unlink()
    for record in refolded(shop, code=1).values():
        assert record["status"] == "unverifiable"
        assert record["reason"] == "its reducer cannot be loaded: no such file: shop.py"


def test_the_store_and_its_folder_are_left_as_they_were(shop):
    run(shop)
    before = {path.name: path.read_bytes() for path in shop.folder.glob("*.*")}
    refolded(shop, "--twice", code=0)
    assert {path.name: path.read_bytes() for path in shop.folder.glob("*.*")} == before
