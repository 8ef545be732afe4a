"""durproj stats: what is in a log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.options import (
    MAX_LINE,
    ArrayOption,
    ColorOption,
    FormatOption,
    JsonOption,
    MaxLineOption,
    QuietOption,
    SeqOption,
    StableOption,
    asked_format,
    screen,
)
from durproj.wording import number

if TYPE_CHECKING:
    from durproj.events.formats.detection import Mapping
    from durproj.events.survey import LogStats
    from durproj.render import Screen

TOP_KEYS = 10
TOP_TYPES = 30


def stats(
    events: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EVENTS]...",
            help="As for durproj run; without it DURPROJ_EVENTS, else the sample.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="PATH", help="Where a line has the key.")
    ] = None,
    type: Annotated[
        str | None, typer.Option("--type", metavar="PATH", help="Where a line has the type.")
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="PATH", help="Where a line has the id.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="PATH", help="Where a line has the time.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="Where a line has the payload.")
    ] = None,
    seq: SeqOption = None,
    format: FormatOption = "auto",
    array: ArrayOption = False,
    max_line: MaxLineOption = MAX_LINE,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Describe a log: events, types, keys, time range, duplicates. Needs no store.

    A bad line ends the pass: what stands before it is shown, then the error (exit 65).
    """
    from pathlib import Path

    from durproj.events.envelope import Envelope
    from durproj.events.formats.detection import detect
    from durproj.events.formats.mapping import Layers, Mapping
    from durproj.events.inputs import expand
    from durproj.events.reader import Source
    from durproj.events.survey import stats as survey
    from durproj.runtime.request import SAMPLE, opened_path

    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    named = (
        events
        or [name for name in os.environ.get("DURPROJ_EVENTS", "").split(os.pathsep) if name]
        or [SAMPLE]
    )
    given = Mapping(key, type, id, time, data, seq, asked_format(format, array))
    paths = expand([opened_path(name, Path()) for name in named])
    source = Source(paths, max_line, container=Layers.parse(given.format).container)
    mapping = detect(source.sample(), given)
    found = survey(source, Envelope(mapping), gaps=bool(seq))
    if json:
        shown.record(_record(named, mapping, found))
    else:
        _show(shown, named, mapping, found)
    shown.flush()
    if found.bad:
        raise found.bad


def _record(named: list[str], mapping: Mapping, found: LogStats) -> dict[str, Any]:
    return {
        "type": "stats",
        "input": " ".join(named),
        "mapping": mapping.to_dict(),
        "events": found.events,
        "blank": found.blank,
        "types": found.types,
        "keys": len(found.keys),
        "keyless": found.keyless,
        "top_keys": found.top_keys(TOP_KEYS),
        "times": {
            kind: {"events": span.events, "earliest": span.earliest, "latest": span.latest}
            for kind, span in found.times.items()
        },
        "back_in_time": found.back_in_time,
        "repeated": found.repeated,
        "conflicting": found.conflicting,
        **({"gaps": found.gaps.to_dict()} if found.gaps is not None else {}),
        "complete": found.bad is None,
    }


def _show(shown: Screen, named: list[str], mapping: Mapping, found: LogStats) -> None:

    def row(name: str, value: str) -> None:
        shown.line((f"{name:<12}", "dim"), (value, ""))

    shown.line((" ".join(named), "bold"))
    row("read as", mapping.describe())
    passed = f"{found.blank:,} passed over" if mapping.format else number(found.blank, "blank line")
    blank = f", and {passed}" if found.blank else ""
    row("events", f"{found.events:,}{blank}")
    if mapping.key is not None:
        keyless = f"; {number(found.keyless, 'event')} without" if found.keyless else ""
        row("keys", f"{len(found.keys):,}{keyless}")
    for kind, span in found.times.items():
        values = (
            f"{span.earliest} … {span.latest}"
            if span.earliest is not None
            else "no order among them"
        )
        row("time", f"{values}  ({kind}, {number(span.events, 'event')})")
    if found.back_in_time:
        row("", f"{number(found.back_in_time, 'time')} earlier than the event before")
    if mapping.id is not None:
        row(
            "duplicates",
            f"{found.repeated:,} repeated; {found.conflicting:,} with another's id",
        )
    if found.gaps is not None:
        row("sequence", found.gaps.describe() or "no gaps")
    _table(shown, "types", found.types, TOP_TYPES)
    if mapping.key is not None:
        _table(shown, "most events", found.top_keys(TOP_KEYS), TOP_KEYS)


def _table(shown: Screen, title: str, counts: dict[str, int], most: int) -> None:
    if counts:
        shown.line((title, "dim"))
    for name, count in list(counts.items())[:most]:
        shown.line((f"{count:>12,}  ", ""), (name, "cyan"))
    if len(counts) > most:
        shown.line((f"              … and {len(counts) - most:,} more", "dim"))
