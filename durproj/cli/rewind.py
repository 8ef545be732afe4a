"""durproj rewind: drop the newest steps of a workflow."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from durproj.cli.options import (
    ColorOption,
    IdArgument,
    JsonOption,
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
    json: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Drop every step after step N; the next run or resume folds from there.

    The step is also written projection/u1#4.
    """
    from durproj.cli.reporter import kept, resume_command
    from durproj.errors import UsageError
    from durproj.history.standing import inspect as read
    from durproj.history.standing import rewind as drop
    from durproj.ids import split_step
    from durproj.render import number

    path = store_path(store)
    shown = screen(json=json, quiet=quiet, color=color)
    id, named = split_step(id)
    if (to is None) == (named is None):
        raise UsageError(
            "rewind needs the last step to keep, once",
            f"durproj rewind {shlex.join([id])} --to 4, or durproj rewind {shlex.join([f'{id}#4'])}",
        )
    last = named if to is None else to
    assert last is not None
    dropped = drop(id, last, store=path, wait_s=wait)
    if json:
        shown.record({"type": "rewind", "id": id, "dropped": dropped, "steps": last + 1})
    else:
        first = read(id, store=path).get("kept_from", 0)
        left = f"{kept(first, last + 1)} kept" if last >= 0 else "none is kept"
        shown.note(f"{id}: dropped {number(dropped, 'step')}; {left}")
        shown.note(f"go on with: {resume_command(store)}")
    shown.flush()
