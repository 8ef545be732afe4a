"""durproj export: projections or journals as JSON lines, CSV, Parquet or a SQLite table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from durproj.cli.completion import complete_name, complete_name_or_id
from durproj.cli.options import (
    ColorOption,
    JsonOption,
    QuietOption,
    StableOption,
    StoreOption,
    screen,
    store_path,
)
from durproj.wording import number

if TYPE_CHECKING:
    from pathlib import Path

    from durproj.exports.chosen import Choice
    from durproj.render import Screen


def export(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|ID]...",
            help="Only these workflows, or those of these names; by default every projection.",
            autocompletion=complete_name_or_id,
        ),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The file to write, its format told by its ending: .jsonl .csv .parquet .db; - is standard"
            " output.",
        ),
    ] = "-",
    format: Annotated[
        Literal["jsonl", "csv", "parquet", "sqlite"] | None,
        typer.Option("--format", help="The format, whatever the ending."),
    ] = None,
    journal: Annotated[
        bool, typer.Option("--journal", help="Every step, not the latest states alone.")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="As an argument; may be repeated.",
            autocompletion=complete_name,
        ),
    ] = None,
    status: Annotated[
        Literal["pending", "resolved", "rejected", "parked"] | None,
        typer.Option("--status", help="Only workflows that stand so."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="PATH",
            help="Only this path of the states becomes a column; may be repeated.",
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="TABLE",
            help="The table of a SQLite database; by default projections, or steps.",
        ),
    ] = None,
    excel: Annotated[
        bool, typer.Option("--excel", help="CSV for spreadsheets, in which no text is a formula.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file, or in a database the table.")
    ] = False,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Export the latest states, or with --journal every step, for analysts and dashboards.

    Without --to they are printed as JSON lines. In a table the leaves of the states are columns, named by
    their paths, after columns of durproj's own, which begin with _.
    """
    from durproj.exports.chosen import Choice

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    choice = Choice([*(which or []), *(name or [])], status, journal)
    if to == "-":
        _check_printable(format or "jsonl", json=json, given=(table is not None, force))
        rows = _print(shown, path, choice, format, column or [], excel=excel)
    else:
        rows = _write(
            shown,
            to,
            path,
            choice,
            {
                "format": format,
                "table": table,
                "columns": column or [],
                "excel": excel,
                "force": force,
            },
        )
    if not rows:
        nothing = f"nothing in {path} is to be exported"
        if force:
            shown.warning(f"{nothing}: {to} has no row now")
        else:
            shown.note(nothing)
    shown.flush()


def _check_printable(format: str, *, json: bool, given: tuple[bool, bool]) -> None:
    """Raise UsageError for what can go to a file only."""
    from durproj.errors import UsageError

    if format not in ("jsonl", "csv"):
        raise UsageError(f"{format} needs a file", "name it with --to FILE")
    if json and format != "jsonl":
        raise UsageError(f"--json and --format {format} name two formats", "give one of them")
    if any(given):
        raise UsageError("--table and --force are for files", "name one with --to FILE")


def _print(
    shown: Screen, path: Path, choice: Choice, format: Any, columns: list[str], *, excel: bool
) -> int:
    """Print what is chosen as JSON lines or CSV; how many rows there were."""
    from durproj.exports.chosen import keeping
    from durproj.exports.csv_file import lines
    from durproj.exports.formats import check_options, tabulated
    from durproj.render import safe

    check_options(format or "jsonl", columns=columns, excel=excel)
    if format != "csv":
        with keeping(path, choice) as kept:
            for record in kept:
                shown.record(record)
            return kept.count
    with tabulated(path, choice, format, columns) as table:
        changed = 0
        for line in lines(table.names, table.rows, excel=excel):
            text = line.removesuffix("\n")
            changed += safe(text) != text
            shown.line((text, ""))
        if changed:
            shown.warning(
                f"{number(changed, 'row')} with control characters, which are written out, such as \\x0a;"
                " a file has them as they are: --to FILE"
            )
        _note_empty(shown, table.empty)
        return table.rows.count


def _write(shown: Screen, to: str, path: Path, choice: Choice, options: dict[str, Any]) -> int:
    """Write what is chosen to the file `to`; how many rows there were."""
    from durproj.cli.signals import stoppable
    from durproj.errors import Interrupted
    from durproj.exports.formats import export as write

    with stoppable() as stop:
        stop.interruptible = True
        try:
            record = write(
                to,
                choice.which,
                store=path,
                journal=choice.journal,
                status=choice.status,
                **options,
            )
        except Interrupted as stopped:
            stopped.message, stopped.hint = f"stopped; nothing was written to {to}", ""
            raise
    rows: int = record["rows"]
    if shown.style.json:
        shown.record(record)
        return rows
    where = f"{to}, table {record['table']}" if "table" in record else to
    wide = f", {number(record['columns'], 'column')}" if "columns" in record else ""
    shown.note(f"{where}: {number(rows, 'row')}{wide}")
    _note_empty(shown, record.get("empty", []))
    return rows


def _note_empty(shown: Screen, empty: list[str]) -> None:
    if empty:
        shown.note(f"no state has anything at {', '.join(empty)}")
