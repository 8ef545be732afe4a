"""`verify`: damage of every kind is found, said of the workflow that has it, and hides no other."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing

import pytest

import durproj as library
from durproj.stores.lock import Lock
from durproj.stores.sqlite import SqliteStore


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store with long and short workflows, rows and segments, failed attempts, and two runs."""
    folder = tmp_path_factory.mktemp("sound")
    keys = "a" * 600 + "b" * 20 + "c" * 3
    lines = [json.dumps({"key": key, "type": "T", "id": n}) for n, key in enumerate(keys)]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "s.db"
    store = {"reducer": "counts", "store": path}
    library.fold(folder / "log.jsonl", **store)
    never = library.Constant(retries=1, delay_s=0.0)
    library.fold(folder / "log.jsonl", name="b", keys=["b"], fail=(7, 1), retry=never, **store)
    return path


@pytest.fixture
def store(sound, tmp_path):
    return shutil.copyfile(sound, tmp_path / "s.db")


def change(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA ignore_check_constraints = 1")
        for statement in statements:
            assert conn.execute(statement).rowcount, statement


def found(path, ids=None, **how):
    """What was found, by id, and the summary; None stands for the store as a whole."""
    *records, summary = library.verify(ids, store=path, **how)
    assert summary["exit"] == any(record["status"] != "ok" for record in records)
    return {record["id"]: record for record in records}, summary


IDS = ["projection/a", "projection/b", "projection/c", "b/b"]


def test_a_sound_store_is_verified_to_its_last_step(store):
    records, summary = found(store)
    assert [(id, record["status"]) for id, record in records.items()] == [(id, "ok") for id in IDS]
    assert summary == {
        "type": "summary",
        "workflows": 4,
        "steps": 643,
        "ok": 4,
        "damaged": 0,
        "different": 0,
        "unverifiable": 0,
        "exit": 0,
    }


DAMAGE = {
    "an output": ("UPDATE step SET output = x'7b7d' WHERE workflow = 2 AND step = 3", 2),
    "an input": ("UPDATE step SET input = x'7b7d' WHERE workflow = 2 AND step = 3", 2),
    "a row gone": ("DELETE FROM step WHERE workflow = 2 AND step = 3", 2),
    "a row moved": ("UPDATE step SET step = 99 WHERE workflow = 2 AND step = 19", 2),
    "a middle segment gone": ("DELETE FROM segment WHERE workflow = 1 AND start = 256", 1),
    "a segment's bytes": ("UPDATE segment SET packed = x'00' WHERE workflow = 1 AND start = 256", 1),
    "a segment's seed": ("UPDATE segment SET seed = x'00' WHERE workflow = 1 AND start = 256", 1),
    "a segment twice": (
        (
            'INSERT INTO segment SELECT workflow, 7, steps, "full", at_ms, seed, hash, packed'
            " FROM segment WHERE workflow = 1 AND start = 0"
        ),
        1,
    ),
    "a state": ("UPDATE workflow SET state = '{}' WHERE no = 3", 3),
    "a status": ("UPDATE workflow SET status = 'pending' WHERE no = 3", 3),
    "a number of steps": ("UPDATE workflow SET steps = 2 WHERE no = 3", 3),
    "an attempt": ("UPDATE attempt SET message = 'x' WHERE workflow = 4", 4),
    "a run": ("UPDATE run SET options = '{}' WHERE no = 2", 4),
    "a run gone": ("DELETE FROM run WHERE no = 2", 4),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_hides_no_other_workflow(store, damage):
    statement, no = DAMAGE[damage]
    change(store, statement)
    records, summary = found(store)
    statuses = {id: record["status"] for id, record in records.items()}
    assert statuses == {id: "damaged" if at == no else "ok" for at, id in enumerate(IDS, 1)}
    assert (summary["workflows"], summary["damaged"], summary["ok"]) == (4, 1, 3)
    assert "damaged" in records[IDS[no - 1]]["error"]
    assert IDS[no - 1] in records[IDS[no - 1]]["error"]


def test_every_damaged_workflow_is_reported(store):
    for statement, no in (DAMAGE["an output"], DAMAGE["a state"], DAMAGE["a segment's bytes"]):
        assert no
        change(store, statement)
    records, _ = found(store)
    assert [record["status"] for record in records.values()].count("damaged") == 3
    assert records["b/b"]["status"] == "ok"


def test_bits_flipped_anywhere_in_the_file_never_end_it(store, tmp_path):
    sound = store.read_bytes()
    harmed = 0
    for seed in range(60):
        rng = random.Random(seed)
        content = bytearray(sound)
        for _ in range(4):
            content[rng.randrange(4096, len(content))] ^= 1 << rng.randrange(8)
        damaged = tmp_path / "flipped.db"
        damaged.write_bytes(content)
        try:
            records, _ = found(damaged)
        except library.StoreError:
            harmed += 1
            continue
        harmed += any(record["status"] != "ok" for record in records.values())
        for record in records.values():
            assert record["status"] in {"ok", "damaged"}
    assert harmed > 40  # free space, times and unused bits of zstd mean nothing


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("DELETE FROM workflow WHERE no = 2", "20 rows of the table step"),
        (
            "INSERT INTO attempt VALUES (77, 0, 1, 0, 'k', 'm', NULL, x'00')",
            "1 row of the table attempt",
        ),
    ],
)
def test_what_belongs_to_no_workflow_is_the_stores_damage(store, statement, rows):
    change(store, statement)
    records, summary = found(store)
    assert f": {rows} without a workflow" in records[None]["error"]
    # Of the one that is gone its run knows, too.
    assert (summary["damaged"], summary["exit"]) == (1 + ("DELETE" in statement), 1)


