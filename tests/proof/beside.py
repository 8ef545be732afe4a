"""Damage to what stands beside a store (its WAL, a rollback journal), and files in the place of one."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import durproj
from proof.answers import (
    LONG,
    OPEN,
    QUESTIONS,
    Answer,
    Truth,
    ask,
    lay_out,
    put_together,
    write_log,
)
from proof.children import command, run
from proof.trial import Proof, Trial

PAGE = 4096
FRAME = PAGE + 24
WAL_HEADER = 32


class Killed:
    """A store as a killed run left it, and what it is with only a part of its WAL."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = lay_out(folder)
        self.wal = Path(f"{self.path}-wal").read_bytes()
        self._work = folder / "s.db.part"
        self._answers: dict[tuple[int, str], str] = {}

    def place(self, path: Path, wal: bytes) -> None:
        """Put a copy at `path`, with this WAL."""
        shutil.copyfile(self.path, path)
        Path(f"{path}-wal").write_bytes(wal)
        Path(f"{path}-shm").unlink(missing_ok=True)

    def expected(self, question: str, damaged_at: int) -> str:
        """The answer when nothing from this byte of the WAL on counts: SQLite reads as far as the
        checksums hold."""
        frames = max(0, damaged_at - WAL_HEADER) // FRAME
        key = (frames, question)
        if key not in self._answers:
            self.place(self._work, self.wal[: WAL_HEADER + frames * FRAME])
            self._answers[key] = shown(ask(question, self._work))
        return self._answers[key]


def shown(answer: Answer) -> str:
    """An answer, or the code of the error in its place."""
    return answer.text or f"exit {answer.code}"


def wal_bits(trial: Trial) -> None:
    """A flipped bit ends the WAL: the store is what it was just before."""
    killed = Killed(trial.folder / "killed")
    path = trial.folder / "s.db"
    for _ in range(trial.count):
        at, bit = trial.rng.randrange(len(killed.wal)), trial.rng.randrange(8)
        if trial.rng.random() < 0.3:
            at -= max(0, at - WAL_HEADER) % FRAME - trial.rng.randrange(24)
        question = trial.rng.choice(["list", "journal of open/late", "inspect open/late", "export"])
        with trial.case(f"bit {bit} of byte {at} of the WAL: {question}"):
            wal = bytearray(killed.wal)
            wal[at] ^= 1 << bit
            killed.place(path, bytes(wal))
            assert shown(ask(question, path)) == killed.expected(question, at)


def wal_cut(trial: Trial) -> None:
    """The WAL ends at any sector."""
    killed = Killed(trial.folder / "killed")
    path = trial.folder / "s.db"
    ends = range(0, len(killed.wal), 512)
    for end in trial.rng.sample(ends, min(trial.count, len(ends))):
        question = trial.rng.choice(["list", "journal of open/late", "export"])
        with trial.case(f"the WAL cut to {end} bytes: {question}"):
            killed.place(path, killed.wal[:end])
            assert shown(ask(question, path)) == killed.expected(question, end)


def of_another_store(trial: Trial) -> None:
    """The WAL or the rollback journal of another store of the same workflows. What is read is wholly of
    the one or wholly of the other, or an error says that it is damaged."""
    mine, other = trial.folder / "mine", trial.folder / "other"
    for folder in (mine, other):
        folder.mkdir()
        lay_out(folder)
    # The other has other events under the same ids.
    (other / "s.db").unlink()
    for end in ("-wal", "-shm"):
        Path(f"{other / 's.db'}{end}").unlink()
    _lay_out_other(other)
    files = {"-wal": Path(f"{other / 's.db'}-wal").read_bytes()}
    whole = {folder: folder / "whole.db" for folder in (mine, other)}
    for folder, path in whole.items():
        for end in ("", "-wal"):
            shutil.copyfile(f"{folder / 's.db'}{end}", f"{path}{end}")
        put_together(path)
    truths = [Truth(each) for each in whole.values()]
    path = trial.folder / "s.db"
    for n in range(trial.count):
        end = ("-wal", "-journal")[n % 2]
        blob = files["-wal"] if end == "-wal" else _hot_journal(trial, whole[other])
        question = trial.rng.choice(list(QUESTIONS))
        with trial.case(f"a {end} of another store: {question}"):
            for beside in ("-wal", "-shm", "-journal"):
                Path(f"{path}{beside}").unlink(missing_ok=True)
            shutil.copyfile(whole[mine], path)
            Path(f"{path}{end}").write_bytes(blob)
            answer = ask(question, path)
            if answer.code != 74:
                said = answer.text or str(answer.code)
                assert any(truth.has(question, said) for truth in truths), (
                    answer.error or said[:500]
                )


