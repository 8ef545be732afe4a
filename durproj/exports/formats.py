"""The formats, and the library call that writes a file in one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from durproj.errors import UsageError
from durproj.exports import csv_file, json_lines, parquet_file, sqlite_table, target
from durproj.exports.chosen import Choice, Kept, keeping
from durproj.exports.table import OF_A_PROJECTION, OF_A_STEP, Column, Columns, flattener, places
from durproj.history.inputs import refuse_input
from durproj.history.reading import reading
from durproj.stores.base import Status, Store

Format = Literal["jsonl", "csv", "parquet", "sqlite"]

_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}
_MOST_COLUMNS = {
    "csv": csv_file.MOST_COLUMNS,
    "parquet": parquet_file.MOST_COLUMNS,
    "sqlite": sqlite_table.MOST_COLUMNS,
}


@dataclass(frozen=True)
class Table:
    """Records as rows: `columns`, `rows`, and those of the columns asked for in which there is nothing."""

    columns: list[Column]
    rows: Kept
    empty: list[str]

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.columns]


def export(
    to: str | Path,
    which: Sequence[str] = (),
    *,
    store: str | Path | Store = "durproj.db",
    format: Format | None = None,
    table: str | None = None,
    journal: bool = False,
    status: Status | None = None,
    columns: Sequence[str] = (),
    excel: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Write what `durproj export` writes to the file `to`: the latest states of workflows, or with `journal`
    one row for each of their steps, as they stand at this instant.

    which: ids and names of workflows (none: every projection), of which `status` leaves those that
    stand so. format: `jsonl`, `csv`, `parquet` or `sqlite`; None: by the ending of `to`. table: in a SQLite
    database, `projections` or `steps` unless said. columns: the only paths of the states that become
    columns. excel: CSV for spreadsheets. force: replace the file, or in a database the table;
    never a file of the store's own, one that it was folded from, or the FILE.py of a reducer.

    Returns {"type": "export", "to", "format", "rows"}; `table` where there is one, `columns`, how many, of
    all but JSON lines, and `empty`, those asked for that no state has. Raises UsageError, NotFound,
    StoreDamaged, StoreBusy, StoreDenied, OutputFailed; the file, or database, is then as it was.
    """
    chosen = format_of(to, format)
    if table is None:
        table = "steps" if journal else "projections"
    elif chosen != "sqlite" or not table:
        raise UsageError(
            "--table names the table of a SQLite database", "write to one: --to out.db"
        )
    check_options(chosen, columns=columns, excel=excel)
    path = target.resolved(str(to), str(store if isinstance(store, str | Path) else store.location))
    with reading(store) as opened:
        refuse_input(opened, path, str(to))
    _check_target(chosen, path, table, force=force)
    folder = os.path.dirname(path) or "."
    choice = Choice(which, status, journal)
    record: dict[str, Any] = {"type": "export", "to": str(to), "format": chosen}
    if chosen == "jsonl":
        with (
            keeping(store, choice, folder=folder) as kept,
            target.replacing(path, force=force) as beside,
        ):
            json_lines.write(beside, kept)
            return record | {"rows": kept.count}
    with tabulated(store, choice, chosen, columns, folder) as found:
        _write(chosen, path, table, found, excel=excel, force=force)
        return record | {
            **({"table": table} if chosen == "sqlite" else {}),
            "rows": found.rows.count,
            "columns": len(found.columns),
            **({"empty": found.empty} if found.empty else {}),
        }


def export_records(
    which: Sequence[str] = (),
    *,
    store: str | Path | Store = "durproj.db",
    journal: bool = False,
    status: Status | None = None,
) -> Iterator[dict[str, Any]]:
    """The records that `durproj export` prints as JSON lines; for the arguments see `export`.

    One for each workflow: `type` ("projection"), `id`, `name`, `key`, `status`, `steps`, `state`, and
    where there is such a thing `error` (where it stopped), `kept_from` (the first step that is kept),
    `forked_from` (a step) and `replaced_by` (a name). With `journal` one for each step: `type` ("step"),
    `id`, `name`, `key`, `step`, `event` (its `id`, `type`, `time`), `state`, and `skipped` or `error`. All
    are of the instant at which the first one is asked for. Raises NotFound, UsageError, StoreDamaged,
    OutputFailed.
    """
    with keeping(store, Choice(which, status, journal)) as kept:
        yield from kept


@contextmanager
def tabulated(
    store: str | Path | Store,
    choice: Choice,
    format: Format,
    paths: Sequence[str] = (),
    folder: str | None = None,
) -> Iterator[Table]:
    """The records chosen as a table. `paths`: the only ones of the states that become columns; `folder`:
    where to keep the rows. Raises UsageError for too many columns, else as `keeping` does."""
    chosen = places(paths)
    ours = OF_A_STEP if choice.journal else OF_A_PROJECTION
    columns = Columns((*ours, *chosen), _MOST_COLUMNS[format], format)
    row_of = flattener(chosen)
    with keeping(store, choice, lambda record: columns.see(row_of(record)), folder) as kept:
        yield Table(columns.found(), kept, columns.empty(chosen))


def format_of(to: str | Path, format: Format | None) -> Format:
    """The format that is asked for, or that the ending of `to` stands for. Raises UsageError."""
    if format is not None:
        if format not in get_args(Format):
            raise UsageError(
                f"{format!r} is not a format", f"take one of {', '.join(get_args(Format))}"
            )
        return format
    ending = os.path.splitext(to)[1].lower()
    if ending not in _ENDINGS:
        raise UsageError(
            f"{to}: its ending names no format",
            f"end it with one of {' '.join(_ENDINGS)}, or say --format {'|'.join(get_args(Format))}",
        )
    return _ENDINGS[ending]


def check_options(format: Format, *, columns: Sequence[str], excel: bool) -> None:
    """Raise UsageError for what means nothing in `format`."""
    if columns and format == "jsonl":
        raise UsageError(
            "JSON lines keep the states whole: there are no columns to choose",
            "--column goes with --format csv, parquet or sqlite",
        )
    if excel and format != "csv":
        raise UsageError("--excel goes with CSV", "say --format csv, or leave it out")


def _check_target(format: Format, path: str, table: str, *, force: bool) -> None:
    """Find out before anything is read whether `path` can be written."""
    if format == "sqlite":
        sqlite_table.check(path, table, force=force)
        return
    if format == "parquet":
        parquet_file.check()
    target.check_free(path, force=force)


def _write(
    format: Format, path: str, table: str, found: Table, *, excel: bool, force: bool
) -> None:
    if format == "sqlite" and os.path.exists(path):
        sqlite_table.write(path, table, found.columns, found.rows, force=force)
        return
    with target.replacing(path, force=force) as beside:
        if format == "csv":
            csv_file.write(beside, found.names, found.rows, excel=excel)
        elif format == "parquet":
            parquet_file.write(beside, found.columns, found.rows)
        else:
            sqlite_table.write(beside, table, found.columns, found.rows, force=force)
