"""durproj log: the steps of a workflow, and what each of them changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.options import (
    ColorOption,
    JsonOption,
    PathOption,
    QuietOption,
    StableOption,
    StepArgument,
    StoreOption,
    screen,
    store_path,
)

if TYPE_CHECKING:
    from durproj.cli.steps import StepLines
    from durproj.render import Screen


def log(
    id: StepArgument,
    path: PathOption = None,
    type: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only events of this type; may be repeated."),
    ] = None,
    first: Annotated[
        int, typer.Option("--from", metavar="N", min=0, help="Only step N and later ones.")
    ] = 0,
    last: Annotated[
        int | None,
        typer.Option("--to", metavar="N", min=0, help="Only step N and earlier ones."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", metavar="N", min=1, help="The newest N of those that match."),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Newest first.")] = False,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Each change in full, on a line of its own."),
    ] = False,
    color: ColorOption = "auto",
) -> None:
    """Show the steps of a workflow, newest last: each event and what it changed in the state.

    projection/u1#5 is the history up to step 5.
    """
    from durproj.cli.steps import StepLines
    from durproj.history.log import log as read

    location = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color)
    records = read(
        id,
        path=path or (),
        type=type or (),
        first=first,
        last=last,
        limit=limit,
        reverse=reverse,
        store=location,
    )
    lines = StepLines(shown)
    found = False
    for record in records if json else lines.aligned(records):
        found = True
        if json:
            shown.record(record)
        else:
            _show(shown, lines, record)
    if not found:
        shown.note(f"{id}: no step " + ("is like that" if path or type else "yet"))
    shown.flush()


def _show(shown: Screen, lines: StepLines, record: dict[str, Any]) -> None:
    if record["type"] == "step":
        lines.show(record)
        return
    from durproj.cli.outcome import status_color
    from durproj.cli.steps import event_text
    from durproj.render import described

    shown.line(
        (f"{record['status']} at step {record['step']}", status_color(record["status"])),
        (f"  {event_text(record['event'])}" if "event" in record else "", "cyan"),
        (f"  {described(record['error'])}", "red"),
    )
