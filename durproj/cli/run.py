"""durproj run: fold a log."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal

import typer

from durproj.cli.options import (
    MAX_LINE,
    ArrayOption,
    ColorOption,
    DataOption,
    DedupeOption,
    EventIdOption,
    EventsArgument,
    FormatOption,
    InitialOption,
    JqOption,
    JsonOption,
    KeyOption,
    MaxLineOption,
    NoKeyOption,
    OnBadLineOption,
    OnErrorOption,
    OrderOption,
    QuietOption,
    ReducerOption,
    SeqOption,
    StableOption,
    StoreOption,
    StrictTypesOption,
    TimeOption,
    TypeOption,
    UserOption,
    VerboseOption,
    WaitOption,
    asked_format,
    finite,
    named_reducer,
    screen,
    store_path,
)

Durability = Annotated[
    Literal["step", "fsync", "batch"],
    typer.Option(
        "--durability",
        help="step survives kill -9, fsync a power cut; batch repeats up to 1,000 steps.",
    ),
]
Path = Annotated[str | None, typer.Option(metavar="PATH")]


def run(
    events: EventsArgument = None,
    user: UserOption = None,
    reducer: ReducerOption = None,
    jq: JqOption = None,
    initial: InitialOption = None,
    name: Annotated[str, typer.Option("--name", help="The first part of the ids.")] = "projection",
    store: StoreOption = "durproj.db",
    durability: Durability = "step",
    crash: Annotated[
        int | None, typer.Option("--crash", metavar="N", min=0, help="Die at event N, once.")
    ] = None,
    crash_with: Annotated[
        Literal["EXIT", "KILL"], typer.Option("--crash-with", help="How to die.")
    ] = "EXIT",
    fail: Annotated[
        str | None,
        typer.Option(
            "--fail",
            metavar="N[xK]",
            help="Let event N's step fail, K times (once), and be retried.",
        ),
    ] = None,
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
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, help="How often to try again.")
    ] = 4,
    retry_delay: Annotated[
        float,
        typer.Option(
            "--retry-delay",
            metavar="SECONDS",
            min=0,
            callback=finite,
            help="The waits are 2, 4, 8, … times this, at most 30 s.",
        ),
    ] = 1.0,
    retry_any: Annotated[
        bool, typer.Option("--retry-any", help="Try again whatever the error is.")
    ] = False,
    max_line: MaxLineOption = MAX_LINE,
    accept_reducer: Annotated[
        bool,
        typer.Option("--accept-reducer", help="Go on although the reducer's code has changed."),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Drop what was recorded and fold again from the start."),
    ] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            help="Go on with what comes to the input, through rotation, until a signal or the pipe's end.",
        ),
    ] = False,
    rotated: Annotated[
        bool,
        typer.Option(
            "--rotated",
            help="With --follow: another file took the input's place meanwhile, and all of it was read.",
        ),
    ] = False,
    on_error: OnErrorOption = "stop",
    on_bad_line: OnBadLineOption = "stop",
    max_errors: Annotated[
        int | None,
        typer.Option(
            "--max-errors",
            metavar="N",
            min=0,
            help="Stop when more than N events are parked or skipped.",
        ),
    ] = None,
    strict_types: StrictTypesOption = False,
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    color: ColorOption = "auto",
) -> None:
    """Fold the streams of a log into projections, one durable checkpoint per event.

    Without EVENTS it reads DURPROJ_EVENTS, else what the store last read, else a packaged sample.
    """
    from durproj.cli.running import running
    from durproj.errors import UsageError
    from durproj.events.formats.mapping import Mapping
    from durproj.projections.reducer import MISSING, parse_initial
    from durproj.runtime.project import fold
    from durproj.runtime.retry import ANY, TRANSIENT, Exponential

    if rotated and not follow:
        raise UsageError("--rotated says something about --follow", "give --follow, too")
    inputs = events or os.environ.get("DURPROJ_EVENTS", "").split(os.pathsep)
    retry = Exponential(retries=retries, delay_s=retry_delay, on=ANY if retry_any else TRANSIENT)
    shown = screen(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color)
    with running(shown, store) as (reporter, stop):
        counts = fold(
            [name for name in inputs if name] or None,
            keys=user,
            reducer=named_reducer(reducer, jq),
            initial=MISSING if initial is None else parse_initial(initial),
            name=name,
            store=store_path(store),
            mapping=Mapping(key, type, id, time, data, seq, asked_format(format, array)),
            no_key=no_key,
            order=order,
            dedupe=dedupe,
            durability=durability,
            retry=retry,
            max_line=max_line,
            crash=crash,
            crash_with=crash_with,
            fail=_planned_failure(fail),
            accept_reducer=accept_reducer,
            restart=restart,
            follow=follow,
            rotated=rotated,
            on_error=on_error,
            on_bad_line=on_bad_line,
            max_errors=max_errors,
            strict_types=strict_types,
            wait_s=wait,
            observer=reporter,
            stop=stop,
        )
        if not counts.projections:
            reporter.note("nothing to do: there are no events")
        if crash is not None:
            reporter.note(
                f"--crash {crash}: no stream came to event {crash}, or it crashed there before"
            )


def _planned_failure(text: str | None) -> tuple[int, int] | None:
    """`5x3` as (5, 3)."""
    from durproj.errors import UsageError

    if text is None:
        return None
    match = re.fullmatch("([0-9]{1,15})(?:x([0-9]{1,6}))?", text)
    if not match:
        raise UsageError(
            f"--fail {text}: not an event number",
            "write --fail 5, or --fail 5x3 for three failures",
        )
    return int(match[1]), int(match[2] or 1)
