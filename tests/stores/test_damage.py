"""P7: what was damaged is reported, whatever it is; what is read is what was written."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from making import CURSOR, OPTIONS, attempt, begin, columns, fill, read_all, record

from durproj.errors import (
    DurprojError,
    NotFound,
    Rewritten,
    StoreDamaged,
    StoreError,
    UsageError,
)
from durproj.stores.base import Run
from durproj.stores.examine import examine
from durproj.stores.inventory import take_inventory
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore
from durproj.zstd import ZstdError, compress, decompress

BIG, ROWS, MIXED, SMALL = "projection/big", "projection/rows", "projection/mixed", "other/small"


@dataclass
class Truth:
    """What was written: by workflow id, by run number."""

    heads: dict = field(default_factory=dict)
    records: dict = field(default_factory=dict)
    tries: dict = field(default_factory=dict)
    runs: dict = field(default_factory=dict)


def write(store) -> Truth:
    fill(store, BIG, 530, batch=100, status="resolved", salt=',"of":"big"')
    rows = fill(store, ROWS, 20, salt=',"of":"rows"')
    mixed = fill(store, MIXED, 280, salt=',"of":"mixed"')
    mixed.save("rejected", error=b'{"step":280}')
    other = Run("other", "y", OPTIONS, CURSOR, complete=True)
    store.save_run(other)
    small = begin(store, SMALL, other)
    small.append(0, columns([record(step) for step in range(3)]), "resolved")
    for at in (1, 2):
        store.add_attempt(rows.head.no, 20, attempt(at, at + 1))
        store.add_attempt(mixed.head.no, 5, attempt(at, None))
    truth = Truth()
    for head in store.heads():
        truth.heads[head.id] = head
        truth.records[head.id] = read_all(Journal.open(store, head.id))
    truth.tries = {(ROWS, 20): [attempt(1, 2), attempt(2, 3)], (MIXED, 5): [attempt(1), attempt(2)]}
    truth.runs = {run.no: run for run in store.runs()}
    return truth


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A closed store, and the truth about it."""
    path = tmp_path_factory.mktemp("sound") / "store.db"
    with closing(SqliteStore.open_writer(path)) as store:
        truth = write(store)
    assert [entry.name for entry in path.parent.iterdir()] == ["store.db"]
    return path, truth


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A store as a killed writer leaves it, most of it in the WAL, and the truth about it."""
    folder = tmp_path_factory.mktemp("killed")
    store = SqliteStore.open_writer(folder / "store.db")
    truth = write(store)
    left = tmp_path_factory.mktemp("left")
    for end in ("", "-wal"):
        shutil.copyfile(folder / f"store.db{end}", left / f"store.db{end}")
    store.close()
    assert (left / "store.db-wal").stat().st_size > 100_000
    return left / "store.db", truth


def ask(question, *args):
    """The answer, or the StoreError instead of one. Any other exception is a fault, and so is to blame a
    writer for damage."""
    try:
        return question(*args)
    except Rewritten:
        raise
    except StoreError as error:
        return error


def check(store, truth: Truth, *, cut: bool = False) -> set[str]:
    """Ask the store everything; the ids of workflows about which it reported damage.

    An unfinished journal may have lost steps at its end, but none that its head counts. `cut`: the
    store as a whole may be an earlier one, as after damage to the WAL.
    """
    harmed = set()
    for id, records in truth.records.items():
        steps = len(records)
        head = ask(store.head, id)
        journal = ask(Journal.open, store, id)
        if head is None:
            assert cut, f"{id} has vanished"
            continue
        if isinstance(head, StoreError) or isinstance(journal, StoreError):
            harmed.add(id)
            continue
        if not cut:
            assert head == truth.heads[id]
        found = ask(read_all, journal)
        if isinstance(found, StoreError):
            harmed.add(id)
        else:
            assert found == records[: len(found)]
            assert len(found) >= head.steps
            if not cut and len(found) < len(records):
                assert head.status == "pending"
            steps = len(found)
            assert journal.steps == steps
            if steps and not cut:
                assert journal.last_output() == found[-1].output
        for step in {0, 1, 255, 256, 257, steps // 2, steps - 2, steps - 1} & set(range(steps)):
            one = Journal.open(store, id)
            got = ask_step(one, step)
            if isinstance(got, DurprojError):
                harmed.add(id)
            else:
                assert got == records[step]
        for (of, step), tries in truth.tries.items():
            got = ask(store.attempts, head.no, step) if of == id else None
            if isinstance(got, StoreError):
                harmed.add(id)
            elif of == id:
                assert got == tries[: len(got)]
    for no, run in truth.runs.items():
        got = ask(store.run, no)
        assert cut or isinstance(got, StoreError) or got == run
        got = ask(store.find_run, run.name, run.identity)
        assert cut or isinstance(got, StoreError) or got == run
    for name in (None, "projection", "other"):
        heads = ask(lambda name=name: list(store.heads(name=name)))
        if not isinstance(heads, StoreError) and not cut:
            assert heads == [h for h in truth.heads.values() if name in (None, h.name)]
    return harmed


def ask_step(journal, step):
    try:
        return journal.read(step)
    except Rewritten:
        raise
    except (StoreError, NotFound) as error:
        return error


def open_and_check(path, truth, *, cut=False) -> set[str]:
    """`check`, where the store may be refused as a whole as well."""
    try:
        store = SqliteStore.open_reader(path)
    except (StoreError, UsageError, NotFound):
        return set(truth.records)
    with closing(store):
        return check(store, truth, cut=cut)


def schema(path):
    with closing(sqlite3.connect(path)) as conn:
        return [
            (table, row[1])
            for table in ("run", "workflow", "step", "segment", "attempt")
            for row in conn.execute(f"PRAGMA table_info({table})")
        ]


# As in schema.sql; a test below sees to it.
COLUMNS = [
    (table, column)
    for table, names in {
        "run": "no name identity options cursor complete updated_ms seal",
        "workflow": "no id name key run status steps state error updated_ms prefix_bytes"
        " prefix_steps hash seal",
        "step": "workflow step meta input output at_ms hash",
        "segment": "workflow start steps full at_ms seed hash packed",
        "attempt": "workflow step attempt at_ms kind message retry_ms seal",
    }.items()
    for column in names.split()
]
UNREAD = {("step", "at_ms"), ("segment", "at_ms")}
NAMING = {"no", "workflow", "id", "run"}


def test_every_column_is_put_to_the_test(sound):
    assert sorted(schema(sound[0])) == sorted(COLUMNS)


def flip(value, rng):
    """`value` with one bit flipped, as SQL can put it in place."""
    if value is None:
        return "?", 0
    if isinstance(value, int):
        return "?", value ^ (1 << rng.choice([0, 1, 2, 3, 7, 31, 61]))
    blob = bytearray(value.encode() if isinstance(value, str) else value)
    blob[rng.randrange(len(blob))] ^= 1 << rng.randrange(8)
    return ("CAST(? AS TEXT)" if isinstance(value, str) else "?"), bytes(blob)


def unpacks_alike(one, other):
    """Whether a flipped bit is one of the few that mean nothing in a zstd frame."""
    try:
        return decompress(one) == decompress(other)
    except ZstdError:
        return False


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_flipped_bit_in_any_column_is_found(sound, tmp_path, table, column):
    path, truth = sound
    rng = random.Random(f"{table}.{column}")
    reported = changes = 0
    quoted = f'"{column}"'
    numbers = {head.no: head.id for head in truth.heads.values()}
    for trial in range(40):
        if changes == 5:
            break
        damaged_path = tmp_path / f"{trial}.db"
        shutil.copyfile(path, damaged_path)
        with closing(sqlite3.connect(damaged_path)) as conn:
            conn.execute("PRAGMA ignore_check_constraints = 1")
            key = "no" if table in ("run", "workflow") else "workflow, step"
            key = "workflow, start" if table == "segment" else key
            key = "workflow, step, attempt" if table == "attempt" else key
            chosen = rng.choice(conn.execute(f"SELECT {key}, {quoted} FROM {table}").fetchall())
            holder, value = flip(chosen[-1], rng)
            where = " AND ".join(f"{name} = ?" for name in key.split(", "))
            try:
                change = f"UPDATE {table} SET {quoted} = {holder} WHERE {where}"
                conn.execute(change, (value, *chosen[:-1]))
                conn.commit()
            except sqlite3.IntegrityError:
                continue  # two rows under one key: not even damage makes that
        changes += column != "packed" or not unpacks_alike(value, chosen[-1])
        harmed = open_and_check(damaged_path, truth)
        reported += bool(harmed)
        if table != "run" and column not in NAMING:
            assert harmed <= {numbers[chosen[0]]}, "another workflow suffers"
    assert changes
    if (table, column) in UNREAD:
        assert reported == 0
    elif table != "run" and column not in NAMING | {"step"}:
        assert reported == changes


def run_sql(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA ignore_check_constraints = 1")
        for statement in statements:
            conn.execute(statement)


def swap(table, column, one, two):
    """Statements that give the rows numbered `one` and `two` each the other's number."""
    return [
        f"UPDATE {table} SET {column} = {new} WHERE {column} = {old}"
        for old, new in ((one, 99), (two, one), (99, two))
    ]


