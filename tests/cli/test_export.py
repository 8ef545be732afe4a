"""durproj export, as its users run it: what is chosen, where it goes, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing

import pytest
from conftest import CommandLine, environment

import durproj as library
from durproj.exports.chosen import Choice, keeping
from durproj.stores.connection import connect_copy
from durproj.stores.sqlite import SqliteStore

DURPROJ = [sys.executable, "-m", "durproj"]
REDUCER = """
def f(state, event):
    if event.type == "Bad":
        raise ValueError("no such order")
    return state | {"n": state.get("n", 0) + event.data["n"], "who": {"name": event.key}}
"""
EVENTS = [("a", "Add", 1), ("b", "Add", 2), ("a", "Add", 3), ("b", "Bad", 0), ("b", "Add", 5)]


def log_of(folder, events=EVENTS):
    (folder / "r.py").write_text(REDUCER)
    lines = [
        {"user": key, "type": type, "id": f"e{number}", "time": number, "data": {"n": n}}
        for number, (key, type, n) in enumerate(events)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A folder with a store that has a finished stream and a parked one."""
    durproj = CommandLine(tmp_path_factory.mktemp("ready"))
    log_of(durproj.folder)
    assert durproj("run", "log.jsonl", "--reducer", "r.py:f", "--on-error", "park").code == 1
    return durproj.folder


@pytest.fixture
def shop(durproj, ready):
    shutil.copytree(ready, durproj.folder, dirs_exist_ok=True)
    return durproj


def table(path, name="projections"):
    with closing(sqlite3.connect(path)) as conn:
        conn.row_factory = sqlite3.Row
        return [dict(row) for row in conn.execute(f'SELECT * FROM "{name}"')]


def left_behind(folder):
    return [name for name in os.listdir(folder) if "tmp" in name or "journal" in name]


def refused(done, code, *said):
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    for text in said:
        assert text in done.err
    return True


def test_by_default_every_projection_is_a_line_of_json(shop):
    done = shop("export")
    assert (done.code, done.err) == (0, "")
    error = {
        "step": 1,
        "event": {"id": "e3", "type": "Bad"},
        "kind": "ValueError",
        "message": "no such order",
    }
    first, second = done.json
    assert [*first] == ["type", "id", "name", "key", "status", "steps", "state"]
    assert first == {
        "type": "projection", "id": "projection/a", "name": "projection", "key": "a",
        "status": "resolved", "steps": 2, "state": {"n": 4, "who": {"name": "a"}},
    }  # fmt: skip
    assert second["state"] == {"n": 2, "who": {"name": "b"}}
    assert (second["status"], second["steps"]) == ("parked", 1)
    assert {name: second["error"][name] for name in error} == error
    assert "line" not in second["error"]
    assert shop("export", "--json", "--stable", "--format", "jsonl").out == done.out
    assert done.json == list(library.export_records(store=shop.folder / "durproj.db"))


def test_a_table_has_ours_and_then_the_leaves(shop):
    done = shop("export", "--to", "out.db")
    assert (done.code, done.out) == (0, "")
    assert done.err == "durproj: out.db, table projections: 2 rows, 8 columns\n"
    first, second = table(shop.folder / "out.db")
    assert first == {
        "_id": "projection/a", "_name": "projection", "_key": "a", "_status": "resolved", "_steps": 2,
        "_error": None, "n": 4, "who.name": "a",
    }  # fmt: skip
    assert second["_error"] == "ValueError: no such order"


def test_a_journal_has_a_row_for_each_step(shop):
    assert shop("parked", "drop", "projection/b").code == 0
    assert [line["step"] for line in shop("export", "--journal").json] == [0, 1, 0, 1, 2]
    first, _, _, skipped, _ = shop("export", "--journal").json
    assert first == {
        "type": "step", "id": "projection/a", "name": "projection", "key": "a", "step": 0,
        "event": {"id": "e0", "type": "Add", "time": 0}, "state": {"n": 1, "who": {"name": "a"}},
    }  # fmt: skip
    assert skipped["skipped"] == {"kind": "ValueError", "message": "no such order"}
    assert skipped["state"]["n"] == 2
    assert shop("export", "--journal", "--to", "out.db", "-q").err == ""
    rows = table(shop.folder / "out.db", "steps")
    assert [(row["_key"], row["_step"], row["_event_id"], row["n"]) for row in rows] == [
        ("a", 0, "e0", 1), ("a", 1, "e2", 4), ("b", 0, "e1", 2), ("b", 1, "e3", 2), ("b", 2, "e4", 7),
    ]  # fmt: skip
    assert rows[3]["_error"] == "ValueError: no such order"
    assert (rows[0]["_event_type"], rows[0]["_event_time"], rows[0]["_error"]) == ("Add", 0, None)


