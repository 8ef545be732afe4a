"""durproj compare as its users meet it."""

from __future__ import annotations

import json

import pytest

REDUCERS = """
def one(state, event):
    return {"events": state["events"] + 1, "n": event.data["n"]}
def two(state, event):
    new = one(state, event) | {"version": 2}
    if event.key == "b" and event.data["n"] == 1:
        new["n"] = -1
    return new
one.initial = two.initial = {"events": 0}
"""


@pytest.fixture
def folds(durproj):
    lines = [
        {"user": user, "type": "T", "id": f"{user}{n}", "n": n} for n in range(3) for user in "abc"
    ]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (durproj.folder / "r.py").write_text(REDUCERS)
    for reducer in ("one", "two"):
        args = ["run", "log.jsonl", "--reducer", f"r.py:{reducer}", "--key", "user", "-q"]
        assert durproj(*args, "--name", f"orders@{reducer}").code == 0
    return durproj


def test_the_step_and_the_paths_at_which_two_folds_part_are_shown(folds):
    done = folds("compare", "orders@one", "orders@two", "--limit", 1)
    assert (done.code, done.err) == (1, "")
    assert done.out == "a  different at step 0  T a0  +version 2\n3 keys: 0 same, 3 different\n"
    done = folds("compare", "orders@one", "orders@two", "--ignore", "version", "-v")
    assert done.code == 1
    assert done.out == (
        "a  same\n"
        "b  different at step 1  T b1, the same again in the end  n 1→-1\n"
        "c  same\n"
        "3 keys: 2 same, 1 different\n"
    )


def test_equal_folds_are_exit_code_0(folds):
    done = folds("compare", "orders@one", "orders@two", "--ignore", "version", "--final")
    assert (done.code, done.out) == (0, "3 keys: 3 same\n")
    done = folds("compare", "orders@one/a", "orders@two/a", "--ignore", "/version", "--json")
    assert done.code == 0
    assert done.json == [
        {
            "type": "summary",
            "first": "orders@one/a",
            "second": "orders@two/a",
            "keys": 1,
            "same": 1,
            "different": 0,
            "event": 0,
            "steps": 0,
            "only_first": 0,
            "only_second": 0,
        }
    ]


def test_json_has_the_records_of_the_library_call_and_nothing_else(folds):
    import durproj

    done = folds("compare", "orders@one", "orders@two", "--limit", 2, "--json", "--stable")
    store = folds.folder / "durproj.db"
    assert done.json == list(durproj.compare("orders@one", "orders@two", limit=2, store=store))
    assert [record["type"] for record in done.json] == ["comparison", "comparison", "summary"]


def test_what_is_on_one_side_only_or_goes_further_is_said(folds):
    log = '{"user":"d","type":"T","n":1}\n{"user":"a","type":"T","id":"a0","n":0}\n'
    (folds.folder / "more.jsonl").write_text(log)
    args = ["run", "more.jsonl", "--reducer", "r.py:one", "--key", "user", "--name", "third"]
    assert folds(*args).code == 0
    done = folds("compare", "orders@one", "third")
    assert done.code == 1
    assert done.out == (
        "a  not as far  3 steps (resolved) and 1 step (resolved), the same as far as both go\n"
        "b  only in orders@one  3 steps\n"
        "c  only in orders@one  3 steps\n"
        "d  only in third  1 step\n"
        "4 keys: 0 same, 1 not as far, 2 only in orders@one, 1 only in third\n"
    )
    done = folds("compare", "orders@one/a", "third/d")
    assert done.out.startswith("a  other events at step 0: T a0 and T\n")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["orders@one", "nope"], 66, "has the name nope"),
        (["nope", "orders@one"], 66, "names there are: orders@one, orders@two"),
        (["orders@one", "orders@two/a"], 2, "one is an id, the other a name"),
        (["orders@one/z", "orders@two/a"], 66, "orders@one/z: no such workflow"),
        (["orders@one", "orders@two", "--ignore", "a..b"], 2, "cannot be read"),
        (["orders@one", "orders@two", "--ignore", "$"], 2, "that is the whole state"),
        (["orders@one", "a b"], 2, "is not a name"),
        (["orders@one", "orders@two", "--store", "no.db"], 66, "no.db: no such store"),
    ],
)
def test_what_cannot_be_compared_is_said(folds, args, code, said):
    done = folds("compare", *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err