# Workflows in the order of `write`: 1 big, 2 rows, 3 mixed, 4 small; runs: 1 and 2.
REPORTED = {
    "rows given to each other's workflow": (swap("step", "workflow", 2, 3), {ROWS, MIXED}),
    "segments given to each other's workflow": (swap("segment", "workflow", 1, 3), {BIG, MIXED}),
    "heads swapped": (swap("workflow", "no", 2, 3), {ROWS, MIXED}),
    "heads of equal standing swapped": (swap("workflow", "no", 1, 4), {BIG, SMALL}),
    "attempts given to each other's workflow": (
        ["UPDATE attempt SET workflow = 2, step = 20, attempt = attempt + 2 WHERE workflow = 3"],
        {ROWS},
    ),
    "one row given to another": (
        ["UPDATE step SET workflow = 3, step = 280 WHERE workflow = 2 AND step = 19"],
        {MIXED},
    ),
    "two segments swapped within a workflow": (
        [
            "UPDATE segment SET start = 7 WHERE workflow = 1 AND start = 0",
            "UPDATE segment SET start = 0 WHERE workflow = 1 AND start = 256",
            "UPDATE segment SET start = 256 WHERE workflow = 1 AND start = 7",
        ],
        {BIG},
    ),
    "the content of two segments swapped": (
        [("UPDATE segment SET packed = (SELECT s.packed FROM segment s WHERE s.workflow = 1"
            " AND s.start = 256) WHERE workflow = 1 AND start = 0")],
        {BIG},
    ),
    "a segment of one workflow copied over another's": (
        [("UPDATE segment SET (packed, hash, seed) = (SELECT s.packed, s.hash, s.seed FROM"
            " segment s WHERE s.workflow = 1 AND s.start = 0) WHERE workflow = 3 AND start = 0")],
        {MIXED},
    ),
    "a row deleted": (["DELETE FROM step WHERE workflow = 2 AND step = 7"], {ROWS}),
    "the first row deleted": (["DELETE FROM step WHERE workflow = 2 AND step = 0"], {ROWS}),
    "the last rows of a rejected workflow deleted": (
        ["DELETE FROM step WHERE workflow = 3 AND step > 277"],
        {MIXED},
    ),
    "all rows of a rejected workflow deleted": (["DELETE FROM step WHERE workflow = 3"], {MIXED}),
    "a segment deleted": (["DELETE FROM segment WHERE workflow = 1 AND start = 0"], {BIG}),
    "the last segment deleted": (["DELETE FROM segment WHERE workflow = 1 AND start = 512"], {BIG}),
    "all segments deleted": (["DELETE FROM segment"], {BIG, MIXED}),
    "everything but the heads deleted": (
        ["DELETE FROM segment", "DELETE FROM step"],
        {BIG, ROWS, MIXED, SMALL},
    ),
    "an attempt deleted": (["DELETE FROM attempt WHERE attempt = 1"], {ROWS, MIXED}),
    "a later row of the same output": (
        [("UPDATE step SET output = (SELECT s.output FROM step s WHERE s.workflow = 2"
            " AND s.step = 9) WHERE workflow = 2 AND step = 8")],
        {ROWS},
    ),
    "a step far beyond the end": (
        [("INSERT INTO step SELECT workflow, 9223372036854775807, meta, input, output, at_ms, hash"
         " FROM step WHERE workflow = 2 AND step = 19")],
        {ROWS},
    ),
    "a segment far beyond the end": (
        [("INSERT INTO segment SELECT workflow, 4611686018427387903, steps, 1, at_ms, seed, hash,"
         " packed FROM segment WHERE workflow = 1 AND start = 0")],
        {BIG},
    ),
    "a segment of zero steps": (["UPDATE segment SET steps = 0 WHERE workflow = 1"], {BIG}),
    "a status that is none": (["UPDATE workflow SET status = 'x' WHERE no = 4"], {SMALL}),
    "a state that is another's": (
        ["UPDATE workflow SET state = (SELECT w.state FROM workflow w WHERE w.no = 1) WHERE no = 4"],
        {SMALL},
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", REPORTED)
def test_what_was_moved_or_taken_away_is_missed(sound, tmp_path, damage):
    path, truth = sound
    statements, expected = REPORTED[damage]
    store = tmp_path / "store.db"
    shutil.copyfile(path, store)
    run_sql(store, *statements)
    harmed = open_and_check(store, truth)
    assert harmed == expected


def test_a_run_under_the_number_of_another_is_reported(sound, tmp_path):
    path, truth = sound
    store = tmp_path / "store.db"
    shutil.copyfile(path, store)
    run_sql(store, *swap("run", "no", 1, 2))
    with closing(SqliteStore.open_reader(store)) as opened:
        for no in truth.runs:
            with pytest.raises(StoreDamaged, match=r"run \d: .*seal"):
                opened.run(no)


def test_rows_lost_at_the_end_of_a_pending_workflow_are_made_again(sound, tmp_path):
    path, truth = sound
    copy = tmp_path / "store.db"
    shutil.copyfile(path, copy)
    run_sql(copy, "DELETE FROM step WHERE workflow = 2 AND step >= 15")
    with closing(SqliteStore.open_writer(copy)) as store:
        journal = Journal.open(store, ROWS)
        assert journal.steps == 15
        journal.append(15, columns(truth.records[ROWS][15:]))
        assert read_all(Journal.open(store, ROWS)) == truth.records[ROWS]


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("UPDATE step SET output = x'00' WHERE workflow = 3 AND step = 270", 270),
        ("UPDATE step SET output = x'00' WHERE workflow = 3 AND step = 270", 256),
        ("UPDATE step SET output = x'00' WHERE workflow = 3 AND step = 270", 100),
        ("DELETE FROM step WHERE workflow = 3 AND step = 260", 260),
        ("UPDATE segment SET packed = x'00' WHERE workflow = 3", 0),
    ],
)
def test_a_rewind_to_before_the_damage_cures_it(sound, tmp_path, statement, kept):
    path, truth = sound
    copy = tmp_path / "store.db"
    shutil.copyfile(path, copy)
    run_sql(copy, statement)
    with closing(SqliteStore.open_writer(copy)) as store:
        with pytest.raises(StoreDamaged, match="rewind the workflow before"):
            read_all(Journal.open(store, MIXED))
        Journal.open(store, MIXED).rewind(kept)
        assert read_all(Journal.open(store, MIXED)) == truth.records[MIXED][:kept]
        with pytest.raises(StoreDamaged):
            run_sql(copy, "UPDATE step SET output = x'00' WHERE workflow = 2 AND step = 3")
            Journal.open(store, ROWS).rewind(10)