def test_what_is_chosen(shop):
    shop("run", "log.jsonl", "--reducer", "counts", "--name", "counts")

    def ids(*args):
        return [line["id"] for line in shop("export", *args).json]

    everything = ["projection/a", "projection/b", "counts/a", "counts/b"]
    assert ids() == everything
    assert ids("counts") == ids("--name", "counts") == everything[2:]
    assert ids("counts", "projection") == everything
    assert ids("projection/b", "projection/a", "projection/b") == ["projection/b", "projection/a"]
    assert ids("projection/b", "--name", "counts") == ["projection/b", *everything[2:]]
    assert ids("counts/a", "--name", "counts") == everything[2:]
    assert ids("--status", "parked") == ["projection/b"]
    assert ids("--status", "parked", "--journal") == ["projection/b"]
    none = shop("export", "--status", "pending")
    assert (none.code, none.out) == (0, "")
    assert none.err == "durproj: nothing in durproj.db is to be exported\n"


def test_66_for_what_is_not_there(shop):
    assert refused(shop("export", "projection/z"), 66, "projection/z: no such workflow")
    assert refused(shop("export", "a"), 66, "has the name a", "names there are: projection")
    assert refused(shop("export", "--store", "no.db"), 66, "no.db: no such store")
    assert refused(shop("export", "--to", "no/out.csv"), 66, "no folder no")
    assert refused(shop("export", "projection/z", "--to", "out.csv"), 66)
    assert not (shop.folder / "out.csv").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--to", "out.json"], "its ending names no format"),
        (["--column", "n"], "JSON lines keep the states whole"),
        (["--excel"], "--excel goes with CSV"),
        (["--format", "parquet"], "parquet needs a file"),
        (["--format", "sqlite"], "sqlite needs a file"),
        (["--format", "csv", "--json"], "name two formats"),
        (["--force"], "--table and --force are for files"),
        (["projection/a#1"], "'projection/a#1'"),
        (["--to", ""], "its ending names no format"),
    ],
    ids=str,
)
def test_2_for_what_cannot_be_meant(ready, durproj, args, said):
    assert refused(durproj("export", "--store", ready / "durproj.db", *args), 2, said)
    assert os.listdir(durproj.folder) == []


def test_a_file_that_cannot_be_meant_is_refused(shop, monkeypatch):
    monkeypatch.chdir(shop.folder)
    (shop.folder / "mine.py").write_text(REDUCER)
    (shop.folder / "folder.csv").mkdir()
    os.mkfifo(shop.folder / "pipe")
    (shop.folder / "byte.db").write_bytes(b"\n")
    before = {path.name: path.is_file() and path.read_bytes() for path in shop.folder.iterdir()}
    for to, options, said in (
        ("out", {}, "its ending names no format"),
        (".", {}, "its ending names no format"),
        ("out.jsonl", {"columns": ["n"]}, "JSON lines keep the states whole"),
        ("out.csv", {"columns": ["a[["]}, r'the path "a\[\[" cannot be read'),
        ("out.csv", {"table": "t"}, "--table names the table of a SQLite database"),
        ("out.db", {"table": ""}, "--table names the table of a SQLite database"),
        ("out.db", {"table": "sqlite_x"}, "reserved"),
        ("out.db", {"excel": True}, "--excel goes with CSV"),
        ("folder.csv", {}, r"folder\.csv: a folder"),
        ("pipe", {"format": "csv"}, "pipe: not a plain file"),
        ("mine.py", {"format": "csv"}, r"mine\.py: it exists already"),
        ("mine.py", {"format": "sqlite", "force": True}, r"mine\.py: not a SQLite database"),
        ("byte.db", {}, r"byte\.db: not a SQLite database"),
    ):
        with pytest.raises(library.UsageError, match=said):
            library.export(to, **options)
    assert before == {
        path.name: path.is_file() and path.read_bytes() for path in shop.folder.iterdir()
    }