def test_a_head_under_an_id_that_is_no_text_is_reported_by_its_number(store):
    change(store, "UPDATE workflow SET id = CAST(x'ff2f' AS TEXT) WHERE no = 2")
    records, summary = found(store)
    assert records[None]["status"] == "damaged"
    assert (summary["ok"], summary["damaged"]) == (3, 1)
    # It may be the one that is asked for.
    records, summary = found(store, ["projection/b"])
    assert summary["exit"] == 1
    assert found(store, ["projection/a"])[1]["exit"] == 0


def test_only_what_is_asked_for_is_read(store):
    change(store, DAMAGE["an output"][0])
    assert found(store, ["projection/a", "b/b"])[1]["ok"] == 2
    assert list(found(store, name="b")[0]) == ["b/b"]
    with pytest.raises(library.NotFound, match="projection/z: no such workflow"):
        found(store, ["projection/z"])
    with pytest.raises(library.NotFound, match=r"no workflow in .* has the name z"):
        found(store, name="z")
    with pytest.raises(library.UsageError, match="not a workflow id"):
        found(store, ["z"])


def test_the_command_prints_a_line_for_each_finding_and_goes_on(durproj, store):
    done = durproj("verify", "--store", "s.db")
    assert (done.code, done.out, done.err) == (0, "4 workflows, 643 steps: all verified\n", "")
    assert durproj("verify", "--store", "s.db", "-v").out.startswith(
        "ok            projection/a  600 steps\n"
    )
    change(store, DAMAGE["an output"][0], DAMAGE["a state"][0])
    done = durproj("verify", "--store", "s.db")
    assert done.code == 1
    assert done.out.splitlines() == [
        "damaged       projection/b#3: the store is damaged: the seal does not match",
        "damaged       workflow 'projection/c': the store is damaged: the seal of its head does not match",
        "4 workflows, 620 steps: 2 damaged, 2 verified",
    ]
    assert durproj("verify", "b/b", "--store", "s.db").code == 0
    assert durproj("verify", "projection/c", "--store", "s.db").code == 1
    assert durproj("verify", "b/x", "--store", "s.db").code == 1  # it may be the damaged one


def test_a_store_that_cannot_be_opened_is_74_and_one_that_is_not_there_66(durproj, tmp_path):
    (tmp_path / "junk.db").write_bytes(b"no database" * 100)
    assert durproj("verify", "--store", "junk.db").code == 74
    assert durproj("verify").code == 66


def test_it_reads_while_another_process_holds_the_store(durproj, store):
    lock = Lock(store)
    lock.acquire(0)
    try:
        assert durproj("verify", "--store", "s.db").code == 0
    finally:
        lock.release()


def test_rows_and_a_pending_head_behind_them_are_sound(durproj):
    assert durproj("run", "--crash", 5).code == 3
    done = durproj("verify", "--json", "--stable")
    assert done.code == 0
    assert done.json[0] == {
        "type": "verification",
        "id": "projection/u1",
        "status": "ok",
        "steps": 5,
    }


@pytest.mark.parametrize("read", [
    lambda path: library.inspect("projection/a", store=path),
    lambda path: list(library.log("projection/a", store=path)),
    lambda path: list(library.export_records(store=path)),
    lambda path: list(library.export_records(["projection/a"], store=path)),
], ids=["inspect", "log", "export", "export of one"])  # fmt: skip
def test_a_workflow_with_the_run_of_another_name_is_damaged(store, read):
    with closing(SqliteStore.open_writer(store)) as opened:
        head = opened.head("projection/a")
        head.run = opened.head("b/b").run
        opened.save_head(head)
    with pytest.raises(library.StoreDamaged, match="its run is one of 'b'"):
        read(store)
    assert found(store)[-1]["exit"] == 1
