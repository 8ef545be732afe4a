"""Records within a store that somebody who can compute the seals has altered: what no durproj writes is damage,
or does what it says; it is never a bug."""

from __future__ import annotations

import copy
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from durproj.stores.packing import seal
from durproj.stores.sealed import RUN
from proof.damage import sound_store
from proof.hostile_stores import COMMANDS, limited, sealed_head, sealed_row
from proof.trial import Proof, Trial

JUNK: tuple[Any, ...] = (
    5, -1, 2**62, 0.5, True, None, "", "weird", "\x1b[2J\u202e", [], [5], {}, {"x": 5}, "[]", "a[", [None],
)  # fmt: skip

ASKED = (
    *COMMANDS, "run log.jsonl --name open --user late --reducer merge", "run parks.jsonl --name parked",
    "verify --refold", "parked list", "parked retry parked/p", "parked drop parked/p", "promote other projection",
    "fork projection/long --as x/long --drop-event 3", "gc", "gc --name other --drop", "gc --keep-last 100",
    "doctor", "find --all-ids state.n>1", "log open/late -v", "inspect open/late#19", "inspect parked/p",
    "export --to out.csv", "rewind open/late --to 3", "report open/late", "report parked/p",
)  # fmt: skip

CODES = {0, 1, 2, 4, 65, 66, 74}
"""Whoever changes what a run was asked for asks for something else, which may have any end but that of a bug."""


def sealed_run(store: Path, no: int, **columns: str | None) -> None:
    """Give a run other columns, and the seal that fits them."""
    with closing(sqlite3.connect(store, isolation_level=None)) as conn:
        row = conn.execute(f"SELECT {RUN} FROM run WHERE no = ?", (no,)).fetchone()
        values = dict(zip(RUN.split(", "), row, strict=True)) | columns
        del values["seal"]
        sets = ", ".join(f"{name} = ?" for name in columns)
        conn.execute(f"UPDATE run SET {sets}, seal = ? WHERE no = ?",
                     (*columns.values(), seal(*values.values()), no))  # fmt: skip


def records(store: Path) -> Mapping[str, tuple[Any, Callable[[Path, str], None]]]:
    """Every kind of record of `store`: what it says, and how another text takes its place."""
    found: dict[str, tuple[Any, Callable[[Path, str], None]]] = {}
    with closing(sqlite3.connect(store)) as conn:
        for no, options, cursor in conn.execute("SELECT no, options, cursor FROM run"):
            for column, text in (("options", options), ("cursor", cursor)):
                if text is not None:
                    forge = partial(_forge_run, no=no, column=column)
                    found[f"{column} of run {no}"] = json.loads(text), forge
        (error,) = conn.execute("SELECT error FROM workflow WHERE id = 'parked/p'").fetchone()
        (meta,) = conn.execute("SELECT meta FROM step LIMIT 1").fetchone()
    found["error of parked/p"] = (
        json.loads(error),
        lambda path, text: sealed_head(path, "parked/p", error=text),
    )
    found["meta of a step"] = (
        json.loads(meta),
        lambda path, text: sealed_row(path, meta=text.encode()),
    )
    return found


def _forge_run(path: Path, text: str, *, no: int, column: str) -> None:
    sealed_run(path, no, **{column: text})


def forged(trial: Trial) -> None:
    """A part of a record is another, or missing."""
    sound = sound_store(trial).path
    there = records(sound)
    for _ in range(trial.count):
        kind = trial.rng.choice(sorted(there))
        record, forge = there[kind]
        made, how = _altered(copy.deepcopy(record), trial)
        words = trial.rng.choice(ASKED)
        with trial.case(f"{kind}: {how}: durproj {words}"), trial.scratch() as folder:
            store = Path(shutil.copyfile(sound, folder / "durproj.db"))
            for log in ("log.jsonl", "parks.jsonl"):
                shutil.copyfile(sound.with_name(log), folder / log)
            forge(store, json.dumps(made))
            code = limited(words.split(), folder).code
            assert code in CODES, f"exit {code}"


def _altered(record: Any, trial: Trial) -> tuple[Any, str]:
    """`record` with something else in one place, and what."""
    junk = trial.rng.choice(JUNK)
    holder, place, path = None, None, "all of it"
    value = record
    while isinstance(value, dict | list) and value and (trial.rng.random() < 0.9):
        holder = value
        place = trial.rng.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
        value, path = value[place], f"{path}.{place}"
    if holder is None:
        return junk, f"{junk!r} instead of {path}"
    if trial.rng.random() < 0.3:
        del holder[place]
        return record, f"without {path}"
    holder[place] = junk
    return record, f"{junk!r} instead of {path}"


PROOFS = [
    Proof(
        "records of another form, under a seal that fits", ("P7",), forged, 40, 3_000, case_ms=25
    ),
]
