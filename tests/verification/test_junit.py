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
        ("durproj.db.live-x#synced", "the store"),
        ("log.jsonl", "an input of durproj.db, folded as projection"),
        ("r.py", "the reducer of durproj.db, folded as projection"),
    ],
)
def test_what_is_verified_is_no_report(durproj, store, name, what, linked):
    for beside in ("durproj.db-wal", "durproj.db.live-x#synced"):
        (durproj.folder / beside).touch()
    before = (durproj.folder / name).read_bytes()
    given = "link.xml" if linked else name
    if linked:
        (durproj.folder / given).symlink_to(name)
    done = durproj("verify", "--refold", "--junit", given)
    said = f"--junit {given}: {what}: it is left as it is\n  write to another file\n"
    assert (done.code, done.out, done.err) == (2, "", f"durproj: {said}")
    assert (durproj.folder / name).read_bytes() == before


@pytest.mark.parametrize("name", ["durproj.db-wal", "durproj.db-journal", "durproj.db.lock"])
def test_what_belongs_to_a_store_that_is_named_by_a_link_is_no_report(durproj, store, name):
    (durproj.folder / "link.db").symlink_to("durproj.db")
    (durproj.folder / name).touch()
    done = durproj("verify", "--store", "link.db", "--junit", name)
    said = f"--junit {name}: the store: it is left as it is\n  write to another file\n"
    assert (done.code, done.out, done.err) == (2, "", f"durproj: {said}")
    assert b"<" not in (durproj.folder / name).read_bytes()


def seal_is_another(path):
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE run SET seal = x'00'")
        conn.commit()


def rows_are_missing(path):
    """Of a table and its index one only has the row."""
    with closing(sqlite3.connect(path)) as conn:
        (root,) = conn.execute(
            "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'run' AND type = 'index'"
        ).fetchone()
        (size,) = conn.execute("PRAGMA page_size").fetchone()
        conn.execute("PRAGMA journal_mode = DELETE")
    pages = bytearray(path.read_bytes())
    pages[(root - 1) * size + 3 : (root - 1) * size + 5] = bytes(2)  # so many cells it has
    path.write_bytes(pages)


def store_is_gone(path):
    path.unlink()


@pytest.mark.parametrize(
    ("befall", "code"), [(seal_is_another, 1), (rows_are_missing, 1), (store_is_gone, 66)]
)
def test_where_the_inputs_cannot_be_told_only_a_report_is_replaced(durproj, store, befall, code):
    old, new = (durproj.folder / name for name in ("old.xml", "new.xml"))
    assert durproj("verify", "--junit", old.name).code == 0
    befall(store)
    for name in ("log.jsonl", "r.py"):
        before = (durproj.folder / name).read_bytes()
        done = durproj("verify", "--junit", name)
        said = f"--junit {name}: it may be an input of durproj.db, whose runs cannot be read, so it"
        assert (done.code, done.out, said in done.err) == (2, "", True), done.err
        assert (durproj.folder / name).read_bytes() == before
    for report in (old, new):
        assert durproj("verify", "--junit", report.name).code == code
        assert ET.parse(report).find("testsuite/testcase/*") is not None
    assert durproj("verify", "--junit", "/dev/null").code == code


def test_what_is_no_store_is_no_report_either(durproj, store):
    before = (durproj.folder / "log.jsonl").read_bytes()
    done = durproj("verify", "--store", "log.jsonl", "--junit", "log.jsonl")
    assert (done.code, "--junit log.jsonl: the store" in done.err) == (2, True)
    assert (durproj.folder / "log.jsonl").read_bytes() == before


def test_a_report_that_cannot_be_written_is_said_to_be_before_anything_is_verified(durproj, store):
    done = durproj("verify", "-v", "--junit", "nowhere/report.xml")
    assert (done.code, done.out) == (74, "")
    assert "nowhere/report.xml cannot be written: No such file or directory" in done.err
