"""Readers that are broken on purpose: they trust SQLite's integrity check, or compare no hashes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import Any
from unittest import mock

from durproj.stores import loading, packing, sealed
from proof.damage import PAGE, flipped, one_value, sound_store
from proof.trial import Proof, Trial


def sqlite_alone(trial: Trial) -> None:
    """A reader that trusts SQLite's integrity check."""
    path = sound_store(trial).path
    query = (
        "SELECT id, steps, state FROM projections UNION ALL SELECT step, input, output FROM step"
    )
    with closing(sqlite3.connect(path)) as conn:
        expected = conn.execute(query).fetchall()
    file = os.open(path, os.O_RDWR)
    checked = 0
    for _ in range(trial.count):
        at, bit = trial.rng.randrange(PAGE, os.fstat(file).st_size), trial.rng.randrange(8)
        with trial.case(f"bit {bit} of byte {at}"), flipped(file, at, bit):
            try:
                with closing(sqlite3.connect(path)) as conn:
                    if conn.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",):
                        checked += 1
                        rows = conn.execute(query).fetchall()
                        assert rows == expected, "nothing is found wrong, and rows are others"
            except (sqlite3.Error, UnicodeDecodeError):
                continue
    os.close(file)
    trial.note(
        f"SQLite's integrity check found nothing wrong after {checked} of {trial.count} flips"
    )


class _Fitting(bytes):
    """A hash that is what it is compared with."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False


def unchecked_hashes(trial: Trial) -> None:
    """durproj's own readers, with every comparison of hashes and seals left out."""

    def fits(*_: Any) -> _Fitting:
        return _Fitting(16)

    with (
        mock.patch.object(packing.Chain, "digest", fits),
        mock.patch.object(loading, "seal_row", fits),
        mock.patch.object(sealed, "seal", fits),
    ):
        one_value(trial)


PROOFS = [
    Proof(
        "SQLite's integrity check alone",
        ("P7",),
        sqlite_alone,
        60,
        1_000,
        case_ms=2,
        control="nothing is found wrong",
    ),
    Proof(
        "hashes not compared",
        ("P7",),
        unchecked_hashes,
        30,
        500,
        case_ms=30,
        control="verify names set()",
    ),
]
