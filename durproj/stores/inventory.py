"""All that is in a SQLite store, past what is damaged: what `verify` goes by, which reports every damage
and not only the first."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from durproj.errors import StoreDamaged, StoreError, UsageError
from durproj.ids import split_id
from durproj.stores.base import Run
from durproj.stores.connection import connect_reader
from durproj.stores.faults import FAULTS, translate
from durproj.stores.packing import damaged
from durproj.stores.sealed import HEADS, RUN, attempts_of, head_of, run_of
from durproj.stores.whole import complaints, damaged_pages
from durproj.wording import number

MOST_COMPLAINTS = 10
"""So many of what SQLite has to say about a damaged file are kept."""


class Entry(NamedTuple):
    """A workflow, if its head is sound. `steps`: as its head has it."""

    no: int
    id: str
    name: str
    run: int
    steps: int


@dataclass
class Inventory:
    """What a store holds and what is wrong with it.

    workflows: in the order they began; heads: damaged ones, with the id that stands there if it can be
    one; runs: by number; parts: what is wrong with what belongs to a workflow, by its number; damage: of
    the store as a whole.
    """

    workflows: list[Entry] = field(default_factory=list)
    heads: list[tuple[str | None, StoreDamaged]] = field(default_factory=list)
    runs: dict[int, Run | StoreDamaged] = field(default_factory=dict)
    parts: dict[int, str] = field(default_factory=dict)
    damage: list[StoreError] = field(default_factory=list)


def take_inventory(path: Path) -> Inventory:
    """Look through the store at `path`: SQLite's own check, and the seals of all heads, runs and attempts;
    not the journals. Reads only. Raises NotFound, and StoreError when it cannot be opened at all."""
    found = Inventory()
    with closing(connect_reader(path)) as conn:
        # What is no UTF-8 is no damage to anything but the row that has it: its seal will not fit.
        conn.text_factory = lambda text: text.decode(errors="surrogateescape")
        for look in (_sqlite, _workflows, _runs, _attempts, _pieces, _owners):
            try:
                look(conn, found, path)
            except FAULTS as error:
                found.damage.append(translate(error, str(path)))
    return found


def _sqlite(conn: sqlite3.Connection, found: Inventory, path: Path) -> None:
    """SQLite's own check of its pages."""
    if said := complaints(conn, MOST_COMPLAINTS):
        found.damage.append(damaged_pages(str(path), said))


def _workflows(conn: sqlite3.Connection, found: Inventory, _path: Path) -> None:
    for row in conn.execute(f"{HEADS} ORDER BY no"):
        try:
            head = head_of(row)
        except StoreDamaged as error:
            found.heads.append((_id_in(row[1]), error))
        else:
            assert head.no is not None
            found.workflows.append(Entry(head.no, head.id, head.name, head.run, head.steps))


def _id_in(value: Any) -> str | None:
    """`value`, if it has the form of an id."""
    if not isinstance(value, str):
        return None
    try:
        split_id(value)
        value.encode()
    except (UsageError, UnicodeEncodeError):
        return None
    return value


def _runs(conn: sqlite3.Connection, found: Inventory, _path: Path) -> None:
    for row in conn.execute(f"SELECT {RUN} FROM run ORDER BY no"):
        try:
            found.runs[row[0]] = run_of(row)
        except StoreDamaged as error:
            found.runs[row[0]] = error


def _attempts(conn: sqlite3.Connection, found: Inventory, _path: Path) -> None:
    sql = (
        "SELECT workflow, step, attempt, at_ms, kind, message, retry_ms, seal FROM attempt"
        " ORDER BY workflow, step, attempt"
    )
    for (no, step), rows in groupby(conn.execute(sql), key=_of_step):
        try:
            attempts_of(no, step, [row[2:] for row in rows])
        except StoreDamaged:
            found.parts.setdefault(no, f"a failed attempt at step {step} is not what was recorded")


def _of_step(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:2]


def _pieces(conn: sqlite3.Connection, found: Inventory, _path: Path) -> None:
    """Rows and segments that leave a gap, or overlap, so that a step is there twice."""
    # total() cannot overflow, whatever a damaged number is.
    sql = (
        "SELECT workflow FROM (SELECT workflow, start, steps FROM segment"
        " UNION ALL SELECT workflow, step, 1 FROM step)"
        " GROUP BY workflow HAVING total(steps) != max(start + steps) - min(start)"
    )
    for (no,) in conn.execute(sql):
        found.parts.setdefault(no, "its rows and segments do not add up to its steps")


def _owners(conn: sqlite3.Connection, found: Inventory, path: Path) -> None:
    """Steps and attempts of workflows that are not there."""
    rows: Iterable[Any] = conn.execute("PRAGMA foreign_key_check")
    lost = Counter(row[0] for row in rows if row[2] == "workflow")
    for table, count in sorted(lost.items()):
        why = f"{number(count, 'row')} of the table {table} without a workflow"
        found.damage.append(damaged(str(path), why))
