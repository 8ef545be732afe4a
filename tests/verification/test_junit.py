"""`verify --junit`: a file that CI services read, whatever keys and states hold."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from xml.etree import ElementTree as ET

import pytest

HOSTILE = (
    "".join(map(chr, range(1, 0x20))) + "<&>\"']]>\x7f\x85\u2028\u202e\ufffe\uffff😀 ::error::x"
)


@pytest.fixture
def store(durproj):
    lines = [{"key": key, "type": HOSTILE, "id": HOSTILE} for key in (HOSTILE, "b", "c")]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (durproj.folder / "r.py").write_text(
        "def f(state, event):\n    return {event.type: event.id}\n"
    )
    durproj("run", "log.jsonl", "--reducer", "r.py:f", "-q")
    return durproj.folder / "durproj.db"


def verified(durproj, *args):
    """How `verify` ended, and the root of the file, whose numbers are right."""
    done = durproj("verify", "--junit", "report.xml", *args)
    assert "Traceback" not in done.err
    root = ET.parse(durproj.folder / "report.xml").getroot()
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    for element in (root, suite):
        assert element.attrib["tests"] == str(len(suite.findall("testcase")))
        assert element.attrib["failures"] == str(len(suite.findall("testcase/failure")))
        assert element.attrib["errors"] == str(len(suite.findall("testcase/error")))
    assert all(set(case.attrib) == {"classname", "name"} for case in suite)
    return done, suite


def test_every_workflow_is_a_test_case(durproj, store):
    done, suite = verified(durproj, "--refold")
    assert done.code == 0
    assert [case.attrib["classname"] for case in suite] == ["projection"] * 3
    assert [case.attrib["name"] for case in suite][1:] == ["b", "c"]
    assert suite.findall("testcase/*") == []


def test_differences_damage_and_what_cannot_be_verified_are_told_apart(durproj, store):
    text = (durproj.folder / "r.py").read_text()
    (durproj.folder / "r.py").write_text(text.replace("event.id}", "event.id + HOSTILE}"))
    with (durproj.folder / "r.py").open("a") as file:
        file.write(f"HOSTILE = {HOSTILE!r}\n")
    with closing(sqlite3.connect(store)) as conn:
        conn.execute("UPDATE workflow SET state = '{}' WHERE id = 'projection/c'")
        conn.execute("DELETE FROM workflow WHERE id = 'projection/b'")
        conn.commit()
    done, suite = verified(durproj, "--refold")
    assert done.code == 1
    kinds = [(case.attrib["name"], [child.attrib["type"] for child in case]) for case in suite]
    assert kinds[0][1] == ["different"]
    assert kinds[1:] == [("c", ["damaged"]), ("store", ["damaged"])]
    failure = suite.find("testcase/failure")
    assert "gives another state now" in failure.attrib["message"]
    assert failure.text.startswith(failure.attrib["message"])
    (durproj.folder / "r.py").unlink()
    _, suite = verified(durproj, "--refold")
    assert suite.find("testcase/error").attrib["type"] == "unverifiable"


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--store", "none.db"], 66, "no such store"),
        (["--store", "log.jsonl"], 74, "log.jsonl"),
        (["projection/zzz"], 66, "projection/zzz: no such workflow"),
        (["not an id"], 2, "not a workflow id"),
    ],
)
def test_no_report_of_yesterday_is_left_where_nothing_can_be_verified(
    durproj, store, args, code, says
):
    verified(durproj)
    done, suite = verified(durproj, *args)
    assert done.code == code
    (case,) = suite
    assert (case.attrib["classname"], case.attrib["name"]) == ("durproj", "store")
    (error,) = case
    assert (error.tag, error.attrib["type"], says in error.text) == ("error", "unverifiable", True)


def test_a_process_that_is_killed_leaves_a_report_that_says_so(durproj, store):
    verified(durproj)
    (durproj.folder / "r.py").write_text("import os\nos._exit(9)\n")
    done, suite = verified(durproj, "--refold")
    assert done.code == 9
    assert "it did not come to its end" in suite.find("testcase/error").attrib["message"]


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("durproj.db", "the store"),
        ("durproj.db-wal", "the store"),
        ("log.jsonl", "an input of durproj.db, folded as projection"),
        ("r.py", "the reducer of durproj.db, folded as projection"),
    ],
)
def test_what_is_verified_is_no_report(durproj, store, name, what, linked):
    (durproj.folder / "durproj.db-wal").touch()
    before = (durproj.folder / name).read_bytes()
    given = "link.xml" if linked else name
    if linked:
        (durproj.folder / given).symlink_to(name)
    done = durproj("verify", "--refold", "--junit", given)
    said = f"--junit {given}: {what}: it is left as it is\n  write to another file\n"
    assert (done.code, done.out, done.err) == (2, "", f"durproj: {said}")
    assert (durproj.folder / name).read_bytes() == before


def test_what_is_no_store_is_no_report_either(durproj, store):
    before = (durproj.folder / "log.jsonl").read_bytes()
    done = durproj("verify", "--store", "log.jsonl", "--junit", "log.jsonl")
    assert (done.code, "--junit log.jsonl: the store" in done.err) == (2, True)
    assert (durproj.folder / "log.jsonl").read_bytes() == before


def test_a_report_that_cannot_be_written_is_said_to_be_before_anything_is_verified(durproj, store):
    done = durproj("verify", "-v", "--junit", "nowhere/report.xml")
    assert (done.code, done.out) == (74, "")
    assert "nowhere/report.xml cannot be written: No such file or directory" in done.err