def test_no_store_is_ever_written_to(shop, monkeypatch):
    folder = shop.folder
    monkeypatch.chdir(folder)
    for name in ("other.db", "third.db"):
        shutil.copy(folder / "durproj.db", folder / name)
    (folder / "link.db").symlink_to("durproj.db")
    (folder / "durproj.db.live-x#synced").touch()
    for store in ("durproj.db", "link.db"):
        to = ["--store", store, "--to", "durproj.db.live-x#synced", "--format", "csv", "--force"]
        assert refused(shop("export", *to), 2, "durproj.db.live-x#synced: the store")
    os.link(folder / "third.db", folder / "hard.db")
    before = (folder / "durproj.db").read_bytes()
    for name in ("durproj.db", "link.db", "hard.db", "other.db", "other.db-wal"):
        for format in ("sqlite", "csv"):
            with pytest.raises(library.UsageError, match=f"{name}: it is a store of durproj"):
                library.export(name, format=format, force=True)
    assert refused(shop("export", "--to", "link.db", "--force"), 2, "link.db: it is a store")
    for name in ("durproj.db", "other.db", "third.db"):
        assert (folder / name).read_bytes() == before
    assert not (folder / "other.db-wal").exists()


def test_no_input_of_any_run_is_ever_written_to(shop):
    folder = shop.folder
    shutil.copy(folder / "log.jsonl", folder / "second.jsonl")
    log = (folder / "log.jsonl").read_bytes()
    piped = ["run", "-", "--name", "piped", "--reducer", "r.py:f", "--on-error", "park"]
    assert shop(*piped, input=log).code == 1
    assert shop("run", "sec*.jsonl", "--name", "other", "--reducer", "counts").code == 0
    (folder / "link.jsonl").symlink_to("log.jsonl")
    os.link(folder / "log.jsonl", folder / "hard.jsonl")
    (copy,) = folder.glob("durproj.db.input-*")
    for name in ("log.jsonl", "link.jsonl", "hard.jsonl", "second.jsonl", copy.name):
        to = ["--to", name, "--format", "jsonl", "--force", "--status", "rejected"]
        said = f"{name}: an input of durproj.db, folded as "
        assert refused(shop("export", *to), 2, said, "write to another file")
        assert (folder / name).read_bytes() == log


def test_no_reducer_of_any_run_is_ever_written_to(shop):
    folder = shop.folder
    (folder / "m.py").write_text(REDUCER)
    (folder / "p").mkdir()
    (folder / "p" / "__init__.py").write_text(REDUCER)
    for reducer in ("m", "p"):
        run = ["run", "log.jsonl", "--name", reducer, "--reducer", f"{reducer}:f"]
        assert shop(*run, "--on-error", "park").code == 1
    (folder / "link.jsonl").symlink_to("r.py")
    for name in ("r.py", "link.jsonl", "m.py", "p/__init__.py"):
        done = shop("export", "--to", name, "--format", "jsonl", "--force")
        assert refused(done, 2, f"{name}: the reducer of durproj.db, folded as ")
        assert (folder / name).read_text() == REDUCER


def test_a_table_without_a_row_may_take_the_place_of_a_file_but_is_told(shop):
    (shop.folder / "out.jsonl").write_text("mine")
    done = shop("export", "--to", "out.jsonl", "--force", "-q", "--status", "rejected")
    assert (done.code, (shop.folder / "out.jsonl").read_text()) == (0, "")
    assert (
        done.err == "durproj: nothing in durproj.db is to be exported: out.jsonl has no row now\n"
    )


@pytest.mark.parametrize("end", ["jsonl", "csv", "parquet"])
def test_a_file_that_exists_is_replaced_with_force_only(shop, end):
    out = shop.folder / f"out.{end}"
    out.write_text("mine")
    out.chmod(0o640)
    store = shop.folder / "durproj.db"
    with pytest.raises(library.UsageError, match="it exists already") as told:
        library.export(out, store=store)
    assert "--force" in told.value.hint
    assert out.read_text() == "mine"
    library.export(out, store=store, force=True)
    assert out.read_bytes() != b"mine"
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert left_behind(shop.folder) == []


