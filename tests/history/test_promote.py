"""A name of projections takes another's place: what goes on under it, what is refused, and that it
happens at one instant."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

import durproj as library
from durproj.errors import NotFound, UsageError
from durproj.history.promote import _swap
from durproj.history.standing import workflows
from durproj.stores.base import Past
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

REDUCERS = """
def old(state, event):
    return {"n": state.get("n", 0) + 1}

def new(state, event):
    if event.data.get("bad"):
        raise ValueError("bad")
    return {"n": state.get("n", 0) + 1, "sum": state.get("sum", 0) + event.data.get("v", 0)}
"""


def line(key, v, **more):
    return json.dumps({"key": key, "type": "T", "v": v, **more}) + "\n"


@pytest.fixture
def log(durproj):
    """Two streams of which `projection` and `v2` were folded by two reducers."""
    (durproj.folder / "r.py").write_text(REDUCERS)
    log = durproj.folder / "log.jsonl"
    log.write_text("".join(line("ab"[n % 2], n) for n in range(20)))
    assert durproj("run", log, "--reducer", "r.py:old").code == 0
    assert durproj("run", log, "--reducer", "r.py:new", "--name", "v2").code == 0
    return log


def state(durproj, id):
    return durproj("inspect", id, "--json").json[0]["state"]


def ids(durproj):
    return [record["id"] for record in durproj("list", "--json").json]


def everything(store):
    """All that is in a store, so that it can be told whether anything changed."""
    with closing(sqlite3.connect(store)) as conn:
        tables = [
            name for (name,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        named = [name for name in tables if name[0] != "s" and name != "projections"]
        return {name: conn.execute(f"SELECT * FROM {name}").fetchall() for name in named}


def test_what_is_promoted_goes_on_under_the_name_with_nothing_folded_again(durproj, log):
    done = durproj("promote", "v2", "projection")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "durproj: v2 is projection now: 2 workflows\n"
        "durproj: what was projection is projection@old now (2 workflows), until durproj gc drops it\n"
        "durproj: to undo it: durproj promote projection@old projection\n"
    )
    assert sorted(ids(durproj)) == [
        *("projection/a", "projection/b", "projection@old/a", "projection@old/b")
    ]
    assert state(durproj, "projection/a") == {"n": 10, "sum": 90}
    assert state(durproj, "projection@old/a") == {"n": 10}
    again = durproj("run", log, "--json").json
    assert again[0]["reducer"] == "r.py:new"
    assert (again[-1]["executed"], again[-1]["cached"]) == (0, 20)
    with log.open("a") as file:
        file.write(line("a", 100))
    for args in (["run", "--json"], ["resume", "--json"]):
        last = durproj(*args).json[-1]
        assert last["executed"] == (args[0] == "run")
    assert state(durproj, "projection/a") == {"n": 11, "sum": 190}
    assert state(durproj, "projection@old/a") == {"n": 10}
    with closing(SqliteStore.open_reader(durproj.folder / "durproj.db")) as store:
        for head in store.heads():
            assert len([record for _, part in Journal(store, head).blocks() for record in part]) > 9


def test_promoting_the_old_name_undoes_it_whatever_was_folded_since(durproj, log):
    durproj("promote", "v2", "projection")
    with log.open("a") as file:
        file.write(line("c", 100) + line("a", 1))
    durproj("run")
    (record,) = durproj("promote", "projection@old", "projection", "--json").json
    assert record == {
        "type": "promote",
        "name": "projection",
        "from": "projection@old",
        "workflows": 2,
        "steps": 20,
        "old": "projection@old2",
        "old_workflows": 3,
        "old_steps": 22,
        "missing": 1,
        "behind": 1,
        "same_input": True,
    }
    with closing(SqliteStore.open_reader(durproj.folder / "durproj.db")) as store:
        assert {head.id: head.past for head in store.heads()} == {
            "projection/a": None,
            "projection/b": None,
            **{f"projection@old2/{key}": Past(f"v2/{key}") for key in "ab"},
            "projection@old2/c": Past("projection/c"),
        }
        assert {run.name: run.options.get("replaced_by") for run in store.runs()} == {
            "projection": None,
            "projection@old2": "projection",
        }
    again = durproj("run", "--json").json
    assert (again[0]["reducer"], again[-1]["executed"]) == ("r.py:old", 2)
    assert state(durproj, "projection/c") == {"n": 1}


def test_a_name_that_nothing_has_is_simply_taken(durproj, log):
    done = durproj("promote", "v2", "live", "--json")
    assert (done.json[0]["old"], done.json[0]["old_workflows"]) == (None, 0)
    assert sorted(ids(durproj)) == ["live/a", "live/b", "projection/a", "projection/b"]
    assert durproj("run", log, "--name", "live", "--json").json[-1]["executed"] == 0


def test_old_names_are_numbered_upward(durproj, log):
    for n in range(3):
        durproj("run", log, "--reducer", "counts", "--name", f"n{n}")
        durproj("promote", f"n{n}", "projection")
    assert {id.partition("/")[0] for id in ids(durproj)} == {
        *("projection", "projection@old", "projection@old2", "projection@old3", "v2")
    }


def test_what_is_unfinished_is_promoted_by_force_only(durproj, log):
    with log.open("a") as file:
        file.write(line("a", 1, bad=True))
    durproj("run", log)
    for on_error, code in (("stop", 1), ("park", 1)):
        assert durproj("run", log, "--name", "v2", "--on-error", on_error).code == code
        before = everything(durproj.folder / "durproj.db")
        refused = durproj("promote", "v2", "projection")
        assert (refused.code, refused.out) == (2, "")
        assert "v2 is not finished: 1 of its 2 workflows" in refused.err
        assert "--force" in refused.err
        assert everything(durproj.folder / "durproj.db") == before
    assert durproj("promote", "v2", "projection", "--force").code == 0
    assert "projection/a" in durproj("parked", "list").out
    # Undone, it may be put back: it is as it was.
    assert durproj("promote", "projection@old", "projection").code == 0


def test_a_run_that_was_killed_is_unfinished(durproj, log):
    durproj("run", log, "--reducer", "r.py:new", "--name", "v3", "--crash", 4)
    assert "v3 is not finished" in durproj("promote", "v3", "projection").err
    durproj("resume")
    assert durproj("promote", "v3", "projection").code == 0


def test_streams_that_would_get_lost_are_counted_and_named(durproj, log):
    durproj("run", log, "--user", "a", "--reducer", "counts", "--name", "v3")
    before = everything(durproj.folder / "durproj.db")
    refused = durproj("promote", "v3", "projection")
    assert (refused.code, refused.out) == (2, "")
    assert 'v3 lacks 1 of the 2 streams of projection: "b"' in refused.err
    assert everything(durproj.folder / "durproj.db") == before
    forced = durproj("promote", "v3", "projection", "--force")
    assert forced.code == 0
    assert "without 1 stream that only what was projection has" in forced.err


def test_what_is_replaced_is_gone_on_with_only_if_it_is_named(durproj, log):
    with log.open("a") as file:
        file.write(line("a", 1, bad=True))
    durproj("run", log, "--reducer", "r.py:new", "--name", "broken")
    durproj("run", log, "--reducer", "counts", "--name", "sound")
    durproj("promote", "sound", "broken")
    done = durproj("resume")
    assert (done.code, "nothing to resume" in done.err) == (0, True)
    assert "  replaced by broken\n" in durproj("inspect", "broken@old/a").out
    named = durproj("resume", "broken@old/a")
    assert (named.code, "broken@old/a#10: ValueError: bad" in named.err) == (1, True)
    assert "broken has replaced broken@old; it is in use again, so gc keeps it" in named.err
    # It is in use again, so it is nobody's to drop.
    assert "replaced_by" not in durproj("inspect", "broken@old/a", "--json").json[0]


def programs_step():
    return 1


def program(ctx):
    return (yield ctx.run(programs_step))


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        (("v2", "v2"), UsageError, "that name already"),
        (("nothing", "projection"), NotFound, "no workflow in .* has the name nothing"),
        (("v/2", "projection"), UsageError, "not a name"),
        (("v2", "a b"), UsageError, "not a name"),
        (("v2", "shop"), UsageError, "a program's workflow"),
        (("shop", "v2"), UsageError, "a program's workflow"),
        (("whatif", "projection"), UsageError, "is a fork"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(durproj, log, names, error, says):
    store = durproj.folder / "durproj.db"
    library.run("shop/1", program, store=store)
    library.fork("projection/a", "whatif", store=store)
    before = everything(store)
    with pytest.raises(error, match=says):
        library.promote(*names, store=store, force=True)
    assert everything(store) == before
    with pytest.raises(NotFound, match="no such store"):
        library.promote("v2", "projection", store=durproj.folder / "none.db")


def test_what_comes_through_a_pipe_stays_under_its_name(durproj, log):
    fed = log.read_bytes()
    assert (
        durproj("run", "--follow", "-", "--name", "piped", "--reducer", "counts", input=fed).code
        == 0
    )
    for names in (("piped", "projection"), ("v2", "piped")):
        refused = durproj("promote", *names)
        assert (refused.code, "come through a pipe" in refused.err) == (2, True)


def test_another_process_that_writes_is_waited_for_or_reported(durproj, log):
    with closing(SqliteStore.open_writer(durproj.folder / "durproj.db")):
        busy = durproj("promote", "v2", "projection", "--wait", "0.1")
    assert (busy.code, busy.out) == (75, "")
    assert "v2/a" in ids(durproj)


def test_what_is_behind_is_promoted_by_force_only(durproj, log):
    with log.open("a") as file:
        file.write(line("a", 1) + line("a", 2) + line("b", 3))
    durproj("run", log)
    before = everything(durproj.folder / "durproj.db")
    refused = durproj("promote", "v2", "projection")
    assert (refused.code, refused.out) == (2, "")
    assert (
        'v2 is behind projection in 2 of 2 streams: "a" has 10 steps, and 12 in projection'
        in refused.err
    )
    assert everything(durproj.folder / "durproj.db") == before
    forced = durproj("promote", "v2", "projection", "--force")
    assert forced.code == 0
    assert "behind what was projection in 2 streams: it has 20 steps, and that 23" in forced.err
    # What has more steps is ahead.
    assert "behind" not in durproj("promote", "projection@old", "projection").err


def test_what_was_folded_from_another_log_is_promoted_by_force_only(durproj, log):
    other = durproj.folder / "other.jsonl"
    other.write_text(log.read_text())
    durproj("run", other, "--reducer", "counts", "--name", "v3")
    before = everything(durproj.folder / "durproj.db")
    refused = durproj("promote", "v3", "projection")
    assert (refused.code, refused.out) == (2, "")
    assert "v3 was folded from other.jsonl, projection from log.jsonl" in refused.err
    assert everything(durproj.folder / "durproj.db") == before
    forced = durproj("promote", "v3", "projection", "--force")
    assert (forced.code, "folded from another input" in forced.err) == (0, True)


def test_forks_keep_their_ids_and_stay_when_what_was_replaced_is_dropped(durproj, log):
    store = durproj.folder / "durproj.db"
    durproj("fork", "projection/a", "--as", "projection/whatif")
    durproj("fork", "v2/a", "--as", "v2/whatif")
    (record,) = durproj("promote", "v2", "projection", "--json").json
    assert (record["workflows"], record["old_workflows"], record["missing"]) == (2, 2, 0)
    forks = {"projection/whatif", "v2/whatif"}
    with closing(SqliteStore.open_reader(store)) as opened:
        runs = {run.no: run for run in opened.runs()}
        found = {head.id: runs[head.run].options.get("replaced_by") for head in opened.heads()}
    assert found == {
        **dict.fromkeys(("projection@old/a", "projection@old/b"), "projection"),
        **dict.fromkeys(("projection/a", "projection/b", *forks)),
    }
    assert durproj("gc").code == 0
    assert set(ids(durproj)) == {"projection/a", "projection/b", *forks}
    assert durproj("verify").code == 0
    # A fork is no stream that has vanished from the log.
    log.write_text(log.read_text() + line("a", 1))
    assert durproj("run", log).code == 0
    assert "v2 is a fork" in durproj("promote", "v2", "live").err


def test_forks_that_were_marked_as_replaced_are_dropped_only_when_asked_for(durproj, log):
    durproj("fork", "projection/a", "--as", "projection/whatif")
    with closing(SqliteStore.open_writer(durproj.folder / "durproj.db")) as store:
        for run in store.runs():
            run.options["replaced_by"] = "v3"
            store.save_run(run)
    durproj("gc")
    assert ids(durproj) == ["projection/whatif"]
    durproj("gc", "projection/whatif", "--drop")
    assert ids(durproj) == []


def test_the_id_of_a_fork_is_not_taken(durproj, log):
    log.write_text(log.read_text() + line("c", 1))
    durproj("run", log, "--name", "v2", "--reducer", "r.py:new")
    durproj("fork", "projection/a", "--as", "projection/c")
    before = everything(durproj.folder / "durproj.db")
    refused = durproj("promote", "v2", "projection", "--force")
    assert (refused.code, refused.out) == (2, "")
    assert "projection/c is a fork, and keeps its id, so v2/c cannot have it" in refused.err
    assert everything(durproj.folder / "durproj.db") == before


def test_a_reader_sees_the_old_names_or_the_new_ones(durproj, log):
    many = durproj.folder / "many.jsonl"
    many.write_text("".join(line(f"k{n}", n) for n in range(1100)))
    store = durproj.folder / "many.db"
    library.fold(many, reducer="counts", store=store, durability="batch")
    library.fold(many, reducer="counts", name="v2", store=store, durability="batch")
    expected = [f"{name}/k{n}" for name in ("projection", "v2") for n in range(1100)]
    with (
        closing(SqliteStore.open_writer(store)) as writer,
        closing(SqliteStore.open_reader(store)) as reader,
    ):
        read = reader._read

        def read_while_promoted(sql, values=()):
            found = read(sql, values)
            if "FROM workflow" in sql and reader._read is not read:
                reader._read = read
                with writer.transaction():
                    _swap(writer, "v2", "projection", force=False)
            return found

        reader._read = read_while_promoted
        assert [record["id"] for record in workflows(store=reader)] == expected
        after = [record["id"] for record in workflows(store=reader)]
    renamed = {"projection": "projection@old", "v2": "projection"}
    assert after == [f"{renamed[n]}/{k}" for n, _, k in (id.partition("/") for id in expected)]