@pytest.mark.parametrize("table", ["run", "workflow", "step", "attempt"])
def test_rows_that_a_damaged_page_does_not_count_any_more_are_missed(sound, tmp_path, table):
    path, truth = sound
    root = root_of(path, table)
    for at, bit in [(at, bit) for at in range(3, 12) for bit in range(8)]:
        flipped = bytearray(path.read_bytes())
        flipped[(root - 1) * 4096 + at] ^= 1 << bit
        copy = tmp_path / "store.db"
        copy.write_bytes(flipped)
        open_and_check(copy, truth)


def root_of(path, table):
    with closing(sqlite3.connect(path)) as conn:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        return conn.execute(sql, (table,)).fetchone()[0]


def copy_page(path, source, target):
    """Let the first page of one table or index be that of another."""
    with path.open("r+b") as file:
        file.seek((root_of(path, source) - 1) * 4096)
        page = file.read(4096)
        file.seek((root_of(path, target) - 1) * 4096)
        file.write(page)


def empty(path, table):
    """Let a table without row ids, or an index, be as it was when it was new: nothing is in it."""
    with path.open("r+b") as file:
        file.seek((root_of(path, table) - 1) * 4096)
        file.write(b"\x0a\0\0\0\0\x10\0\0" + bytes(4088))


