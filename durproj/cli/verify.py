"""durproj verify: whether a store is what was written, and what its log folds to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.completion import complete_id
from durproj.cli.options import (
    ColorOption,
    JsonOption,
    JunitOption,
    NameOption,
    QuietOption,
    StableOption,
    StoreOption,
    screen,
    store_path,
)

if TYPE_CHECKING:
    from durproj.cli.junit import Report


def verify(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]…",
            show_default=False,
            help="Only these workflows, such as projection/u1.",
            autocompletion=complete_id,
        ),
    ] = None,
    name: NameOption = None,
    refold: Annotated[
        bool,
        typer.Option("--refold", help="Fold the log again with today's reducer, and compare."),
    ] = False,
    twice: Annotated[
        bool,
        typer.Option("--twice", help="Fold twice, to catch a reducer that is not deterministic."),
    ] = False,
    junit: JunitOption = None,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every workflow.")] = False,
    color: ColorOption = "auto",
) -> None:
    """Verify every checkpoint of the store by its hash and, if asked, against its log and reducer.

    Exit 1 when anything is damaged or different, or cannot be verified as it was asked for.
    """
    from durproj.cli.checking import watched
    from durproj.cli.findings import Tally, case_of, finding
    from durproj.verification.verify import verify as records

    path = store_path(store)
    report = _report(junit, path)
    shown = screen(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color)
    began, tally = time.monotonic(), Tally()
    kept: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    with watched(shown, report, ("verifying", "steps"), "stopped before all was verified") as (
        stop,
        bar,
    ):
        told = bar.advance_of if bar else None
        for record in records(
            ids or None,
            name=name,
            store=path,
            refold=refold,
            twice=twice,
            progress=told,
            stop=stop,
        ):
            if record["type"] == "summary":
                continue
            if report:
                kept.append(record)
            tally.add(record)
            if json:
                shown.record(record)
            elif verbose or record["status"] != "ok":
                if bar:
                    bar.hide()
                for line in finding(record):
                    shown.line(*line)
    if report:
        report.write([case_of(record) for record in kept])
    for note in tally.notes:
        shown.note(f"folded again from the events in the journal: {note}")
    if json:
        seconds = round(time.monotonic() - began, 3)
        shown.record({**record, "timing": {"seconds": seconds}})
    else:
        shown.line(*tally.line(record))
    shown.flush()
    if record["exit"]:
        raise typer.Exit(1)


def _report(file: Path | None, store: Path) -> Report | None:
    """The report for `file`, if there is to be one."""
    if file is None:
        return None
    from durproj.cli.junit import BEGINS, Report
    from durproj.history.inputs import refuse_stored

    refuse_stored(store, str(file), f"--junit {file}", BEGINS)
    return Report(file, "verify", "store")
