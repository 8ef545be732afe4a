"""durproj rewind: drop the newest steps of a workflow."""

from __future__ import annotations

from typing import Annotated

import typer

from durproj.cli.options import (
    ColorOption,
    IdArgument,
    QuietOption,
    StoreOption,
    WaitOption,
    screen,
    store_path,
)


def rewind(
    id: IdArgument,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="N", min=-1, help="The last step to keep; -1 keeps none."),
    ] = None,
    store: StoreOption = "durproj.db",
    wait: WaitOption = 0.0,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Drop every step after step N; the next run or resume folds from there.

    The step is also written projection/u1#4.
    """
    from durproj.cli.reporter import resume_command
    from durproj.errors import UsageError
    from durproj.history.standing import rewind as drop
    from durproj.ids import split_step

    path = store_path(store)
    shown = screen(quiet=quiet, color=color)
    id, named = split_step(id)
    if (to is None) == (named is None):
        raise UsageError(
            "rewind needs the last step to keep, once",
            f"durproj rewind {id} --to 4, or durproj rewind '{id}#4'",
        )
    last = named if to is None else to
    assert last is not None
    dropped = drop(id, last, store=path, wait_s=wait)
    kept = f"steps 0 to {last} are" if last >= 0 else "none is"
    shown.note(f"{id}: dropped {dropped:,} steps; {kept} kept. Go on with: {resume_command(store)}")
    shown.flush()