@pytest.mark.parametrize("lost", ["attempt", "attempt_twin", "crash", "crash_twin"])
def test_attempts_and_crash_points_that_are_lost_are_missed(tmp_path, lost):
    path = tmp_path / "store.db"
    with closing(SqliteStore.open_writer(path)) as store:
        head = fill(store, "projection/u1", 3).head
        store.add_attempt(head.no, 3, attempt(1))
        store.add_crash(head.no, 3)
    empty(path, lost)
    table = lost.removesuffix("_twin")
    missing = f"rows of the table {table} are missing"
    with closing(SqliteStore.open_reader(path)) as store:
        ask_for = store.attempts if table == "attempt" else store.crashed
        assert not ask_for(head.no, 4)
        with pytest.raises(StoreDamaged, match=missing):
            ask_for(head.no, 3)
    said = f"index {table}_twin"
    assert [said in str(error) for error in take_inventory(path).damage] == [True]
    assert said in str(examine(path).error)


def test_a_workflow_that_its_id_does_not_lead_to_is_not_begun_anew(sound, tmp_path):
    path = tmp_path / "store.db"
    shutil.copy(sound[0], path)
    empty(path, "sqlite_autoindex_workflow_1")
    with closing(SqliteStore.open_reader(path)) as store:
        assert [store.head(id) for id in sound[1].heads] == [*sound[1].heads.values()]
    with closing(SqliteStore.open_writer(path)) as store:
        for id in (*sound[1].heads, "not/there"):
            with pytest.raises(StoreDamaged, match="do not have the same rows"):
                store.head(id)
    said = "missing from index sqlite_autoindex_workflow_1"
    assert any(said in str(error) for error in take_inventory(path).damage)
    assert said in str(examine(path).error)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("REINDEX")
    with closing(SqliteStore.open_writer(path)) as store:
        assert [store.head(id) for id in sound[1].heads] == [*sound[1].heads.values()]
        assert store.head("not/there") is None


