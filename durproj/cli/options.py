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
ReducerOption = Annotated[
    str | None,
    typer.Option(
        "--reducer",
        metavar="REF",
        help="account, counts, merge, FILE.py:NAME or MODULE:NAME of a function or of handlers by"
        " type; by default the one that the same fold was begun with, else account.",
    ),
]
JqOption = Annotated[
    str | None,
    typer.Option(
        "--jq",
        metavar="PROGRAM",
        help="A jq program as the reducer, or @FILE: its input {state, event}, its output the next"
        " state.",
    ),
]
InitialOption = Annotated[
    str | None,
    typer.Option(
        "--initial", metavar="JSON", help="The initial state, instead of the reducer's own."
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="PATH",
        help="Where a line has the key that tells streams apart; items[].id for many, a|b for the"
        " first that is there.",
    ),
]
TypeOption = Annotated[
    str | None,
    typer.Option("--type", metavar="PATH", help="Where a line has the event's type."),
]
EventIdOption = Annotated[
    str | None, typer.Option("--id", metavar="PATH", help="Where a line has the event's id.")
]
TimeOption = Annotated[
    str | None,
    typer.Option("--time", metavar="PATH", help="Where a line has the event's time."),
]
DataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="PATH", help="Where a line has the event's payload."),
]
NoKeyOption = Annotated[
    str | None,
    typer.Option(
        "--no-key",
        metavar="error|skip|KEY",
        help="What to do with a line that has no key; by default what the same fold was begun with,"
        " else error.",
    ),
]
OrderOption = Annotated[
    Literal["file", "time", "seq"] | None,
    typer.Option(
        "--order",
        help="Take the events of a stream as they stand, or by their time or sequence number; by default"
        " as the same fold was begun, else file.",
    ),
]
DedupeOption = Annotated[
    Literal["none", "id"] | None,
    typer.Option(
        "--dedupe",
        help="id: drop an event that comes again in its stream, refuse another one with its id; by"
        " default as the same fold was begun, else none.",
    ),
]
OnErrorOption = Annotated[
    Literal["stop", "park", "skip"],
    typer.Option(
        "--on-error",
        help="When an event fails for good: stop, park its stream and go on, or skip the event.",
    ),
]
OnBadLineOption = Annotated[
    Literal["stop", "skip"],
    typer.Option("--on-bad-line", help="When a line is no event: stop, or leave it out."),
]
MaxLineOption = Annotated[
    int, typer.Option("--max-line", metavar="BYTES", min=1, help="The longest line to accept.")
]
MAX_LINE = 16 << 20
StrictTypesOption = Annotated[
    bool,
    typer.Option("--strict-types", help="Let events of types unknown to the reducer fail."),
]
EventsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[EVENTS]...",
        help="JSON-lines files, globs, or - for standard input; gzip and zstd are read as they are."
        " Other files: --array, --format csv, --format xes.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write what was found as JUnit XML, for CI."),
]
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


def named_reducer(reducer: str | None, jq: str | None) -> str | None:
    """The reference that --reducer or --jq gives. Raises UsageError for both."""
    if jq is None:
        return reducer
    if reducer is not None:
        raise UsageError("--jq and --reducer both name a reducer", "give one of them")
    return f"jq:{jq}"


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
