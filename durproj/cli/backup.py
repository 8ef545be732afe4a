"""durproj backup: a copy of a store."""

from __future__ import annotations

import os
from typing import Annotated

import typer

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


def backup(
    dest: Annotated[str, typer.Argument(metavar="DEST", help="The copy to make.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there already.")
    ] = False,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Copy a store, also while it is written to: as of one instant, verified, one file.

    The copy is a store like any other: give it with --store.
    """
    from durproj.verification.backup import backup as copy

    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    record = copy(os.path.expanduser(dest), store=store_path(store), force=force)
    if json:
        shown.record(record)
    else:
        shown.line(
            (record["to"], "bold"),
            (
                f"  {number(record['workflows'], 'workflow')}, {number(record['bytes'], 'byte')}, verified",
                "",
            ),
        )
    for path in record["left_out"]:
        shown.note(f"not in it: {path}, which keeps what has come through a pipe")
    shown.flush()
