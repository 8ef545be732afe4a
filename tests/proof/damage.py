"""Damage to the file of a store: what is printed is what was written, or there is an error."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from proof.answers import IDS, QUESTIONS, Truth, ask, finds_damage, lay_out, put_together
from proof.lost_pages import KINDS, PAGE, with_page
from proof.trial import Proof, Trial

HEADER = 100
"""So many bytes at the beginning say what the file is. With other ones it is no store, or a later one's."""

ASKED = 3
"""Questions a case: those that are drawn differ from case to case."""

LISTING = ("list", "export", "parked list", "inspect open/late", "inspect tried/few#1", "compare")
"""What goes by the order and the number of rows."""


def sound_store(trial: Trial) -> Truth:
    """The truth of a store that is one file."""
    folder = trial.folder / "sound"
    folder.mkdir()
    path = lay_out(folder)
    put_together(path)
    return Truth(path)


def expect_truth(
    truth: Truth, damaged: Path, questions: Sequence[str], *, whole: bool = False
) -> None:
    """Each answer of the store `damaged` is the truth, or an error that says it is damaged; and of what
    meets an error `verify` knows. `whole`: another error about the file as a whole will do, too."""
    reported = False
    for question in questions:
        answer = ask(question, damaged)
        if answer.error is not None:
            lost = not whole and truth.has(question, str(answer.code))
            allowed = {2, 66, 74, 77} if whole else {74}
            assert answer.code in allowed or lost, f"{question}: {answer.code}: {answer.error}"
            reported = reported or not lost
        else:
            as_it_was = answer.text == truth.answer(question) or truth.has(question, answer.text)
            assert as_it_was, (
                f"{question}: {answer.text[:500]}\ninstead of {truth.answer(question)[:500]}"
            )
    if reported:
        assert finds_damage(damaged), f"verify finds nothing, yet {questions}"


@contextmanager
def flipped(file: int, at: int, bit: int) -> Iterator[None]:
    """One bit of an open file is the other one for as long as the context lasts."""
    (byte,) = os.pread(file, 1, at)
    os.pwrite(file, bytes([byte ^ 1 << bit]), at)
    try:
        yield
    finally:
        os.pwrite(file, bytes([byte]), at)


@contextmanager
def opened_copy(truth: Truth, trial: Trial) -> Iterator[tuple[Path, int]]:
    """A copy of the sound store, and the file, open."""
    path = Path(shutil.copyfile(truth.path, trial.folder / "s.db"))
    file = os.open(path, os.O_RDWR)
    try:
        yield path, file
    finally:
        os.close(file)


def some_bits(trial: Trial) -> None:
    """Anywhere in the file, and more often where pages begin, where one bit does the most harm."""
    truth = sound_store(trial)
    with opened_copy(truth, trial) as (path, file):
        for _ in range(trial.count):
            at, bit = trial.rng.randrange(os.fstat(file).st_size), trial.rng.randrange(8)
            if trial.rng.random() < 0.4:
                at -= at % PAGE - trial.rng.randrange(HEADER)
            questions = trial.rng.sample(list(QUESTIONS), ASKED)
            where = f"bit {bit} of byte {at} (page {at // PAGE + 1}: {at % PAGE}): {questions}"
            with trial.case(where), flipped(file, at, bit):
                expect_truth(truth, path, questions, whole=at < HEADER)