@pytest.mark.parametrize("end", ["-wal", "-journal"])
def test_a_new_database_is_not_made_beside_the_journal_of_another(shop, end):
    (shop.folder / f"out.db{end}").write_bytes(b"x")
    done = shop("export", "--to", "out.db")
    assert refused(done, 2, f"out.db{end} exists: it holds changes not yet merged into a database")
    assert "name another file, or remove it if that database is gone" in done.err
    assert not (shop.folder / "out.db").exists()
    assert shop("export", "--to", "out.csv").code == 0


@pytest.mark.parametrize("end", ["-wal", "-journal"])
def test_an_empty_journal_is_in_the_way_of_no_new_database(shop, end):
    with closing(sqlite3.connect(shop.folder / "out.db")) as conn:
        conn.execute("PRAGMA journal_mode = TRUNCATE")
        conn.execute("CREATE TABLE mine (x)")
        conn.commit()
        journal = shop.folder / "out.db-journal"
        assert not journal.stat().st_size
    (shop.folder / "out.db").unlink()
    journal.rename(shop.folder / f"out.db{end}")
    assert shop("export", "--to", "out.db").code == 0
    with closing(sqlite3.connect(shop.folder / "out.db")) as conn:
        assert conn.execute("SELECT count(*) FROM projections").fetchone() == (2,)


def test_a_new_file_has_the_permissions_of_any_other(shop):
    (shop.folder / "any").touch()
    for name in ("out.csv", "out.db"):
        assert shop("export", "--to", name).code == 0
        assert (shop.folder / name).stat().st_mode == (shop.folder / "any").stat().st_mode


def test_what_a_link_leads_to_is_written(shop):
    (shop.folder / "deep").mkdir()
    (shop.folder / "out.csv").symlink_to("deep/real.csv")
    assert shop("export", "--to", "out.csv").code == 0
    assert (shop.folder / "out.csv").is_symlink()
    assert (shop.folder / "deep" / "real.csv").read_text().count("\n") == 3


def test_other_tables_of_a_database_stay_and_the_table_is_replaced_with_force_only(shop):
    with closing(sqlite3.connect(shop.folder / "out.db")) as conn:
        conn.executescript(
            "CREATE TABLE mine (x); INSERT INTO mine VALUES (1); CREATE VIEW v AS SELECT 1"
        )
    assert shop("export", "--to", "out.db", "--table", "Accounts").code == 0
    again = shop("export", "--to", "out.db", "--table", "accounts", "projection/a")
    assert refused(again, 2, "out.db: there is a table accounts already")
    assert refused(
        shop("export", "--to", "out.db", "--table", "V", "--force"), 2, "V is a view there"
    )
    assert len(table(shop.folder / "out.db", "Accounts")) == 2
    assert (
        shop("export", "--to", "out.db", "--table", "accounts", "--force", "projection/a").code == 0
    )
    assert len(table(shop.folder / "out.db", "accounts")) == 1
    assert table(shop.folder / "out.db", "mine") == [{"x": 1}]


def test_a_table_may_have_any_name(shop):
    name = """a"b'; DROP TABLE x --[`"""
    assert shop("export", "--to", "out.db", "--table", name).code == 0
    with closing(sqlite3.connect(shop.folder / "out.db")) as conn:
        assert conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall() == [
            (name,)
        ]


