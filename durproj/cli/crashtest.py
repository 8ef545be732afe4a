"""durproj crashtest: whether a log and its reducer survive crashes."""

from __future__ import annotations

import os
import time as clock
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from durproj.cli.options import (
    MAX_LINE,
    ArrayOption,
    ColorOption,
    DataOption,
    EventIdOption,
    EventsArgument,
    FormatOption,
    InitialOption,
    JqOption,
    JsonOption,
    JunitOption,
    KeyOption,
    MaxLineOption,
    OnBadLineOption,
    OnErrorOption,
    QuietOption,
    SeqOption,
    StableOption,
    StrictTypesOption,
    TimeOption,
    TypeOption,
    UserOption,
    asked_format,
    finite,
    named_reducer,
    screen,
)

# Those of `run` go on with what the same fold was begun with; here nothing was begun.
ReducerOption = Annotated[
    str | None,
    typer.Option(
        "--reducer",
        metavar="REF",
        help="account (by default), counts, merge, FILE.py:NAME or MODULE:NAME of a function or of handlers by"
        " type.",
    ),
]
NoKeyOption = Annotated[
    str | None,
    typer.Option(
        "--no-key",
        metavar="error|skip|KEY",
        help="What to do with a line that has no key; error by default.",
    ),
]
OrderOption = Annotated[
    Literal["file", "time", "seq"] | None,
    typer.Option(
        "--order",
        help="Take the events of a stream as they stand (by default), or by their time or sequence number.",
    ),
]
DedupeOption = Annotated[
    Literal["none", "id"] | None,
    typer.Option(
        "--dedupe",
        help="id: drop an event that comes again in its stream, refuse another one with its id; none by"
        " default.",
    ),
]
Levels = Annotated[
    list[str] | None,
    typer.Option(
        "--durability",
        metavar="LEVEL",
        help="The level to test: step, fsync or batch; may be repeated. By default step and batch.",
    ),
]


def crashtest(
    events: EventsArgument = None,
    user: UserOption = None,
    reducer: ReducerOption = None,
    jq: JqOption = None,
    initial: InitialOption = None,
    durability: Levels = None,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=0, help="How many random crash runs to try.")
    ] = 20,
    seed: Annotated[
        str | None,
        typer.Option(
            "--seed",
            metavar="S",
            help="Try this one crash run only: the number of a random one, or what a failure named.",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            metavar="S",
            callback=finite,
            help="How long it may take; if the log is too long, samples from all over it are tested.",
        ),
    ] = 60.0,
    allow_mutation: Annotated[
        bool,
        typer.Option(
            "--allow-mutation", help="Let the reducer change the state that it is given in place."
        ),
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep",
            metavar="DIR",
            help="Where to put stores and logs; they are kept if something is wrong, for CI to collect.",
        ),
    ] = None,
    junit: JunitOption = None,
    key: KeyOption = None,
    type: TypeOption = None,
    id: EventIdOption = None,
    time: TimeOption = None,
    data: DataOption = None,
    seq: SeqOption = None,
    format: FormatOption = "auto",
    array: ArrayOption = False,
    no_key: NoKeyOption = None,
    order: OrderOption = None,
    dedupe: DedupeOption = None,
    on_error: OnErrorOption = "stop",
    on_bad_line: OnBadLineOption = "stop",
    max_line: MaxLineOption = MAX_LINE,
    strict_types: StrictTypesOption = False,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Kill runs of a log at every commit, at random and in back-off, resume them, and compare.

    Your stores are not touched: it works in a folder of its own. Without EVENTS it reads DURPROJ_EVENTS, else
    a packaged sample. Whatever else the reducer does, such as writing a file, is done many times. Exit 1 when
    anything differs, when the reducer is not pure, and when not enough was tested: the log has no events, or
    there was no time for every kind of crash at every level. Then give it more --seconds.
    """
    from durproj.cli.checking import watched
    from durproj.cli.junit import Report
    from durproj.cli.verdicts import cases_of, verdict
    from durproj.crashing.crashtest import crashtest as records
    from durproj.events.formats.mapping import Mapping
    from durproj.history.inputs import refuse_read
    from durproj.projections.reducer import JQ, MISSING, parse_initial

    inputs = events or os.environ.get("DURPROJ_EVENTS", "").split(os.pathsep)
    report = None
    if junit:
        references = [reducer or "", "" if jq is None else f"{JQ}{jq}"]
        refuse_read(filter(None, inputs), references, str(junit), f"--junit {junit}")
        report = Report(junit, "crashtest", "log")
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    began = clock.monotonic()
    kept: list[dict[str, Any]] = []
    with watched(shown, report, ("crashing", "lives"), "stopped before everything was tested") as (
        stop,
        bar,
    ):
        for record in records(
            [name for name in inputs if name] or None,
            reducer=named_reducer(reducer, jq) or "account",
            initial=MISSING if initial is None else parse_initial(initial),
            keys=user,
            mapping=Mapping(key, type, id, time, data, seq, asked_format(format, array)),
            no_key=no_key,
            order=order,
            dedupe=dedupe,
            on_error=on_error,
            on_bad_line=on_bad_line,
            max_line=max_line,
            strict_types=strict_types,
            durability=cast("Any", durability) or None,
            seeds=seeds,
            seed=seed,
            seconds=seconds,
            allow_mutation=allow_mutation,
            keep=keep,
            progress=bar.advance_of if bar else None,
            stop=stop,
        ):
            if stable and (folder := record.pop("kept", None)):
                record["reproduce"] = record["reproduce"].replace(f"{folder}{os.sep}", "")
            kept.append(record)
            if bar:
                bar.hide()
            if json:
                timing = {"timing": {"seconds": round(clock.monotonic() - began, 3)}}
                shown.record(record | (timing if record["type"] == "summary" else {}))
            else:
                for line in verdict(record):
                    shown.line(*line)
    if report:
        report.write(cases_of(kept))
    shown.flush()
    if kept[-1]["exit"]:
        raise typer.Exit(1)
