"""Formats from the command line: what is said, what is stored, and what is refused."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT

SAMPLES = ROOT / "tests" / "events" / "envelopes"
COUNTS = ("--reducer", "counts")
DEBEZIUM = ("--key", "after.id|before.id")
XES = b"""<?xml version="1.0"?><log><trace><string key="concept:name" value="A"/>
<event><string key="concept:name" value="open"/></event><event><string key="concept:name" value="close"/></event>
</trace></log>"""


def sample(name):
    return (SAMPLES / f"{name}.jsonl").read_bytes()


def projections(done):
    assert done.code == 0, done.err
    return {r["id"]: r["state"] for r in done.json if r["type"] == "projection"}


@pytest.fixture
def folder(durproj):
    github = [json.loads(line) for line in sample("github").splitlines()]
    (durproj.folder / "hub.jsonl").write_bytes(sample("github"))
    (durproj.folder / "hub.json").write_text(json.dumps(github, indent=2))
    (durproj.folder / "list.json").write_text(json.dumps({"object": "list", "data": github}))
    (durproj.folder / "log.csv").write_bytes(b"user_id;event\nu1;open\nu2;open\nu1;close\n")
    (durproj.folder / "log.xes").write_bytes(XES)
    return durproj.folder


def test_the_format_is_said_in_one_line(durproj, folder):
    done = durproj("run", "hub.jsonl", *COUNTS)
    assert done.err == (
        "durproj: hub.jsonl: format github: id=id type=type key=actor.login time=created_at"
        " data=payload\n"
    )
    assert "read as     format github: id=id" in durproj("stats", "hub.jsonl").out
    record = durproj("stats", "hub.jsonl", "--json").json[0]
    assert record["mapping"]["format"] == "github"


def test_plain_lines_have_no_format_to_speak_of(durproj, folder):
    (folder / "plain.jsonl").write_bytes(sample("plain"))
    done = durproj("run", "plain.jsonl", *COUNTS)
    assert (
        done.err == "durproj: plain.jsonl: id=id type=type key=user time=time data=(whole line)\n"
    )
    assert "format" not in durproj("stats", "plain.jsonl", "--json").json[0]["mapping"]


@pytest.mark.parametrize("file", ["hub.json", "list.json"])
@pytest.mark.parametrize("way", ["file", "stdin", "gz"])
def test_an_array_folds_to_what_its_lines_do(durproj, folder, file, way):
    expected = projections(durproj("run", "hub.jsonl", *COUNTS, "--json"))
    content = (folder / file).read_bytes()
    name = {"file": file, "stdin": "-", "gz": f"{file}.gz"}[way]
    (folder / f"{file}.gz").write_bytes(gzip.compress(content))
    done = durproj("run", name, "--array", *COUNTS, "--json", "--store", "a.db", input=content)
    assert projections(done) == expected
    assert "format array+github: " in done.err


def test_an_array_without_the_option_is_pointed_to_it(durproj, folder):
    done = durproj("run", "hub.json", *COUNTS)
    assert (done.code, done.out) == (65, "")
    assert "hub.json:1: byte 0: a JSON array, not JSON lines\n  read it with --array\n" in done.err


@pytest.mark.parametrize(("file", "option"), [("log.csv", "csv"), ("log.xes", "xes")])
def test_other_files_are_pointed_to_their_format(durproj, folder, file, option):
    done = durproj("run", file, *COUNTS)
    assert done.code == 65
    assert f"--format {option}" in done.err


def test_csv_and_xes_fold(durproj, folder):
    done = durproj("run", "log.csv", "--format", "csv", *COUNTS, "--json")
    found = projections(done)
    assert {id: state["events"] for id, state in found.items()} == {
        "projection/u1": 2,
        "projection/u2": 1,
    }
    assert "log.csv: format csv: id=(none) type=event key=user_id " in done.err
    done = durproj("run", "log.xes", "--format", "xes", *COUNTS, "--json", "--store", "x.db")
    assert projections(done)["projection/A"]["types"] == {"open": 1, "close": 1}


ARGS = {
    "hub.json": ["--array"],
    "log.csv": ["--format", "csv"],
    "hub.jsonl": ["--format", "github"],
    "log.xes": ["--format", "xes"],
}


@pytest.mark.parametrize("file", ARGS)
def test_a_resumed_run_reads_on_in_the_format_it_was_begun_with(durproj, folder, file):
    durproj("run", file, *ARGS[file], *COUNTS, "--store", "whole.db")
    step = "1" if file in {"log.csv", "log.xes"} else "0"
    assert durproj("run", file, *ARGS[file], *COUNTS, "--crash", step).code == 3
    assert durproj("resume").code == 0
    for id in [record["id"] for record in durproj("list", "--json").json if "id" in record]:
        same = [
            durproj("log", id, "--json", "--stable", "--store", s).out
            for s in ("durproj.db", "whole.db")
        ]
        assert same[0] == same[1]
    # Said again or not, it is the same fold, in which nothing is left to do.
    for args in (ARGS[file], []):
        again = durproj("run", file, *args, *COUNTS, "--json")
        assert (again.code, again.json[-1]["executed"]) == (0, 0), again.err


@pytest.mark.parametrize("other", [["--format", "plain"], ["--key", "repo.name"]])
def test_another_reading_of_the_same_log_is_a_changed_past(durproj, folder, other):
    assert durproj("run", "hub.jsonl", *COUNTS).code == 0
    done = durproj("run", "hub.jsonl", *other, *COUNTS)
    assert done.code == 4
    assert "envelope " in done.err
    assert durproj("run", "hub.jsonl", *COUNTS).code == 0
    assert durproj("run", "hub.jsonl", *other, *COUNTS, "--restart").code == 0


def test_a_store_without_formats_is_still_read(durproj, folder):
    """As stores were before there were formats: the mapping alone, and what is plain."""
    args = ["hub.jsonl", *COUNTS, "--format", "plain", "--key", "actor.login"]
    assert durproj("run", *args).code == 0
    with closing(sqlite3.connect(folder / "durproj.db")) as store:
        ((options,),) = store.execute("select options from run").fetchall()
    assert set(json.loads(options)["mapping"]) == {"key", "type", "id", "time", "data"}
    again = durproj("run", "hub.jsonl", *COUNTS, "--json")
    assert (again.code, again.json[-1]["cached"]) == (0, 2)


def test_a_line_of_another_kind_is_refused_with_its_place(durproj, folder):
    done = durproj("run", "hub.jsonl", "--format", "stripe", *COUNTS)
    assert done.code == 65
    assert "hub.jsonl:1: byte 0: no event of the format stripe: it has no object\n" in done.err
    with (folder / "hub.jsonl").open("ab") as file:
        file.write(b'{"type":"\\u001b[2J"}\n')
    done = durproj("run", "hub.jsonl", "--format", "github", "--no-key", "skip", *COUNTS)
    assert done.code == 65
    assert "hub.jsonl:3: byte " in done.err
    assert "no event of the format github: it has no actor.login" in done.err
    assert "\x1b" not in done.err + done.out


def test_a_bad_record_is_named_by_its_number(durproj, folder):
    (folder / "bad.csv").write_bytes(b"user_id,event\nu1,open\nu1\n")
    done = durproj("run", "bad.csv", "--format", "csv", *COUNTS, "--json")
    assert done.code == 65
    assert "bad.csv: record 2: 1 field, where the first row has 2" in done.err
    assert done.json[-1]["executed"] == 1
    (folder / "bad.json").write_text('[{"user":"a"},{"user":"b"},{"x":1}]')
    done = durproj("run", "bad.json", "--array", "--key", "user", *COUNTS)
    assert (done.code, "bad.json: record 3: the line has no key" in done.err) == (65, True)


def test_an_unknown_format_is_a_wrong_option(durproj, folder):
    done = durproj("run", "hub.jsonl", "--format", "\x1b[2Jnope")
    assert done.code == 2
    assert "no such format" in done.err
    assert "\x1b" not in done.err
    assert not (folder / "durproj.db").exists()


def test_a_row_change_log_needs_a_key_and_passes_over_tombstones(durproj, folder):
    (folder / "rows.jsonl").write_bytes(sample("debezium"))
    done = durproj("run", "rows.jsonl", *COUNTS)
    assert (done.code, "--key 'after.id|before.id'" in done.err) == (2, True)
    done = durproj("run", "rows.jsonl", *DEBEZIUM, *COUNTS, "--json")
    assert projections(done)["projection/1004"]["types"] == {"c": 1, "u": 1, "d": 1}
    (folder / "topic.jsonl").write_bytes(sample("kcat+debezium"))
    done = durproj("run", "topic.jsonl", *COUNTS, "--json", "--store", "k.db")
    assert projections(done)["projection/1004"]["events"] == 2


@pytest.mark.parametrize("name", ["auto", "kcat", "kcat+github", "kcat+plain"])
@pytest.mark.parametrize("feed", ["topic.jsonl", "-"])
@pytest.mark.parametrize("one", [True, False])
def test_tombstones_of_a_topic_are_passed_over(durproj, folder, name, feed, one):
    record = {"topic": "t", "partition": 0, "ts": 5, "key": "ann"}
    payloads = [None, *sample("github").decode().splitlines(), None]
    lines = [{**record, "offset": n, "payload": payload} for n, payload in enumerate(payloads)]
    log = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    (folder / "topic.jsonl").write_bytes(log)
    args = [feed, "--format", name, "--key", "" if one else "key", *COUNTS, "--json"]
    found = projections(durproj("run", *args, input=log))
    assert [state["events"] for state in found.values()] == [len(payloads) - 2]


def test_two_lists_of_events_in_one_object_are_refused(durproj, folder):
    (folder / "two.json").write_text('{"data":[{"user":"a"}],"data":[{"user":"b"}]}')
    done = durproj("run", "two.json", "--array", *COUNTS)
    assert done.code == 65
    assert 'two.json:1: byte 0: the list object has "data" more than once' in done.err
    assert "  keep one of them, or put the events of all in one array\n" in done.err


@pytest.mark.parametrize("options", [[], ["--array"]])
def test_a_key_on_most_lines_is_asked_for_and_one_on_few_is_told(durproj, folder, options):
    def log(*lines):
        text = f"[{','.join(lines)}]" if options else "".join(f"{line}\n" for line in lines)
        (folder / "log").write_text(text)

    keyed, other = '{"type":"A","userId":"u1"}', '{"type":"B"}'
    log(keyed, other, keyed)
    args = ["run", "log", *options, *COUNTS]
    done = durproj(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        "durproj: it is not clear whether the log has a key: userId is on 2 of the first 3 lines\n"
        "  take it, and leave the other lines out: --key userId --no-key skip\n"
        "  take it, and give the other lines a key: --key userId --no-key NAME\n"
        "  fold the whole log as one stream: --key ''\n"
    )
    assert durproj("stats", *args[1:-2]).code == 0
    ways = {
        ("--key", "userId", "--no-key", "skip"): {"projection/u1": 2},
        ("--key", "userId", "--no-key", "rest"): {"projection/u1": 2, "projection/rest": 1},
        ("--key", ""): {"projection/all": 3},
    }
    for n, (way, expected) in enumerate(ways.items()):
        found = projections(durproj(*args, *way, "--json", "--store", f"{n}.db"))
        assert {id: state["events"] for id, state in found.items()} == expected
    log(keyed, other, other)
    done = durproj(*args)
    assert done.code == 0
    assert "userId is on 1 of the first 3 lines; to use it: --key userId --no-key skip" in done.err


TRANSFERS = (
    b'{"id":1,"type":"T","items":[{"id":"a"},{"id":"b"}]}\n'
    b'{"id":2,"type":"T","items":[{"id":"b"},{"id":"b"}]}\n'
    b'{"id":3,"type":"T","items":[{"id":"c"},{"id":"a"}]}\n'
)


@pytest.mark.parametrize("source", ["t.jsonl", "t.jsonl.gz", "-"])
def test_an_event_of_several_keys_is_applied_to_each(durproj, folder, source):
    (folder / "t.jsonl").write_bytes(TRANSFERS)
    (folder / "t.jsonl.gz").write_bytes(gzip.compress(TRANSFERS))
    args = [source, "--key", "items[].id", *COUNTS, "--json"]
    found = projections(durproj("run", *args, input=TRANSFERS))
    assert {id: state["events"] for id, state in found.items()} == {
        "projection/a": 2,
        "projection/b": 2,
        "projection/c": 1,
    }
    one = durproj("run", *args, "--user", "b", "--store", "b.db", input=TRANSFERS)
    assert projections(one)["projection/b"]["events"] == 2
    missing = durproj("run", *args, "--user", "z", "--store", "z.db", input=TRANSFERS)
    assert (missing.code, '"a", "b", "c"' in missing.err) == (66, True)


def test_what_is_appended_reaches_every_key_and_a_changed_line_is_refused(durproj, folder):
    log = folder / "t.jsonl"
    log.write_bytes(TRANSFERS)
    args = ["t.jsonl", "--key", "items[].id", *COUNTS, "--json"]
    assert durproj("run", *args).code == 0
    log.write_bytes(TRANSFERS + b'{"id":4,"type":"T","items":[{"id":"c"},{"id":"b"}]}\n')
    assert durproj("run", *args).json[-1]["executed"] == 2
    log.write_bytes(TRANSFERS.replace(b'"id":2', b'"id":9'))
    assert durproj("run", *args).code == 4


def test_stats_counts_an_event_under_each_of_its_keys(durproj, folder):
    (folder / "t.jsonl").write_bytes(TRANSFERS)
    record = durproj("stats", "t.jsonl", "--key", "items[].id", "--json").json[0]
    assert (record["events"], record["top_keys"]) == (3, {"a": 2, "b": 2, "c": 1})


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(SAMPLES).iterdir()))
def test_every_sample_folds_and_folds_again_to_nothing(durproj, folder, name):
    log = SAMPLES / f"{name}.jsonl"
    key = DEBEZIUM if name == "debezium" else ()
    first = durproj("run", log, *key, *COUNTS, "--json")
    assert first.code == 0, first.err
    again = durproj("run", log, *COUNTS, "--json")
    assert (again.code, again.json[-1]["executed"]) == (0, 0)
    assert again.json[-1]["cached"] == first.json[-1]["executed"] > 0