def test_a_database_that_somebody_writes_to_is_waited_for_and_left_alone(shop, monkeypatch):
    assert shop("export", "--to", "out.db").code == 0
    monkeypatch.setattr("durproj.exports.sqlite_table.WAIT_S", 0.05)
    with closing(sqlite3.connect(shop.folder / "out.db", isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        with pytest.raises(library.StoreBusy, match=r"out\.db"):
            library.export(shop.folder / "out.db", store=shop.folder / "durproj.db", force=True)
    assert len(table(shop.folder / "out.db")) == 2


def test_json_says_what_was_written(shop):
    assert shop("export", "--to", "out.csv", "--json").json == [
        {"type": "export", "to": "out.csv", "format": "csv", "rows": 2, "columns": 8}
    ]
    assert shop("export", "--to", "o.sqlite", "--json", "--column", "nope").json == [
        {
            "type": "export", "to": "o.sqlite", "format": "sqlite", "table": "projections", "rows": 2,
            "columns": 7, "empty": ["nope"],
        }
    ]  # fmt: skip
    told = shop("export", "--format", "csv", "--column", "nope").err
    assert told == "durproj: no state has anything at nope\n"


HOSTILE = {"=1+1": "=HYPERLINK(1)", "-x": -1, "t": "\tx", "e": "\x1b[2J", "l": "a\nb", "p": "plain"}


def hostile(durproj):
    line = {"user": "@u\n1", "type": "T", "data": HOSTILE}
    (durproj.folder / "log.jsonl").write_text(json.dumps(line) + "\n")
    assert durproj("run", "log.jsonl", "--reducer", "merge", "--key", "user").code == 0


def test_csv_for_spreadsheets_holds_no_formula(durproj):
    hostile(durproj)
    assert durproj("export", "--to", "raw.csv").code == 0
    assert durproj("export", "--to", "safe.csv", "--excel").code == 0
    with (durproj.folder / "raw.csv").open(newline="", encoding="utf-8") as file:
        (raw,) = csv.DictReader(file)
    assert (raw['"=1+1"'], raw["-x"], raw["e"], raw["_key"]) == (
        "=HYPERLINK(1)",
        "-1",
        "\x1b[2J",
        "@u\n1",
    )
    with (durproj.folder / "safe.csv").open(newline="", encoding="utf-8") as file:
        assert file.read(1) == "\ufeff"
        (safe,) = csv.DictReader(file)
    assert (safe['"=1+1"'], safe["'-x"], safe["t"], safe["p"]) == (
        "'=HYPERLINK(1)",
        "-1",
        "'\tx",
        "plain",
    )
    assert safe["_key"] == "'@u\n1"


def test_csv_on_standard_output_is_a_line_a_row_and_says_what_it_wrote_out(durproj):
    hostile(durproj)
    done = durproj("export", "--format", "csv")
    header, row = csv.reader(io.StringIO(done.out))
    assert len(done.out.splitlines()) == 2
    assert row[header.index("e")] == "\\x1b[2J"
    assert row[header.index("l")] == "a\\x0ab"
    assert "1 row with control characters" in done.err


def test_a_program_is_exported_when_it_is_asked_for(shop):
    def checkout(ctx, order):
        price = yield ctx.run(len, order)
        try:
            yield ctx.run(fail, order)
        except library.StepFailed:
            return {"price": price}

    def fail(order):
        raise ValueError(order)

    store = shop.folder / "durproj.db"
    library.run("checkout/A-17", checkout, "A-17", store=store)
    assert len(shop("export").json) == 2
    for which in ("checkout", "checkout/A-17"):
        (record,) = shop("export", which).json
        assert (record["status"], record["state"]) == ("resolved", {"price": 4})
    first, second = shop("export", "checkout", "--journal").json
    assert (first["event"]["id"], first["event"]["time"], first["state"]) == (None, None, 4)
    assert "len" in first["event"]["type"]
    assert second["state"] is None
    assert second["error"]["message"] == "A-17"
    assert shop("export", "checkout", "--journal", "--to", "out.parquet").code == 0


def test_a_workflow_without_a_step_has_no_state(shop):
    library.rewind("projection/a", -1, store=shop.folder / "durproj.db")
    record = shop("export", "projection/a").json[0]
    assert (record["status"], record["steps"], record["state"]) == ("pending", 0, None)
    assert shop("export", "projection/a", "--journal").out == ""
    assert shop("export", "projection/a", "--journal", "--to", "out.csv").code == 0
    assert (shop.folder / "out.csv").read_text().count("\n") == 1
    assert shop("export", "projection/a", "--to", "out.parquet").code == 0


def damage(folder):
    with closing(sqlite3.connect(folder / "durproj.db")) as conn, conn:
        conn.execute(
            "UPDATE workflow SET state = replace(state, '4', '5') WHERE id = 'projection/a'"
        )
        assert conn.total_changes == 1


@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet", "db"])
def test_damage_is_told_and_nothing_is_written(shop, end):
    store, out = shop.folder / "durproj.db", shop.folder / f"out.{end}"
    library.export(out, store=store)
    damage(shop.folder)
    before = out.read_bytes()
    with pytest.raises(library.StoreDamaged):
        library.export(out, store=store, force=True)
    with pytest.raises(library.StoreDamaged):
        library.export(shop.folder / f"new.{end}", store=store)
    assert not (shop.folder / f"new.{end}").exists()
    assert out.read_bytes() == before
    assert left_behind(shop.folder) == []


def test_damage_is_told_before_anything_is_printed(shop):
    damage(shop.folder)
    assert refused(shop("export"), 74, "the store is damaged")


def test_a_damaged_step_is_told_before_the_first_one_is_printed(shop):
    with closing(sqlite3.connect(shop.folder / "durproj.db")) as conn, conn:
        conn.execute("UPDATE step SET output = x'7b7d' WHERE workflow = 2")
        assert conn.total_changes == 1
    assert refused(shop("export", "--journal"), 74, "projection/b#0: the store is damaged")


@pytest.fixture(scope="module")
def many(ready, tmp_path_factory):
    """The same with 400 workflows more."""
    folder = tmp_path_factory.mktemp("many")
    shutil.copytree(ready, folder, dirs_exist_ok=True)
    log_of(folder, [(f"k{n}" * 20, "Add", n) for n in range(400)])
    done = CommandLine(folder)("run", "log.jsonl", "--reducer", "r.py:f", "--name", "many", "-q")
    assert done.code == 0
    return folder


@pytest.mark.parametrize("end", ["jsonl", "csv", "parquet", "db"])
def test_without_room_the_file_is_as_it_was(durproj, many, end):
    shop = durproj
    shutil.copytree(many, shop.folder, dirs_exist_ok=True)
    out = shop.folder / f"out.{end}"
    library.export(out, ["projection"], store=shop.folder / "durproj.db")
    before = out.read_bytes()
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 16; trap "" XFSZ; exec "$@"', "sh",
         *DURPROJ, "export", "--journal", "--force", "--to", out.name, *(["--table", "projections"] if end == "db" else [])],
        cwd=shop.folder, env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 74, done.stderr
    assert "Traceback" not in done.stderr
    assert out.read_bytes() == before
    assert left_behind(shop.folder) == []


def test_parquet_without_pyarrow_says_how_to_get_it(shop):
    (shop.folder / "pyarrow.py").write_text("raise ModuleNotFoundError('no pyarrow')\n")
    done = shop("export", "--to", "out.parquet")
    assert refused(done, 2, "Parquet needs the package pyarrow", "pip install 'durproj[parquet]'")


def test_an_export_is_of_one_instant_and_holds_no_run_up(shop):
    store = shop.folder / "durproj.db"
    with keeping(store, Choice(journal=True)) as kept, closing(connect_copy(store)) as copy:
        log_of(shop.folder, [*EVENTS, ("a", "Add", 9), ("c", "Add", 1)])
        assert shop("run", "log.jsonl", "--reducer", "r.py:f", "--on-error", "park").code == 1
        taken = [(record["key"], record["step"]) for record in kept]
        assert copy.execute("SELECT count(*) FROM workflow").fetchone() == (2,)
    assert taken == [("a", 0), ("a", 1), ("b", 0)]
    assert [record["state"]["n"] for record in shop("export").json] == [13, 2, 1]


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("which", [["projection/b", "projection/a"], []])
def test_of_a_few_workflows_no_copy_is_made_and_they_are_of_one_instant(
    shop, monkeypatch, which, journal
):
    monkeypatch.setattr("durproj.exports.chosen.connect_copy", None)
    log_of(shop.folder, [*EVENTS, ("a", "Add", 9), ("c", "Add", 1)])

    def run_meanwhile(record):
        if not taken:
            assert shop("run", "log.jsonl", "--reducer", "r.py:f", "--on-error", "park").code == 1
        taken.append(record["state"]["n"])
        return record

    taken = []
    with keeping(shop.folder / "durproj.db", Choice(which, journal=journal), run_meanwhile):
        pass
    assert sorted(taken) == ([1, 2, 4] if journal else [2, 4])
    assert len(shop("export", *which).json) == (2 if which else 3)


@pytest.mark.parametrize("journal", [True, False])
def test_of_many_workflows_a_copy_is_read(shop, monkeypatch, journal):
    monkeypatch.setattr("durproj.exports.chosen.FEW", 1)
    store, before = shop.folder / "durproj.db", sorted(os.listdir(shop.folder))
    found = list(library.export_records(store=store, journal=journal))
    assert found == shop("export", *(["--journal"] if journal else [])).json
    with closing(SqliteStore.open_reader(store)) as opened:
        assert list(library.export_records(store=opened, journal=journal)) == found
    assert sorted(os.listdir(shop.folder)) == before


def test_what_a_workflow_came_of_is_told(shop):
    assert shop("gc", "projection/a", "--keep-last", "1").code == 0
    shop("fork", "projection/b#0", "--as", "whatif")
    shop("run", "log.jsonl", "--reducer", "counts", "--name", "next")
    assert shop("promote", "next", "projection", "--force").code == 0
    found = {record["id"]: record for record in shop("export").json}
    assert found["whatif/b"]["forked_from"] == "projection/b#0"
    assert found["projection@old/a"]["replaced_by"] == "projection"
    assert (found["projection@old/a"]["kept_from"], found["projection@old/a"]["steps"]) == (1, 2)
    assert not {"kept_from", "forked_from", "replaced_by"} & {*found["projection/a"]}
    assert shop("export", "--to", "out.db").code == 0
    rows = {row["_id"]: row for row in table(shop.folder / "out.db")}
    assert rows["whatif/b"]["_forked_from"] == "projection/b#0"
    assert rows["projection@old/a"]["_replaced_by"] == "projection"
    assert rows["projection@old/a"]["_kept_from"] == 1
    assert {*[*rows["whatif/b"]][6:9]} == {"_kept_from", "_forked_from", "_replaced_by"}


def test_the_copy_that_is_read_leaves_nothing_even_of_a_store_in_wal(shop):
    with closing(SqliteStore.open_writer(shop.folder / "durproj.db")):
        folder = shop.folder / "copies"
        folder.mkdir()
        with closing(connect_copy(shop.folder / "durproj.db", str(folder))) as copy:
            assert copy.execute("SELECT count(*) FROM workflow").fetchone() == (2,)
            assert os.listdir(folder) == []


def test_an_open_store_is_exported_as_it_is(shop):
    store = SqliteStore.open_reader(shop.folder / "durproj.db")
    with closing(store):
        records = list(library.export_records(["projection"], store=store, journal=True))
        assert library.export(shop.folder / "out.csv", store=store)["rows"] == 2
        with pytest.raises(library.UsageError, match="a store of durproj"):
            library.export(shop.folder / "durproj.db", store=store)
    assert records == shop("export", "--journal").json


SLOW = """
import time
def slow(state, event):
    time.sleep(0.001)
    return {"n": state.get("n", 0) + 1}
"""


def test_a_store_that_is_written_to_is_exported_whole(durproj):
    (durproj.folder / "slow.py").write_text(SLOW)
    (durproj.folder / "log.jsonl").write_text(
        '{"user":"a","type":"T"}\n{"user":"b","type":"T"}\n' * 400
    )
    run = subprocess.Popen(
        [*DURPROJ, "run", "log.jsonl", "--reducer", "slow.py:slow", "-q"],
        cwd=durproj.folder, env=environment(), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    lengths = []
    while run.poll() is None:
        if not (durproj.folder / "durproj.db").exists():
            time.sleep(0.01)
            continue
        done = durproj("export", "--journal")
        if done.code == 66:  # the store is in the making
            continue
        assert done.code == 0, done.err
        streams = {"a": [], "b": []}
        for record in done.json:
            streams[record["key"]].append((record["step"], record["state"]["n"]))
        for stream in streams.values():
            assert stream == [(step, step + 1) for step in range(len(stream))]
        lengths.append(len(done.json))
    assert run.wait() == 0
    assert lengths == sorted(lengths)
    assert len(durproj("export", "--journal").json) == 800


STOPPED = """
import os, sys
from durproj.cli.app import main
from durproj.exports import csv_file

signum = int(sys.argv.pop())

def stopped(path, *_, **__):
    open(path, "a").write("half")
    os.kill(os.getpid(), signum)

csv_file.write = stopped
main()
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_export_leaves_nothing(shop, signum):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, "export", "--journal", "--to", "out.csv", str(int(signum))],
        cwd=shop.folder, env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 128 + signum, done.stderr
    assert "stopped; nothing was written to out.csv" in done.stderr
    assert left_behind(shop.folder) == []
    assert not (shop.folder / "out.csv").exists()


def test_who_stops_reading_is_not_told_of_it(shop):
    done = subprocess.run(
        ["sh", "-c", '"$@" export | true', "sh", *DURPROJ],
        cwd=shop.folder, env=environment(), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == b""