@pytest.mark.parametrize("index", ["empty", "of the other table"])
@pytest.mark.parametrize(
    ("table", "other", "left"), [("workflow", "run", 2), ("run", "workflow", 1)]
)
def test_rows_are_missed_when_more_is_lost_of_their_index(
    sound, tmp_path, table, other, left, index
):
    path = tmp_path / "store.db"
    shutil.copy(sound[0], path)
    own, others = (f"sqlite_autoindex_{name}_1" for name in (table, other))
    if index == "empty":
        empty(path, own)
    else:
        copy_page(path, others, own)
    with path.open("r+b") as file:
        file.seek((root_of(path, table) - 1) * 4096 + 3)  # where a page counts its cells
        file.write(left.to_bytes(2, "big"))
    for open_store in (SqliteStore.open_reader, SqliteStore.open_writer):
        with closing(open_store(path)) as store:
            ask_for = store.runs if table == "run" else store.heads
            with pytest.raises(StoreDamaged, match=f"the table {table} and its index"):
                list(ask_for())


@pytest.mark.parametrize("id", [b"other/small", b"", 5, 0.5, "no id", "\x00", "a/\udcff"], ids=repr)
def test_an_id_that_is_none_is_damage_without_a_name(sound, tmp_path, id):
    path = tmp_path / "store.db"
    shutil.copy(sound[0], path)
    with closing(sqlite3.connect(path)) as conn:
        (sql,) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = 'workflow'").fetchone()
        rewrite_schema(path, "workflow", sql.replace("STRICT", ""))
    with closing(sqlite3.connect(path)) as conn:
        given = id.encode(errors="surrogateescape") if isinstance(id, str) else id
        cast = "CAST(? AS TEXT)" if isinstance(id, str) else "?"
        conn.execute(f"UPDATE workflow SET id = {cast} WHERE no = 4", (given,))
        conn.commit()
    rewrite_schema(path, "workflow", sql)
    assert [name for name, _ in take_inventory(path).heads] == [None]


