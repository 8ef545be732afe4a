"""Stores made to do harm, and what a program that reads one is told."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from proof import hostile_stores
from proof.answers import QUESTIONS, VERDICTS, ask
from proof.damage import sound_store
from proof.quick import tests_of
from proof.trial import Trial

test_hostile_stores = tests_of(hostile_stores.PROOFS)

UNREADABLE = {
    "inspect projection/long": "a state that is no JSON",
    "export": "a state that is no JSON",
    "inspect open/late": "a step that is no JSON",
    "journal of open/late": "a step of a thousand levels",
    "blame": "a step of a thousand levels",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return sound_store(Trial("hostile", 0, tmp_path_factory.mktemp("hostile"))).path


def test_the_index_on_an_endless_expression_is_one(sound, tmp_path):
    store = Path(shutil.copyfile(sound, tmp_path / "durproj.db"))
    hostile_stores.HOSTILE["an index on an endless expression"][0](store)
    with closing(sqlite3.connect(store)) as conn:
        program = conn.execute("EXPLAIN UPDATE step SET step = step + 1").fetchall()
    called = {
        str(argument) for _, name, *rest in program if name == "PureFunc" for argument in rest
    }
    assert "instr(2)" in called, "who writes a step does not come to it"


@pytest.mark.parametrize("kind", sorted(set(UNREADABLE.values())))
def test_a_program_is_told_of_damage_where_a_sealed_value_is_none(sound, kind, tmp_path):
    for log in ("log.jsonl", "parks.jsonl"):
        shutil.copyfile(sound.with_name(log), tmp_path / log)
    store = Path(shutil.copyfile(sound, tmp_path / "durproj.db"))
    hostile_stores.HOSTILE[kind][0](store)
    # No exception but durproj's own leaves these.
    codes = {question: ask(question, store).code for question in (*QUESTIONS, *VERDICTS)}
    assert set(codes.values()) <= {0, 74}, codes
    for question, told in UNREADABLE.items():
        assert told != kind or codes[question] == 74, question
