"""durproj inspect: where a workflow stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.options import (
    ColorOption,
    JsonOption,
    QuietOption,
    StableOption,
    StepArgument,
    StoreOption,
    screen,
    store_path,
)

if TYPE_CHECKING:
    from durproj.render import Screen


def inspect(
    id: StepArgument,
    step: Annotated[
        int | None,
        typer.Option(
            "--step", metavar="N", min=0, help="The state after step N, and the event that made it."
        ),
    ] = None,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Show a workflow's state and where it stands, or how it stood after one step.

    A step is also written projection/u1#5.
    """
    from durproj.errors import UsageError
    from durproj.history.standing import inspect as read
    from durproj.ids import split_step

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    id, named = split_step(id)
    if None not in (step, named) and step != named:
        raise UsageError(f"{id}#{named} and --step {step} name two steps", "give one of them")
    record = read(id, step if named is None else named, store=path)
    if json:
        shown.record(record)
    elif record["type"] == "step":
        _show_step(shown, record)
    else:
        _show_workflow(shown, record, store)
    shown.flush()


def _show_workflow(shown: Screen, record: dict[str, Any], store: str) -> None:
    from durproj.cli.outcome import status_color
    from durproj.cli.reporter import command_for, resume_command
    from durproj.history.standing import forked_from
    from durproj.render import described

    color = status_color(record["status"])
    shown.line((record["id"], "bold"))
    for name, value in (
        ("status", record["status"]),
        ("steps", _steps(record)),
        ("reducer", _one_line(record["reducer"])),
        ("input", record["input"]),
        ("durability", record["durability"]),
        ("forked from", forked_from(record["fork"]) if "fork" in record else None),
        ("replaced by", record.get("replaced_by")),
    ):
        if value is not None:
            shown.line((f"  {name:<12}", "dim"), (str(value), color if name == "status" else ""))
    if error := record.get("error"):
        shown.line(
            ("  error       ", "dim"),
            (f"step {error['step']}: {described(error)}", "red"),
        )
    if record["status"] != "resolved":
        parked = record["status"] == "parked"
        command = command_for(store, "parked", "retry", record["id"])
        next_step = f"step {record['steps']:,}: {command if parked else resume_command(store)}"
        shown.line(("  goes on at  ", "dim"), (next_step, ""))
    if record["state"] is not None:
        shown.document(record["state"])


def _steps(record: dict[str, Any]) -> str:
    steps, first = record["steps"], record.get("kept_from", 0)
    if first == steps > 0:
        return f"{steps:,}, none of them kept"
    return f"{steps:,}" + (f", kept from step {first:,}" if first else "")


def _show_step(shown: Screen, record: dict[str, Any]) -> None:
    shown.line((f"{record['id']}#{record['step']}", "bold"), (f"  {record['function']}", "dim"))
    attempts = record["attempts"]
    if attempts > 1:
        shown.line((f"  took {attempts} attempts", "yellow"))
    shown.line(("event", "dim"))
    shown.document(record["event"])
    if skipped := record.get("skipped"):
        from durproj.render import described

        shown.line((f"skipped: {described(skipped)}", "red"))
    failed = "error" in record
    shown.line(("failed with" if failed else f"state after step {record['step']}", "dim"))
    shown.document(record["error"] if failed else record["state"])


def _one_line(reducer: str | None) -> str | None:
    """A reference as one line: a jq program may have many."""
    return " ".join(reducer.split()) if reducer else reducer