def test_a_store_left_by_a_killed_writer_is_whole(killed, tmp_path):
    path, truth = killed
    shutil.copytree(path.parent, tmp_path, dirs_exist_ok=True)
    assert open_and_check(tmp_path / "store.db", truth) == set()


@pytest.mark.parametrize("what", ["zeros", "ones", "swapped", "cut"])
def test_damaged_pages_never_show_as_other_values(sound, tmp_path, what):
    path, truth = sound
    blob = path.read_bytes()
    rng = random.Random(what)
    pages = len(blob) // 4096
    for page in range(pages):
        at = page * 4096
        damaged = bytearray(blob)
        if what == "cut":
            del damaged[at + rng.randrange(4096) :]
        elif what == "swapped":
            other = rng.randrange(pages) * 4096
            damaged[at : at + 4096] = blob[other : other + 4096]
            damaged[other : other + 4096] = blob[at : at + 4096]
        else:
            damaged[at : at + 4096] = (b"\0" if what == "zeros" else b"\xff") * 4096
        copy = tmp_path / "store.db"
        copy.write_bytes(damaged)
        open_and_check(copy, truth)
        examine(copy)


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"{}\n" * 2000, b"\0" * 8192])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "store.db"
    path.write_bytes(content)
    for opening in (SqliteStore.open_reader, SqliteStore.open_writer):
        with pytest.raises(StoreError):
            opening(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.db"]


SQL_OF_OTHER_TYPES = {
    "text": "CAST('7' AS TEXT)",
    "blob": "x'37'",
    "real": "7.5",
    "nothing": "NULL",
    "bytes that are no text": "CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("kind", SQL_OF_OTHER_TYPES)
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_value_of_another_type_is_never_taken_for_one(sound, tmp_path, table, column, kind):
    path, truth = sound
    copy = tmp_path / "store.db"
    shutil.copyfile(path, copy)
    with closing(sqlite3.connect(copy)) as conn:
        (sql,) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    # For a moment the table takes anything, as a damaged page may hold anything.
    lax = sql.replace("STRICT, ", "").replace("STRICT", "").replace(" NOT NULL", "")
    if column != "no":
        name = f'"{column}"' if column == "full" else column
        lax = lax.replace(f"  {name} INTEGER", f"  {name}").replace(f"  {name} TEXT", f"  {name}")
    rewrite_schema(copy, table, lax)
    with closing(sqlite3.connect(copy)) as conn:
        conn.execute("PRAGMA ignore_check_constraints = 1")
        where = "no = 2" if table in ("run", "workflow") else "workflow = 3"
        try:
            conn.execute(
                f'UPDATE {table} SET "{column}" = {SQL_OF_OTHER_TYPES[kind]} WHERE {where}'
            )
            conn.commit()
        except sqlite3.IntegrityError:
            return  # part of a key
    rewrite_schema(copy, table, sql)
    harmed = open_and_check(copy, truth)
    if table in ("step", "segment") and (table, column) not in UNREAD:
        assert MIXED in harmed


def rewrite_schema(path, table, sql):
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA writable_schema = 1")
        conn.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, table))
        conn.commit()


@pytest.mark.parametrize("content", ["bomb", "two frames"])
def test_a_segment_is_one_frame_of_a_size_that_there_can_be(sound, tmp_path, content):
    path, truth = sound
    zeros = compress(bytes(1 << 26))
    packed = compress(b"1 1\n") + zeros * (32 if content == "bomb" else 1)
    copy = tmp_path / "store.db"
    shutil.copyfile(path, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as conn:
        conn.execute("UPDATE segment SET packed = ? WHERE workflow = 1", (packed,))
    with closing(SqliteStore.open_reader(copy)) as store:
        journal = Journal.open(store, BIG)
        with pytest.raises(StoreDamaged, match="one frame"):
            journal.read(0)
        assert check(store, truth) == {BIG}
