"""durproj parked: the streams that wait at a poison event, and what to do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.completion import complete_id
from durproj.cli.options import (
    ColorOption,
    IdArgument,
    JsonOption,
    QuietOption,
    StableOption,
    StoreOption,
    UserOption,
    VerboseOption,
    WaitOption,
    screen,
    store_path,
)

if TYPE_CHECKING:
    from durproj.render import Screen

app = typer.Typer(
    name="parked",
    help="The streams that wait at a poison event (run --on-error park).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

IdArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="These workflows.", autocompletion=complete_id),
]


@app.command("list")
def list_parked(
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """List parked streams: where each waits, at which event, and for what error."""
    from durproj.cli.reporter import command_for
    from durproj.history.parked import parked
    from durproj.render import described

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    found = parked(store=path)
    for record in found:
        if json:
            shown.record(record)
            continue
        shown.line(
            (f"{record['id']}#{record['step']}", "bold"),
            (f"  {_event(record['event'])}", "cyan"),
            (f"  {described(record['error'])}", "red"),
        )
    if found and not json:
        shown.note(f"look at one: {command_for(store, 'parked', 'show')} ID")
        shown.note(f"go on with all: {command_for(store, 'parked', 'retry', '--all')}")
    elif not found:
        shown.note(f"no workflow in {path} is parked")
    shown.flush()


@app.command()
def show(
    id: IdArgument,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Show the event at which a stream waits, the error, and the state before it."""
    from durproj.history.parked import inspect_parked

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    record = inspect_parked(id, store=path)
    if json:
        shown.record(record)
    else:
        _show(shown, record, store)
    shown.flush()


@app.command()
def retry(
    id: IdArguments = None,
    all: Annotated[bool, typer.Option("--all", help="All parked streams.")] = False,
    user: UserOption = None,
    store: StoreOption = "durproj.db",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    color: ColorOption = "auto",
) -> None:
    """Let parked streams go on from the event at which they wait, with the reducer as it is now.

    No other stream is touched. What fails again is parked again (exit 1).
    """
    from durproj.cli.running import running
    from durproj.errors import UsageError
    from durproj.runtime.release import retry_parked

    if all == bool(id or user):
        raise UsageError("say which streams", "name them, by ID or --user KEY, or all: --all")
    shown = screen(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color)
    with running(shown, store) as (reporter, stop):
        counts = retry_parked(
            id, keys=user, store=store_path(store), wait_s=wait, observer=reporter, stop=stop
        )
        if not counts.projections:
            reporter.note("nothing to do: no workflow is parked")


@app.command()
def drop(
    id: IdArguments = None,
    user: UserOption = None,
    store: StoreOption = "durproj.db",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    color: ColorOption = "auto",
) -> None:
    """Skip the event at which a stream waits, and go on with the next one.

    The skip is a step of the journal; rewind undoes it.
    """
    from durproj.cli.running import running
    from durproj.errors import UsageError
    from durproj.runtime.release import drop_parked

    if not (id or user):
        raise UsageError("say which streams", "name them, by ID or --user KEY")
    shown = screen(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color)
    with running(shown, store) as (reporter, stop):
        drop_parked(
            id, keys=user, store=store_path(store), wait_s=wait, observer=reporter, stop=stop
        )


def _event(event: dict[str, Any]) -> str:
    """Type and id of an event, in short."""
    return event["type"] if event["id"] is None else f"{event['type']} {event['id']}"


def _show(shown: Screen, record: dict[str, Any], store: str) -> None:
    from durproj.cli.reporter import command_for
    from durproj.render import described

    id = record["id"]
    shown.line((f"{id}#{record['step']}", "bold"), ("  parked", "yellow"))
    attempts = record["attempts"]
    shown.line(
        (described(record["error"]), "red"),
        (f"  after {attempts} attempts" if attempts > 1 else "", "dim"),
    )
    shown.line(("event", "dim"))
    shown.document(record["event"])
    shown.line(("state before it" if record["step"] else "it is the stream's first event", "dim"))
    if record["step"]:
        shown.document(record["state"])
    shown.note(f"to try it again:  {command_for(store, 'parked', 'retry', id)}")
    shown.note(f"to go on without: {command_for(store, 'parked', 'drop', id)}")
