"""Stores made to harm whoever opens them: refused at once and in bounded memory, and never raw on a
terminal."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from conftest import Result

from durproj.stores.migrations import SCHEMA_VERSION
from durproj.stores.packing import Record, seal, seal_row
from durproj.zstd import compress
from proof.children import command
from proof.damage import sound_store
from proof.trial import Proof, Trial

MEMORY = 1 << 30
"""Bytes of address space that a command gets on top of what it has."""

CPU_S = 20
"""Seconds of its own time after which a command counts as endless."""

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

SLOW = "instr(hex(zeroblob(9000000)), hex(zeroblob(4500000)) || step || ''x'')"
"""An expression, within a text of SQL, for which SQLite compares some 10^13 bytes."""

COMMANDS = (
    "inspect projection/long", "inspect projection/long#3", "list", "log projection/long",
    "export", "export --journal", "verify", "blame open/late", "parked show parked/p",
    "compare projection other", "find projection/long step==3", "report projection/long", "backup copy.db",
    "run log.jsonl --user long --reducer merge", "resume", "rewind projection/long#3",
)  # fmt: skip


def sql(*statements: str) -> Callable[[Path], None]:
    """Statements that make a store hostile."""

    def harm(store: Path) -> None:
        with closing(sqlite3.connect(store, isolation_level=None)) as conn:
            conn.execute("PRAGMA ignore_check_constraints = 1")
            conn.execute("PRAGMA writable_schema = 1")
            for statement in statements:
                conn.execute(statement)

    return harm


def sealed_head(store: Path, id: str, **columns: object) -> None:
    """Give the head of a workflow other columns, and the seal that fits them."""
    with closing(sqlite3.connect(store, isolation_level=None)) as conn:
        conn.execute("PRAGMA ignore_check_constraints = 1")
        names = [
            "no",
            "id",
            "name",
            "key",
            "run",
            "status",
            "steps",
            "state",
            "error",
            "prefix_bytes",
            "prefix_steps",
            "hash",
            "updated_ms",
        ]
        row = conn.execute(
            f"SELECT {', '.join(names)} FROM workflow WHERE id = ?", (id,)
        ).fetchone()
        values = dict(zip(names, row, strict=True)) | columns
        sets = ", ".join(f"{name} = ?" for name in columns)
        conn.execute(f"UPDATE workflow SET {sets}, seal = ? WHERE id = ?",
                     (*columns.values(), seal(*values.values()), id))  # fmt: skip


def sealed_row(store: Path, output: bytes | None = None, meta: bytes | None = None) -> None:
    """Let the newest step of the pending workflow have another output or meta, and the seal that fits it."""
    with closing(sqlite3.connect(store, isolation_level=None)) as conn:
        no, step, was, event, after = conn.execute(
            "SELECT workflow, step, meta, input, output FROM step WHERE workflow ="
            " (SELECT no FROM workflow WHERE id = 'open/late') ORDER BY step DESC LIMIT 1"
        ).fetchone()
        record = Record(was if meta is None else meta, event, after if output is None else output)
        fits = seal_row("open/late", step, record)
        conn.execute("UPDATE step SET meta = ?, output = ?, hash = ? WHERE workflow = ? AND step = ?",
                     (record.meta, record.output, fits, no, step))  # fmt: skip


def _bomb(store: Path) -> None:
    """A segment whose few bytes are very many."""
    zeros = compress(bytes(1 << 26))
    with closing(sqlite3.connect(store, isolation_level=None)) as conn:
        # Frames one after another are one content: 64 GiB.
        conn.execute("UPDATE segment SET packed = ?", (compress(b"9 9\n") + zeros * 1024,))


def _hard_link(store: Path) -> None:
    os.link(store, store.with_name("other name.db"))


def _version(number: int) -> Callable[[Path], None]:
    return sql(f"PRAGMA user_version = {number}")


def _cycle(store: Path) -> None:
    """The root page of the steps becomes an interior page that is its own child."""
    with closing(sqlite3.connect(store)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'step'").fetchone()
    with open(store, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\x02\0\0\0\0\x0f\xff\0" + root.to_bytes(4, "big"))


ESCAPES = '"\x1b]0;owned\x07\x1b[2J\x9b31m\u202e::error::x"'

SOUND = -1
"""In the place of an exit code: the one of the same command on a store that nobody harmed."""

HOSTILE: Mapping[str, tuple[Callable[[Path], None], set[int]]] = {
    "a view in place of a table": (sql("DROP TABLE crash", f"CREATE VIEW crash (workflow) AS {ENDLESS}"), {74}),
    "an endless view in place of ours": (sql("DROP VIEW projections", f"CREATE VIEW projections AS {ENDLESS}"), {74}),
    "a trigger": (sql("CREATE TRIGGER t AFTER INSERT ON step BEGIN DELETE FROM segment; END"), {74}),
    "a generated column": (sql("ALTER TABLE step ADD COLUMN x BLOB AS (zeroblob(1000000000))"), {74}),
    "a schema that is no SQL": (sql("UPDATE sqlite_schema SET sql = 'CREATE TABLE' WHERE name = 'step'"), {74}),
    "another schema under the name of ours": (sql("UPDATE sqlite_schema SET sql = 'CREATE TABLE past (x)' WHERE name = 'past'"), {74}),
    "an index on an endless expression": (sql("CREATE INDEX endless ON step (step + 0)", f"UPDATE sqlite_schema SET sql = 'CREATE INDEX endless ON step ({SLOW})' WHERE name = 'endless'"), {74}),
    "another application": (sql("PRAGMA application_id = 1"), {2}),
    "a later version": (_version(SCHEMA_VERSION + 1), {2}),
    "a version that never was": (_version(-1), {2, 74}),
    "the first version": (_version(1), {2}),
    "a huge output": (sql("UPDATE step SET output = zeroblob(100000000) WHERE step = 19"), {0, 1, 74}),
    "a huge segment": (sql("UPDATE segment SET packed = zeroblob(100000000)"), {0, 1, 74}),
    "a zstd bomb": (_bomb, {0, 1, 74}),
    "segments that lie about their steps": (sql("UPDATE segment SET steps = 9000000000000000000"), {0, 1, 74}),
    "segments of negative steps": (sql("UPDATE segment SET steps = -1, start = -5"), {0, 1, 74}),
    "steps far away": (sql("UPDATE step SET step = step + 9000000000000000000"), {0, 1, 66, 74}),
    "heads that count too many steps": (lambda store: sealed_head(store, "projection/long", steps=2**62), {0, 1, 66, 74}),
    "a head of negative steps": (lambda store: sealed_head(store, "projection/long", steps=-3), {0, 1, 66, 74}),
    "a state that is no JSON": (lambda store: sealed_head(store, "projection/long", state="{"), {0, 1, 66, 74}),
    "a step that is no JSON": (lambda store: sealed_row(store, b"{"), {0, 1, 66, 74}),
    "a step whose meta is a number": (lambda store: sealed_row(store, meta=b"5"), {SOUND, 74}),
    "a step of a thousand levels": (lambda store: sealed_row(store, b"[" * 1000 + b"]" * 1000), {0, 1, 66, 74}),
    "escapes in a state": (lambda store: sealed_row(store, ESCAPES.encode()), {0, 1, 66, 74}),
    "escapes in a head's key": (lambda store: sealed_head(store, "other/long", key="\x1b]0;x\x07"), {0, 1, 66, 74}),
    "a page that is its own child": (_cycle, {0, 1, 66, 74}),
    "two names": (_hard_link, {2}),
}  # fmt: skip
"""By what is wrong with it: what makes a sound store so, and the exit codes there may be."""


def limited(args: list[str], folder: Path) -> Result:
    """Run the command line with bounded memory and time, and expect nothing raw of it; how it ended."""

    def limit() -> None:
        with open("/proc/self/statm") as sizes:
            size = int(sizes.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))

    done = command(args, folder, before=limit)
    for text in (done.out, done.err):
        raw = {char for char in text if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160}
        assert not raw, f"raw: {raw}"
        assert "\u202e" not in text
        assert not any(line.startswith("::") for line in text.splitlines())
    assert "Traceback" not in done.err, done.err[-1500:]
    return done


def hostile(trial: Trial) -> None:
    sound = sound_store(trial).path
    cases = [(kind, words) for kind in HOSTILE for words in COMMANDS]
    # All kinds come first, each with another command.
    trial.rng.shuffle(cases)
    seen: dict[str, int] = {}
    for case in cases:
        seen[f"{case}"] = sum(kind == case[0] for kind, _ in cases[: cases.index(case)])
    cases.sort(key=lambda case: seen[f"{case}"])
    for kind, words in cases[: trial.count]:
        harm, codes = HOSTILE[kind]
        with trial.case(f"{kind}: durproj {words}"), trial.scratch() as folder:
            if SOUND in codes:
                codes = codes - {SOUND} | {limited(words.split(), _copied(sound, folder)).code}
            _copied(sound, folder)
            harm(folder / "durproj.db")
            code = limited(words.split(), folder).code
            assert code in codes, f"exit {code}, not one of {codes}"


def _copied(sound: Path, folder: Path) -> Path:
    """The folder, which has nothing but a copy of the sound store and its logs from now on."""
    for path in folder.iterdir():
        path.unlink()
    shutil.copyfile(sound, folder / "durproj.db")
    for log in ("log.jsonl", "parks.jsonl"):
        shutil.copyfile(sound.with_name(log), folder / log)
    return folder


def fuzzed_headers(trial: Trial) -> None:
    """The first 100 bytes, and those of the schema's page, are noise in places."""
    sound = sound_store(trial).path
    blob = sound.read_bytes()
    store = Path(shutil.copyfile(sound, trial.folder / "durproj.db"))
    asked = ("list", "verify", "inspect projection/long")
    truth = {words: limited(words.split(), trial.folder).out for words in asked}
    codes: Counter[int] = Counter()
    for _ in range(trial.count):
        changed = bytearray(blob)
        places = [trial.rng.randrange(16 if trial.rng.random() < 0.9 else 0, 120) for _ in range(4)]
        for at in places:
            changed[at] = trial.rng.choice([0, 1, 0x7F, 0x80, 0xFF, trial.rng.randrange(256)])
        words = trial.rng.choice(asked)
        with trial.case(f"{bytes(changed[:120]).hex()}: {words}"):
            store.write_bytes(changed)
            for end in ("-wal", "-shm", "-journal"):
                Path(f"{store}{end}").unlink(missing_ok=True)
            done = limited(words.split(), trial.folder)
            codes[done.code] += 1
            assert done.code in ({0, 1, 2, 74} if words == "verify" else {0, 2, 74})
            assert done.code or done.out == truth[words], "something else is served"
    trial.note(f"exit codes: {dict(sorted(codes.items()))}")


PROOFS = [
    Proof("stores made to do harm", ("P7", "P8"), hostile, 14, 400, case_ms=100),
    Proof("noise in the header of a store", ("P7",), fuzzed_headers, 40, 2_000, case_ms=15),
]
