"""durproj list: the workflows of a store."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Literal

import typer

from durproj.cli.options import (
    ColorOption,
    JsonOption,
    NameOption,
    QuietOption,
    StableOption,
    StoreOption,
    screen,
    store_path,
)
from durproj.wording import number


def list_workflows(
    name: NameOption = None,
    status: Annotated[
        Literal["pending", "resolved", "rejected", "parked"] | None,
        typer.Option("--status", help="Only workflows that stand so."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many.")
    ] = None,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """List workflows with their status and number of steps, in the order they began."""
    from durproj.cli.outcome import status_color
    from durproj.history.standing import workflows

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    found = 0
    for record in islice(workflows(name=name, status=status, store=path), limit):
        found += 1
        if json:
            shown.record(record)
            continue
        shown.line(
            (f"{record['status']:<8}", status_color(record["status"])),
            (f"  {number(record['steps'], 'step'):>13}  ", ""),
            (record["id"], "bold"),
        )
    if not found:
        shown.note(f"no workflow in {path}" + (" stands so" if name or status else ""))
    shown.flush()
