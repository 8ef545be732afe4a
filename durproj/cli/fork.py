"""durproj fork: a workflow of the steps of another, maybe with other events."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.completion import complete_id
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


def fork(
    id: StepArgument,
    as_: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="OTHER",
            help="What to call it: an id, or a name for the same key.",
            autocompletion=complete_id,
        ),
    ],
    at: Annotated[
        int | None,
        typer.Option(
            "--at", metavar="N", min=0, help="The last step to take; by default the latest."
        ),
    ] = None,
    replace_event: Annotated[
        list[str] | None,
        typer.Option(
            "--replace-event",
            metavar="K=JSON",
            help="Take this event at step K instead; K=@FILE reads it. May be repeated.",
        ),
    ] = None,
    drop_event: Annotated[
        list[int] | None,
        typer.Option(
            "--drop-event",
            metavar="K",
            min=0,
            help="Leave the event of step K out; may be repeated.",
        ),
    ] = None,
    reducer: Annotated[
        str | None,
        typer.Option("--reducer", metavar="REF", help="Fold all of the steps with this reducer."),
    ] = None,
    accept_reducer: Annotated[
        bool,
        typer.Option("--accept-reducer", help="Fold although the reducer's code has changed."),
    ] = False,
    store: StoreOption = "durproj.db",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Copy a workflow up to a step, to see what its state would be, had its events been others.

    Steps from the first replaced or dropped event on are folded anew; ID stays as it is. The step is
    also written projection/u1#5.
    """
    from durproj.errors import UsageError
    from durproj.history.fork import fork as make
    from durproj.ids import split_step

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    id, named = split_step(id)
    if None not in (at, named) and at != named:
        raise UsageError(f"{id}#{named} and --at {at} name two steps", "give one of them")
    with redirect_stdout(sys.stderr):  # what the reducer prints is no result
        record = make(
            *(id, as_),
            at=named if at is None else at,
            replace=_events(replace_event or ()),
            drop=drop_event or (),
            reducer=reducer,
            accept_reducer=accept_reducer,
            store=path,
            wait_s=wait,
        )
    if json:
        shown.record(record)
    else:
        _show(shown, record, store)
    shown.flush()


def _events(words: list[str] | tuple[()]) -> dict[int, str]:
    """The events of --replace-event, as text, by step."""
    from durproj.errors import UsageError

    found: dict[int, str] = {}
    for word in words:
        step, equals, text = word.partition("=")
        if not (equals and text and step.isascii() and step.isdigit() and len(step) < 19):
            raise UsageError(
                f"--replace-event {word}: no step and event",
                "write K=JSON or K=@FILE: 5=@fixed.json",
            )
        if int(step) in found:
            raise UsageError(f"--replace-event: step {step} is given two events", "give one")
        found[int(step)] = _content(text[1:]) if text.startswith("@") else text
    return found


def _content(path: str) -> str:
    from durproj.errors import NotFound, UsageError

    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        raise NotFound(f"--replace-event: no such file: {path}") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: byte {error.start} is not UTF-8", "it is to hold one event"
        ) from None


def _show(shown: Screen, record: dict[str, Any], store: str) -> None:
    from durproj.cli.changed import change_spans
    from durproj.cli.reporter import command_for

    source = f"{record['from']}#{record['at']}"
    skipped = f", {record['skipped']:,} skipped" if record["skipped"] else ""
    kept = f", kept from {record['kept_from']}" if "kept_from" in record else ""
    shown.line(
        (record["id"], "bold"),
        (f"  {number(record['steps'], 'step')} ({record['copied']:,} copied,", ""),
        (f" {record['executed']:,} executed{skipped}{kept})", ""),
    )
    if "state" not in record:
        shown.note(
            "its program goes on after these: durproj.run with that id, and the same arguments"
        )
        return
    shown.document(record["state"])
    found = record["changes"]
    shown.line((f"{'differs from' if found else 'the same state as'} {source}", "dim"))
    for change in found:
        shown.line(("  ", ""), *change_spans(change))
    if found:
        shown.note(f"value by value: {command_for(store, 'diff', source, record['id'])}")
