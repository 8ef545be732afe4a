"""durproj promote: let one name of projections take the place of another."""

from __future__ import annotations

from typing import Annotated

import typer

from durproj.cli.completion import complete_name
from durproj.cli.options import (
    ColorOption,
    JsonOption,
    QuietOption,
    StableOption,
    StoreOption,
    WaitOption,
    screen,
    store_path,
)
from durproj.wording import number


def promote(
    new: Annotated[
        str,
        typer.Argument(
            metavar="NEW",
            help="The name to be promoted, such as orders@v2.",
            autocompletion=complete_name,
        ),
    ],
    current: Annotated[
        str,
        typer.Argument(
            metavar="CURRENT",
            help="The name it takes, such as projection.",
            autocompletion=complete_name,
        ),
    ],
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also if NEW is not finished, lacks streams or steps, or has other input.",
        ),
    ] = False,
    store: StoreOption = "durproj.db",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Let the projections named NEW take the name CURRENT, all at one instant.

    Those that had the name are called CURRENT@old until gc drops them.
    """
    from durproj.cli.reporter import command_for
    from durproj.history.promote import promote as swap

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    record = swap(new, current, store=path, force=force, wait_s=wait)
    if json:
        shown.record(record)
        shown.flush()
        return
    name, old = record["name"], record["old"]
    shown.note(f"{new} is {name} now: {number(record['workflows'], 'workflow')}")
    if missing := record["missing"]:
        shown.note(f"without {number(missing, 'stream')} that only what was {name} has")
    if behind := record["behind"]:
        shown.note(
            f"behind what was {name} in {number(behind, 'stream')}: it has"
            f" {number(record['steps'], 'step')}, and that {record['old_steps']:,}"
        )
    if not record["same_input"]:
        shown.note(f"folded from another input than what was {name}")
    if old:
        count = number(record["old_workflows"], "workflow")
        shown.note(f"what was {name} is {old} now ({count}), until durproj gc drops it")
        shown.note(f"to undo it: {command_for(store, 'promote', old, name)}")
    shown.flush()
