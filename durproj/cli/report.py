"""durproj report: a web page of a workflow's steps."""

from __future__ import annotations

from typing import Annotated

import typer

from durproj.cli.completion import complete_id
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

LARGE_MB = 20
"""A browser takes a while over a page of more than this."""


def report(
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…",
            help="Workflows, such as projection/u1.",
            autocompletion=complete_id,
            show_default=False,
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write the page.")
    ] = "report.html",
    first: Annotated[
        int | None, typer.Option("--from", metavar="N", min=0, help="The first step to show.")
    ] = None,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", min=0, help="The last step to show.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", metavar="N", min=1, help="Show the last N steps.  [default: 1000]"),
    ] = None,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Write one web page, to be opened without a server, to scrub through a workflow's steps."""
    from durproj.page.report import report as write

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    made = write(ids, output, store=path, first=first, to=to, last=last)
    if json:
        shown.record(made)
    else:
        there = [each for each in made["workflows"] if each["from"] is not None]
        steps = sum(each["to"] - each["from"] + 1 for each in there)
        held = f"{number(len(made['workflows']), 'workflow')}, {number(steps, 'step')}"
        shown.note(f"{output}: {held}, {_size(made['bytes'])}")
        gone = sum(each.get("kept_from", 0) for each in made["workflows"])
        left = sum(each["steps"] for each in made["workflows"]) - gone - steps
        if gone:
            shown.note(f"{number(gone, 'step')} no longer kept")
        if left:
            shown.note(f"{number(left, 'step')} left out; --from, --to and --last choose")
    if made["bytes"] > LARGE_MB * 10**6:
        shown.note("a browser may take long to open it; --last makes it smaller")
    shown.flush()


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 10**6 else f"{max(1, count // 1000)} kB"
