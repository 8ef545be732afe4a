"""durproj rewind: drop the newest steps of a workflow."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.options import (
    ColorOption,
    JsonOption,
    QuietOption,
    StableOption,
    StepArgument,
    StoreOption,
    WaitOption,
    screen,
    store_path,
)
from durproj.wording import number

if TYPE_CHECKING:
    from durproj.render import Screen


def rewind(
    id: StepArgument,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="N", min=-1, help="The last step to keep; -1 keeps none."),
    ] = None,
    store: StoreOption = "durproj.db",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Drop every step after step N; the next run or resume folds from there.

    The step is also written projection/u1#4.
    """
    from durproj.errors import UsageError
    from durproj.history.rewind import rewound
    from durproj.ids import split_step

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    id, named = split_step(id)
    if (to is None) == (named is None):
        raise UsageError(
            "rewind needs the last step to keep, once",
            f"durproj rewind {shlex.join([id])} --to 4, or durproj rewind {shlex.join([f'{id}#4'])}",
        )
    last = named if to is None else to
    assert last is not None
    record = rewound(id, last, store=path, wait_s=wait)
    if json:
        shown.record(record)
    else:
        _show(shown, record, store)
    shown.flush()


def _show(shown: Screen, record: dict[str, Any], store: str) -> None:
    from durproj.cli.reporter import kept, resume_command

    steps = kept(record.get("kept_from", 0), record["steps"]) if record["steps"] else "none is"
    shown.note(f"{record['id']}: dropped {number(record['dropped'], 'step')}; {steps} kept")
    if record["goes_on"] == "program":
        shown.note("go on with the program that began it")
    elif record["goes_on"]:
        shown.note(f"go on with: {resume_command(store)}")
