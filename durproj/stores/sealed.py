"""Rows of a database as heads, runs, attempts and checkpoints. In a damaged page any column may hold
anything of any type: nothing is made of a row whose seal or types do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durproj.stores.base import Attempt, Head, Past, Row, Run
from durproj.stores.packing import BLOCK_STEPS, Record, Segment, damaged, seal
from durproj.stores.stored import CURSOR, stored_options, stored_record

HEAD = (
    "no, id, name, key, run, status, steps, state, error, prefix_bytes, prefix_steps, hash, updated_ms,"
    " seal"
)
RUN = "no, name, identity, options, cursor, complete, updated_ms, seal"
"""The columns of a head and of a run, as they are read here."""

HEADS = (
    f"SELECT {', '.join(f'workflow.{column}' for column in HEAD.split(', '))},"
    " past.id, past.steps, past.hash, past.inputs, past.seal"
    " FROM workflow LEFT JOIN past ON past.workflow = workflow.no"
)
"""Heads with their pasts: what `head_of` reads."""


def head_of(row: Sequence[Any]) -> Head:
    """A head, from its columns as HEAD names them, and then those of its past, None if it has none."""
    (*columns, updated_ms, sealed), past = row[:14], row[14:]
    # Schema 2 had no seal on the time; a head keeps its seal until it is written again.
    if sealed != seal(*columns, updated_ms) and sealed != seal(*columns):
        raise damaged(f"workflow {row[1]!r}", "the seal of its head does not match")
    no, id, name, key, run, status, steps, state, error, prefix_bytes, prefix_steps, hash = columns
    state = None if state is None else state.encode()
    error = None if error is None else error.encode()
    return Head(
        *(id, name, key, run, status, steps, state, error, hash, prefix_bytes, prefix_steps, no),
        None if past[0] is None else _past_of(no, id, past),
        updated_ms,
    )


def columns_of(no: int, head: Head) -> tuple[Any, ...]:
    """A head's row: the columns of HEAD, its seal last."""
    state = None if head.state is None else head.state.decode()
    error = None if head.error is None else head.error.decode()
    columns = (
        *(no, head.id, head.name, head.key, head.run, head.status, head.steps, state, error),
        *(head.prefix_bytes, head.prefix_steps, head.hash, head.updated_ms),
    )
    return (*columns, seal(*columns))


def _past_of(no: int, id: str, row: Sequence[Any]) -> Past:
    if row[-1] != seal(no, *row[:-1]):
        raise damaged(f"workflow {id!r}", "the seal of its past does not match")
    return Past(*row[:-1])


def run_of(row: Sequence[Any]) -> Run:
    """A run, from its columns in the order of the table, its seal last."""
    if row[-1] != seal(*row[:-1]):
        raise damaged(f"run {row[0]}", "its seal does not match")
    no, name, identity, options, cursor, complete, updated_ms, _ = row
    cursor = None if cursor is None else stored_record(cursor.encode(), CURSOR)
    asked = stored_options(options.encode())
    return Run(name, identity, asked, cursor, bool(complete), no, updated_ms)


def attempts_of(no: int, step: int, rows: Sequence[Sequence[Any]]) -> list[Attempt]:
    """All attempts at a step, from (attempt, at_ms, kind, message, retry_ms, seal) each."""
    for count, row in enumerate(rows, 1):
        if row[0] != count or row[-1] != seal(no, step, *row[:-1]):
            raise damaged(f"attempt {count} at step {step}", "it is not what was recorded")
    return [Attempt(*row[1:-1]) for row in rows]


def row_of(no: int, row: Sequence[Any]) -> Row:
    """A step, from (step, meta, input, output, hash). The journal verifies the hash."""
    if [*map(type, row)] != [int, bytes, bytes, bytes, bytes]:
        raise damaged(f"a step of workflow {no}", "its values have other types than were written")
    return Row(row[0], Record(*row[1:4]), row[4])


def segment_of(no: int, row: Sequence[Any]) -> Segment:
    """A segment, from (start, steps, full, seed, hash, packed). The journal verifies the hash."""
    kinds = [int, int, int, bytes, bytes, bytes]
    if [*map(type, row)] != kinds or row[2] not in (0, 1) or not 0 < row[1] <= BLOCK_STEPS:
        raise damaged(
            f"a segment of workflow {no}", "its values have other types than were written"
        )
    return Segment(row[0], row[1], bool(row[2]), *row[3:])
