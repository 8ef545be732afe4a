"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from durproj.cli.completion import complete_id, complete_key, complete_name, complete_step
from durproj.errors import UsageError
from durproj.render import Screen, Style

Color = Literal["auto", "always", "never"]

StoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="DURPROJ_STORE", metavar="PATH", help="The store, a SQLite file."
    ),
]
UserOption = Annotated[
    list[str] | None,
    typer.Option(
        "--user",
        metavar="KEY",
        help="Only the stream of this key; may be repeated.",
        autocompletion=complete_key,
    ),
]
IdArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A workflow, such as projection/u1.", autocompletion=complete_id
    ),
]
StepArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A workflow, such as projection/u1, or a step of it, projection/u1#5.",
        autocompletion=complete_step,
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Only workflows of this name.", autocompletion=complete_name),
]
PathOption = Annotated[
    list[str] | None,
    typer.Option(
        "--path",
        metavar="PATH",
        help="Only changes there: address.city, orders[0], /orders/0; may be repeated.",
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="What the events are: cloudevents, github, csv, kcat+debezium …; by default told by their"
        " fields.",
    ),
]
ArrayOption = Annotated[
    bool,
    typer.Option("--array", help="The input is one JSON array (or a list object) of events."),
]
SeqOption = Annotated[
    str | None,
    typer.Option("--seq", metavar="PATH", help="Where a line has the event's sequence number."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
StableOption = Annotated[
    bool, typer.Option("--stable", help="Leave out what differs from run to run.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what was asked for.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show every step.")]
ColorOption = Annotated[Color, typer.Option("--color", help="Whether to color.")]


def asked_format(format: str, array: bool) -> str | None:
    """The format that --format and --array ask for; None when it is left open."""
    if array and format != "array" and not format.startswith("array+"):
        return f"array+{format}"
    return None if format == "auto" else format


def finite(seconds: float) -> float:
    """`seconds`, unless they are no number of seconds."""
    if not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds} is not a number of seconds")
    return seconds


WaitOption = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        callback=finite,
        help="How long to wait for another runner of the store.",
    ),
]


def screen(
    *,
    json: bool = False,
    stable: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    color: Color = "auto",
) -> Screen:
    """The screen that these options ask for."""
    return Screen(Style(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color))


def store_path(store: str) -> Path:
    """The file that `--store` names. Raises UsageError for what is no file."""
    if "://" in store:
        kind = store.partition("://")[0]
        raise UsageError(
            f"--store {store}: no store of the kind {kind}",
            "name a SQLite file, such as durproj.db",
        )
    if not store:
        raise UsageError("--store is empty", "name a SQLite file, such as durproj.db")
    return Path(os.path.expanduser(store))
