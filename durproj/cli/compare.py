"""durproj compare: two folds of the same events, key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.completion import complete_name_or_id
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
    from durproj.render import Screen, Span

_A_SIDE = "A name (projection) or one workflow (projection/u1)."


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help=_A_SIDE, autocompletion=complete_name_or_id)
    ],
    second: Annotated[
        str, typer.Argument(metavar="B", help=_A_SIDE, autocompletion=complete_name_or_id)
    ],
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore", metavar="PATH", help="Leave this out of the states; may be repeated."
        ),
    ] = None,
    final: Annotated[bool, typer.Option("--final", help="Compare only the latest states.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, help="Show at most so many differing keys."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show equal keys, too.")] = False,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Compare two folds of the same events: for each key, the first step at which their states differ.

    Exit code 1: some differ.
    """
    from durproj.history.compare import compare as compared

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color)
    record: dict[str, Any] = {}
    for record in compared(
        first, second, ignore=ignore or (), final=final, limit=limit, equal=verbose, store=path
    ):
        if json:
            shown.record(record)
        elif record["type"] == "comparison":
            _show(shown, record, (first, second))
        else:
            _sum_up(shown, record)
    shown.flush()
    if record["same"] != record["keys"]:
        raise typer.Exit(1)


def _show(shown: Screen, record: dict[str, Any], sides: tuple[str, str]) -> None:
    from durproj.cli.changed import show_beside

    head = (record["key"], "bold"), ("  ", ""), *_described(record, sides)
    show_beside(shown, head, record.get("changes", ()))


def _described(record: dict[str, Any], sides: tuple[str, str]) -> tuple[Span, ...]:
    """What became of a key, in words."""
    result = record["result"]
    if result == "same":
        return ("same", "green"), (_since(record), "dim")
    if result in ("only_first", "only_second"):
        side = sides[result == "only_second"]
        return (("only in ", "red"), (f"{side}  {number(record['steps'][0], 'step')}", ""))
    if result == "steps":
        counts = (
            f"{number(steps, 'step')} ({status})"
            for steps, status in zip(record["steps"], record["status"], strict=True)
        )
        return (
            ("not as far", "yellow"),
            (f"  {' and '.join(counts)}", ""),
            (_since(record) or ", the same as far as both go", ""),
        )
    if "step" not in record:
        return ("different in the end", "red"), (_since(record), "dim")
    or_before = " or before" if record["step"] == record.get("compared_from") else ""
    at = f" at step {record['step']:,}{or_before}"
    if result == "event":
        types = " and ".join(_event(event) for event in record["events"])
        return (("other events", "yellow"), (f"{at}: {types}", ""))
    again = ", the same again in the end" if record["final"] == "same" else ""
    return (("different", "red"), (f"{at}  {_event(record['event'])}{again}", ""))


def _since(record: dict[str, Any]) -> str:
    """From which step on two histories were compared, where their beginnings are not kept."""
    begin: int | None = record.get("compared_from", 0)
    if begin is None:
        in_the_end = " in the end" if record["result"] == "same" else ""
        return f"{in_the_end}, no step is kept of both"
    if not begin:
        return ""
    also = ", the same as far as both go" if record["result"] == "steps" else ""
    return f"{also} from step {begin:,} on"


def _event(event: dict[str, Any]) -> str:
    return f"{event['type']} {event['id']}" if event["id"] is not None else str(event["type"])


def _sum_up(shown: Screen, record: dict[str, Any]) -> None:

    parts = (
        (f"{record['same']:,} same", "green", True),
        (f"{record['different']:,} different", "red", record["different"]),
        (f"{record['event']:,} of other events", "yellow", record["event"]),
        (f"{record['steps']:,} not as far", "yellow", record["steps"]),
        (f"{record['only_first']:,} only in {record['first']}", "red", record["only_first"]),
        (f"{record['only_second']:,} only in {record['second']}", "red", record["only_second"]),
    )
    spans: list[Span] = [(f"{number(record['keys'], 'key')}: ", "bold")]
    for text, style, counts in parts:
        if counts:
            spans += [(text, style), (", ", "")]
    shown.line(*spans[:-1])
