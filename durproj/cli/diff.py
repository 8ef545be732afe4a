"""durproj diff: what differs between two states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.completion import complete_step
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
    from durproj.render import Screen

WIDEST_IN_LINE = 60
"""Longer values have lines of their own."""


def diff(
    id: StepArgument,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="The other workflow, or step of one.",
            autocompletion=complete_step,
        ),
    ] = None,
    path: PathOption = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code/--no-exit-code", help="Exit 1 when there are differences."),
    ] = True,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Show what differs between two states, path by path. Exits 1 when anything does, or may.

    'projection/u1#4..6': after step 4 and after step 6; '#4..': after step 4 and now; '#4' alone:
    before and after step 4. Two IDs, each with a step or without: these two states.
    """
    from durproj.history.diff import diff as read

    location = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    record = read(id, other, path=path or (), store=location)
    if json:
        shown.record(record)
    elif record["changes"] != []:
        _show(shown, record)
    shown.flush()
    if record["changes"] != [] and exit_code:
        raise typer.Exit(1)


def _show(shown: Screen, record: dict[str, Any]) -> None:
    from durproj.cli.steps import event_text

    for mark, side in (("---", "old"), ("+++", "new")):
        shown.line((f"{mark} ", "bold"), *_named(record[side]))
    # One step is named above already.
    if record.get("steps", 1) > 1:
        rest = record["steps"] - len(record["events"])
        if rest:
            shown.line((f"    … {rest:,} more", "dim"))
        for each in record["events"]:
            shown.line((f"    #{each['step']}  {event_text(each['event'])}", "dim"))
    if record["changes"] is None:
        shown.line(("the initial state is not known: a function of the program's made it", "dim"))
        return
    for change in record["changes"]:
        _show_change(shown, change)


def _named(side: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    from durproj.cli.steps import event_text

    if side["step"] is None:
        return (side["id"], "bold"), ("  before its first step", "dim")
    event = event_text(side["event"]) if side["event"] else "its event is not kept"
    return (f"{side['id']}#{side['step']}", "bold"), (f"  {event}", "dim")


def _show_change(shown: Screen, change: dict[str, Any]) -> None:
    """One change: short values on its line, long ones below it as indented JSON."""
    from durproj.cli.changed import change_spans, in_json
    from durproj.render import indented

    mark, color = {"added": ("+", "green"), "removed": ("-", "red")}.get(
        change["kind"], ("~", "yellow")
    )
    sides = {side: change[side] for side in ("old", "new") if side in change}
    if all(len(in_json(value, None)) <= WIDEST_IN_LINE for value in sides.values()):
        values = change_spans(change | {"path": "", "kind": "changed"}, width=None)
        shown.line((f"{mark} ", color), (change["path"], color), *values)
        return
    shown.line((f"{mark} {change['path']}", color))
    for side, value in sides.items():
        begin, style = ("-", "red") if side == "old" else ("+", "green")
        for line in indented(value):
            shown.line((f"{begin}   {line}", style))
