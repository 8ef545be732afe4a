"""durproj find: the steps at which a condition holds."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.completion import complete_id, complete_name
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

if TYPE_CHECKING:
    from durproj.history.find import Search, Which
    from durproj.render import Screen


def find(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[ID] EXPR",
            help="A workflow (none with --all-ids or --name), and a condition in CEL over state, event and"
            " step: 'state.balance < 0'.",
            autocompletion=complete_id,
        ),
    ],
    all: Annotated[bool, typer.Option("--all", help="Every step at which it holds.")] = False,
    last: Annotated[
        bool, typer.Option("--last", help="The newest step at which it holds.")
    ] = False,
    bisect: Annotated[
        bool,
        typer.Option(
            "--bisect",
            help="Look at few steps, halving; for what stays true once it became true.",
        ),
    ] = False,
    all_ids: Annotated[bool, typer.Option("--all-ids", help="In every projection.")] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="In every projection of this name.", autocompletion=complete_name
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="At most N steps.")
    ] = None,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Find the first step at which a condition became true, and the event that made it so.

    event has key, type, id, time, data and body (the whole line). Exit code 1: found nowhere.
    """
    from durproj.errors import UsageError
    from durproj.history.find import find as search

    # An evaluation cannot be interrupted by Python, and nothing that only reads has to be finished.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    many = all_ids or name is not None
    if len(words) != (1 if many else 2):
        wanted = "a condition and no ID" if many else "an ID and a condition"
        raise UsageError(
            f"{wanted} expected, met {len(words)}: {' '.join(words)}",
            "write durproj find projection/u1 'state.balance < 0', or --all-ids 'state.balance < 0'",
        )
    if all and last:
        raise UsageError("--all and --last ask for different steps", "give one of them")
    which: Which = "all" if all else "last" if last else "first"
    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    id = None if many else words[0]
    found = search(id, words[-1], which=which, bisect=bisect, name=name, limit=limit, store=path)
    for record in found:
        if json:
            shown.record(record)
        else:
            _show(shown, record)
    shown.flush()
    _count(shown, found, many=many, bisect=bisect, limit=limit)
    if not found.matches:
        raise typer.Exit(1)


def _show(shown: Screen, record: dict[str, Any]) -> None:
    from durproj.cli.changed import show_beside
    from durproj.cli.steps import event_spans, state_before_text

    id = f"{record['id']}#{record['step']}"
    changes = record["changes"]
    head = (
        (id, "bold" if record["became"] else "dim"),
        *event_spans(record["event"], shown.columns(), used=len(id)),
        ("  (skipped)" if "skipped" in record else "", "yellow"),
        (f"  {state_before_text(record['step'])}" if changes is None else "", "dim"),
    )
    show_beside(shown, head, changes or ())


def _count(shown: Screen, found: Search, *, many: bool, bisect: bool, limit: int | None) -> None:
    """What is to be said on the side: how much was found, and where it could not be told."""
    if found.aside and not many:
        shown.note(found.aside)
    where = f" in {found.found:,} of {number(found.workflows, 'projection')}" if many else ""
    read = f"; {number(found.read, 'checkpoint')} read" if bisect else ""
    matches = number(found.matches, "step") if found.matches else "no step"
    more = f"; --limit {limit} leaves out what follows" if found.matches == limit else ""
    shown.note(f"{matches} found{where}{read}{more}")
    if found.failed:
        shown.note(
            f"at {number(found.failed, 'step')} the condition could not be evaluated, and counts as not true;"
            f" the last one: {found.reason}"
        )