def bits_of_page_headers(trial: Trial) -> None:
    """Every bit of the headers of pages: their kinds, and where and how many their cells are."""
    truth = sound_store(trial)
    with opened_copy(truth, trial) as (path, file):
        pages = os.fstat(file).st_size // PAGE
        bits = [
            (page * PAGE + (0 if page else HEADER) + at, bit)
            for page in range(pages)
            for at in range(12)
            for bit in range(8)
        ]
        trial.rng.shuffle(bits)
        # Below these a row has few neighbours: the tables of runs, of workflows and of attempts.
        roots = _roots(truth.path, "run", "workflow", "attempt")
        bits.sort(key=lambda each: each[0] // PAGE + 1 not in roots)
        for at, bit in bits[: trial.count]:
            where = f"bit {bit} of byte {at} (page {at // PAGE + 1}: {at % PAGE})"
            with trial.case(where), flipped(file, at, bit):
                expect_truth(truth, path, LISTING)


def _roots(path: Path, *tables: str) -> set[int]:
    with closing(sqlite3.connect(path)) as conn:
        rows = conn.execute("SELECT name, rootpage FROM sqlite_schema").fetchall()
    return {page for name, page in rows if name in tables}


def pages(trial: Trial) -> None:
    """Whole pages and sectors that were never written, written elsewhere, or written over."""
    truth = sound_store(trial)
    blob = truth.path.read_bytes()
    path = trial.folder / "s.db"
    for n in range(trial.count):
        page, kind = n % (len(blob) // PAGE), trial.rng.choice(KINDS)
        other = trial.rng.randrange(len(blob) // PAGE)
        questions = trial.rng.sample(list(QUESTIONS), ASKED)
        with trial.case(f"page {page + 1} {kind} (with page {other + 1}): {questions}"):
            path.write_bytes(with_page(trial, blob, page, kind, other))
            first = page == 0 or (other == 0 and kind == "swapped")
            expect_truth(truth, path, questions, whole=first)
            ask("doctor", path)


def cut_short(trial: Trial) -> None:
    """The file ends early, at every sector."""
    truth = sound_store(trial)
    blob = truth.path.read_bytes()
    path = trial.folder / "s.db"
    ends = range(0, len(blob), 512)
    for end in trial.rng.sample(ends, min(trial.count, len(ends))):
        questions = trial.rng.sample(list(QUESTIONS), ASKED)
        with trial.case(f"cut to {end} bytes: {questions}"):
            path.write_bytes(blob[:end])
            expect_truth(truth, path, questions, whole=end < PAGE)


SEALED = {
    "workflow": "name key status steps state error updated_ms prefix_bytes prefix_steps hash seal",
    "step": "step meta input output hash",
    "segment": "start steps seed hash packed",
    "attempt": "step attempt at_ms kind message retry_ms seal",
}
"""Columns of which a workflow's journal or standing is made, by table."""


def one_value(trial: Trial) -> None:
    """A bit of one value of one row: `verify` names the workflow that has it, and no other suffers."""
    truth = sound_store(trial)
    path = trial.folder / "s.db"
    columns = [(table, column) for table, names in SEALED.items() for column in names.split()]
    for n in range(trial.count):
        table, column = columns[n % len(columns)]
        shutil.copyfile(truth.path, path)
        found = _change_one(trial, path, table, column)
        if found is None:
            continue
        id, what = found
        with trial.case(f"{table}.{column} of {id}: {what}"):
            named = {
                record["id"]
                for record in json.loads(ask("verify", path).text)[:-1]
                if record["status"] != "ok"
            }
            # Not every bit of what is compressed means something.
            assert named == {id} or (column == "packed" and not named), f"verify names {named}"
            for other in IDS:
                if other != id:
                    for question in (f"inspect {other}", f"journal of {other}"):
                        answer = ask(question, path)
                        if id not in answer.text:
                            assert answer.text == truth.answer(question), f"{other} suffers"
            expect_truth(truth, path, [f"inspect {id}", f"journal of {id}"])


def _change_one(trial: Trial, path: Path, table: str, column: str) -> tuple[str, str] | None:
    """Flip a bit of a drawn value of the column; the workflow's id, and what was done. None when there is
    no such value, or SQLite cannot have the changed one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA ignore_check_constraints = 1")
        key = {"workflow": ["no"], "attempt": ["workflow", "step", "attempt"]}.get(
            table, ["workflow", "step" if table == "step" else "start"]
        )
        rows = conn.execute(
            f'SELECT "{column}", {", ".join(key)} FROM {table} WHERE "{column}" IS NOT NULL'
        ).fetchall()
        if not rows:
            return None
        value, *which = trial.rng.choice(rows)
        changed = _with_a_bit_flipped(trial, value)
        (id,) = conn.execute("SELECT id FROM workflow WHERE no = ?", (which[0],)).fetchone()
        where = " AND ".join(f"{name} = ?" for name in key)
        try:
            conn.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', (changed, *which))
        except sqlite3.IntegrityError:
            return None
        return id, f"{value!r:.200} is {changed!r:.200}"


def _with_a_bit_flipped(trial: Trial, value: Any) -> Any:
    if isinstance(value, int):
        return value ^ 1 << trial.rng.randrange(40)
    blob = bytearray(value.encode() if isinstance(value, str) else value)
    # Of text, a bit that leaves it ASCII.
    at, bit = trial.rng.randrange(len(blob) or 1), trial.rng.randrange(7)
    if not blob:
        return "x"
    blob[at] ^= 1 << bit
    return blob.decode() if isinstance(value, str) else bytes(blob)


PROOFS = [
    Proof("a bit of the store flipped", ("P7",), some_bits, 200, 20_000, case_ms=8.5),
    Proof(
        "a bit of a page's header flipped", ("P7",), bits_of_page_headers, 250, 2_592, case_ms=10
    ),
    Proof("pages lost, moved or overwritten", ("P7",), pages, 60, 4_000, case_ms=8.4),
    Proof("the store cut short", ("P7",), cut_short, 40, 216, case_ms=39),
    Proof("a bit of one stored value flipped", ("P7",), one_value, 60, 3_000, case_ms=31),
]
