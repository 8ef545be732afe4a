"""gc and backup as people read them."""

from __future__ import annotations

import re

import pytest
from blake3 import blake3

EVENTS = 700


@pytest.fixture
def store(durproj):
    # What compresses badly, so that it takes pages of its own.
    salt = [blake3(b"%d" % n).hexdigest() for n in range(EVENTS)]
    lines = [
        f'{{"user":"u{n % 2}","type":"T","n":{n},"salt":"{salt[n]}"}}\n' for n in range(EVENTS)
    ]
    (durproj.folder / "log.jsonl").write_text("".join(lines))
    durproj("run", "log.jsonl", "--reducer", "counts", "--durability", "batch")
    return durproj.folder / "durproj.db"


def test_gc_without_more_says_what_it_would_take(durproj, store):
    before = store.read_bytes()
    done = durproj("gc")
    assert (done.code, done.out) == (0, "")
    assert "nothing to drop" in done.err
    assert "to drop the oldest steps: durproj gc --keep-last N" in done.err
    assert durproj("gc", "-q").err == ""
    assert durproj("inspect", "projection/u0#0").code == 0
    assert len(store.read_bytes()) == len(before)


def test_gc_says_what_went(durproj, store):
    size = store.stat().st_size
    done = durproj("gc", "--keep-last", 4)
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(
        r"trimmed   projection/u0  346 steps, [\d,]+ bytes, kept from step 346\n"
        r"trimmed   projection/u1  346 steps, [\d,]+ bytes, kept from step 346\n"
        r"2 workflows trimmed: 692 steps, [\d,]+ bytes\n"
        rf"the file: {size:,} → {store.stat().st_size:,} bytes\n",
        done.out,
    )
    assert "steps       350, kept from step 346\n" in durproj("inspect", "projection/u0").out
    assert durproj("inspect", "projection/u0", "--json").json[0]["kept_from"] == 346
    gone = durproj("inspect", "projection/u0", "--step", 345)
    assert gone.code == 66
    assert "projection/u0#345: no longer kept: durproj gc dropped the first 346 steps" in gone.err
    gone = durproj("rewind", "projection/u0#100")
    assert gone.code == 66
    assert "has steps 346 to 349" in gone.err
    back = durproj("rewind", "projection/u0#347")
    assert "dropped 2 steps; steps 346 to 347 are kept" in back.err
    assert "700 events: 2 executed, 698 cached" in durproj("resume").out
    assert durproj("doctor").code == 0


def test_an_edited_past_is_refused_where_its_steps_are_gone(durproj, store):
    durproj("gc", "--keep-latest")
    log = durproj.folder / "log.jsonl"
    log.write_text(log.read_text().replace('"n":10,', '"n":11,'))
    refused = durproj("run", "log.jsonl")
    assert refused.code == 4
    assert "projection/u0: the past changed\n" in refused.err
    assert "recorded: its first 349 events, by a digest (durproj gc dropped their steps)" in (
        refused.err
    )
    assert "fold again from the start:  durproj run --restart …" in refused.err
    assert "rewind" not in refused.err


def test_gc_drops_whole_workflows_when_they_are_named(durproj, store):
    would = durproj("gc", "--drop", "projection/u1", "--dry-run")
    assert "1 workflow would be dropped: 350 steps" in would.out
    done = durproj("gc", "--drop", "projection/u1")
    assert done.out.startswith("dropped   projection/u1  350 steps, ")
    assert durproj("list", "--json").json == [
        {"type": "workflow", "id": "projection/u0", "status": "resolved", "steps": 350}
    ]
    refused = durproj("gc", "--drop")
    assert refused.code == 2
    assert "name them" in refused.err


def test_space_in_the_file_is_given_back_when_asked_for(durproj, store):
    size = store.stat().st_size
    kept = durproj("gc", "--keep-latest", "--no-vacuum")
    assert store.stat().st_size == size
    assert re.search(r"[\d,]+ bytes of the file are free .*: durproj gc --vacuum", kept.err)
    assert durproj("gc", "--vacuum").code == 0
    assert store.stat().st_size < size


def test_many_workflows_are_summed_up_for_people_and_listed_as_json(durproj):
    lines = [f'{{"user":"u{n % 30}","type":"T"}}\n' for n in range(120)]
    (durproj.folder / "log.jsonl").write_text("".join(lines))
    durproj("run", "log.jsonl", "--reducer", "counts")
    listed = durproj("gc", "--keep-latest", "--dry-run", "--json").json
    assert len(listed) == 31
    assert listed[0].keys() == {"type", "id", "what", "steps", "bytes", "kept_from"}
    assert listed[-1]["trimmed"] == 30
    shown = durproj("gc", "--keep-latest").out
    assert shown.count("trimmed   ") == 20
    assert "… and 10 more\n30 workflows trimmed: 90 steps" in shown


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--keep-last", 0], 2, "--keep-last"),
        (["--keep-last", 1, "--keep-latest"], 2, "give one of them"),
        (["--older-than", "1y"], 2, "'1y' is no span of time"),
        (["projection"], 2, "is not a workflow id"),
        (["projection/u9"], 66, "projection/u9: no such workflow"),
        (["--user", "u9"], 66, 'has the key "u9"'),
        (["--store", "none.db"], 66, "none.db: no such store"),
    ],
)
def test_gc_refuses_what_makes_no_sense(durproj, store, args, code, said):
    done = durproj("gc", *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_backup_says_what_it_made(durproj, store):
    done = durproj("backup", "copy.db")
    copy = durproj.folder / "copy.db"
    assert (done.code, done.err) == (0, "")
    assert done.out == f"copy.db  2 workflows, {copy.stat().st_size:,} bytes, verified\n"
    again = durproj("backup", "copy.db")
    assert (again.code, again.out) == (2, "")
    assert "copy.db is there already" in again.err
    (made,) = durproj("backup", "copy.db", "--force", "--json").json
    assert (made["type"], made["to"], made["workflows"]) == ("backup", "copy.db", 2)
    assert durproj("backup", "durproj.db", "--force").code == 2
    assert durproj("list", "--store", "copy.db").out == durproj("list").out


def test_backup_names_what_it_leaves_out(durproj):
    durproj("run", "-", "--crash", 3, input=b'{"user":"a","type":"T"}\n' * 9)
    done = durproj("backup", "copy.db")
    assert done.code == 0
    assert "not in it: durproj.db.input-1, which keeps what has come through a pipe" in done.err