def _lay_out_other(folder: Path) -> None:
    write_log(folder / "log.jsonl", ["few"] * 3 + ["late"] * (OPEN + 5) + ["long"] * LONG)

    def fill() -> None:
        durproj.fold("log.jsonl", keys=["long", "few"], reducer="merge", store="s.db")
        durproj.fold(
            "log.jsonl", keys=["late"], name="open", reducer="merge", crash=OPEN, store="s.db"
        )

    assert run(fill, folder).code == 3


def _hot_journal(trial: Trial, store: Path) -> bytes:
    """The rollback journal of a transaction that was under way in the store."""
    work = trial.folder / "hot.db"
    shutil.copyfile(store, work)
    with closing(sqlite3.connect(work, isolation_level=None)) as conn:
        conn.execute("PRAGMA cache_size = 1")
        conn.execute("BEGIN")
        table = trial.rng.choice(["workflow", "step", "segment", "run"])
        conn.execute(f"DELETE FROM {table}")
        conn.execute("CREATE TABLE more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                     " FROM n WHERE i < 2000) SELECT i, randomblob(50) FROM n")  # fmt: skip
        journal = Path(f"{work}-journal").read_bytes()
        conn.execute("ROLLBACK")
    return journal


# -- files that are no store


def foreign_files() -> dict[str, tuple[bytes, int, int]]:
    """By kind: a file, the exit code of what reads it and of what writes to it."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
        database = conn.serialize()
    return {
        "nothing": (b"", 66, 0),
        "a line of text": (b"not a database\n" * 50, 74, 74),
        "a byte": (b"\n", 74, 74),
        "two bytes": (b"SQ", 74, 74),
        "JSON": (b'{"a": 1}\n' * 1000, 74, 74),
        "gzip": (gzip.compress(b"a" * 100_000, mtime=0), 74, 74),
        "zeros": (bytes(8192), 74, 74),
        "the first words of SQLite": (b"SQLite format 3\0", 74, 74),
        "another database": (database, 2, 2),
        "half of another database": (database[: len(database) // 2], 74, 74),
    }


READING = (
    "inspect projection/long", "inspect projection/long --step 3", "list", "log projection/long",
    "diff projection/long#1 projection/long#2", "blame projection/long", "find projection/long true",
    "export", "report projection/long", "verify", "compare projection other", "backup copy.db",
    "parked list", "parked show projection/long",
)  # fmt: skip
WRITING = (
    "run log.jsonl", "resume", "rewind projection/long#3", "gc projection/long --drop",
    "promote other projection", "fork projection/long#3 --as forked/long",
    "parked retry projection/long",
)  # fmt: skip


def no_store(trial: Trial) -> None:
    """Files of other kinds under the store's name, through every command."""
    log = trial.folder / "log.jsonl"
    write_log(log, ["long"] * 4)
    cases = [
        (kind, words)
        for kind in foreign_files()
        for words in (*READING, *WRITING)
    ]  # fmt: skip
    for kind, words in trial.rng.sample(cases, min(trial.count, len(cases))):
        content, reads, writes = foreign_files()[kind]
        with trial.case(f"{kind}: durproj {words}"), trial.scratch() as folder:
            shutil.copyfile(log, folder / "log.jsonl")
            store = folder / "durproj.db"
            store.write_bytes(content)
            done = command(words.split(), folder)
            expected = reads if words in READING else writes
            if kind == "nothing" and words != "run log.jsonl":
                expected = 66
            assert done.code == expected, f"exit {done.code}: {done.err}"
            assert "Traceback" not in done.err
            assert not done.out or expected == 0
            if content:
                assert store.read_bytes() == content, "it was written to"
                assert {each.name for each in folder.iterdir()} <= {"log.jsonl", "durproj.db"}


PROOFS = [
    Proof(
        "a bit of the WAL of a killed run flipped", ("P2", "P7"), wal_bits, 150, 8_000, case_ms=2.3
    ),
    Proof("the WAL of a killed run cut short", ("P2", "P7"), wal_cut, 40, 347, case_ms=4.5),
    Proof("the WAL or journal of another store", ("P7",), of_another_store, 40, 1_000, case_ms=11),
    Proof("a file that is no store, to every command", ("P7",), no_store, 60, 189, case_ms=37),
]
