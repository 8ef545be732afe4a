"""durproj run: fold a log."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal

import typer

from durproj.cli.options import (
    ArrayOption,
    ColorOption,
    FormatOption,
    JsonOption,
    QuietOption,
    SeqOption,
    StableOption,
    StoreOption,
    UserOption,
    VerboseOption,
    WaitOption,
    asked_format,
    finite,
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
    events: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EVENTS]...",
            help="JSON-lines files, globs, or - for standard input; gzip and zstd are read as they are."
            " Other files: --array, --format csv, --format xes.",
        ),
    ] = None,
    user: UserOption = None,
    reducer: Annotated[
        str | None,
        typer.Option(
            "--reducer",
            metavar="REF",
            help="account, counts, merge, FILE.py:NAME or MODULE:NAME of a function or of handlers by"
            " type; by default the one that the same fold was begun with, else account.",
        ),
    ] = None,
    jq: Annotated[
        str | None,
        typer.Option(
            "--jq",
            metavar="PROGRAM",
            help="A jq program as the reducer, or @FILE: its input {state, event}, its output the next"
            " state.",
        ),
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            "--initial", metavar="JSON", help="The initial state, instead of the reducer's own."
        ),
    ] = None,
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
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="PATH",
            help="Where a line has the key that tells streams apart; items[].id for many, a|b for the"
            " first that is there.",
        ),
    ] = None,
    type: Annotated[
        str | None,
        typer.Option("--type", metavar="PATH", help="Where a line has the event's type."),
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="PATH", help="Where a line has the event's id.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="PATH", help="Where a line has the event's time."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH", help="Where a line has the event's payload."),
    ] = None,
    seq: SeqOption = None,
    format: FormatOption = "auto",
    array: ArrayOption = False,
    no_key: Annotated[
        str | None,
        typer.Option(
            "--no-key",
            metavar="error|skip|KEY",
            help="What to do with a line that has no key; by default what the same fold was begun with,"
            " else error.",
        ),
    ] = None,
    order: Annotated[
        Literal["file", "time", "seq"] | None,
        typer.Option(
            "--order",
            help="Take the events of a stream as they stand, or by their time or sequence number; by default"
            " as the same fold was begun, else file.",
        ),
    ] = None,
    dedupe: Annotated[
        Literal["none", "id"] | None,
        typer.Option(
            "--dedupe",
            help="id: drop an event that comes again in its stream, refuse another one with its id; by"
            " default as the same fold was begun, else none.",
        ),
    ] = None,
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
    max_line: Annotated[
        int, typer.Option("--max-line", metavar="BYTES", min=1, help="The longest line to accept.")
    ] = 16 << 20,
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
    on_error: Annotated[
        Literal["stop", "park", "skip"],
        typer.Option(
            "--on-error",
            help="When an event fails for good: stop, park its stream and go on, or skip the event.",
        ),
    ] = "stop",
    on_bad_line: Annotated[
        Literal["stop", "skip"],
        typer.Option("--on-bad-line", help="When a line is no event: stop, or leave it out."),
    ] = "stop",
    max_errors: Annotated[
        int | None,
        typer.Option(
            "--max-errors",
            metavar="N",
            min=0,
            help="Stop when more than N events are parked or skipped.",
        ),
    ] = None,
    strict_types: Annotated[
        bool,
        typer.Option("--strict-types", help="Let events of types unknown to the reducer fail."),
    ] = False,
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
            reducer=_named_reducer(reducer, jq),
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


def _named_reducer(reducer: str | None, jq: str | None) -> str | None:
    """The reference that either option gives."""
    from durproj.errors import UsageError

    if jq is None:
        return reducer
    if reducer is not None:
        raise UsageError("--jq and --reducer both name a reducer", "give one of them")
    return f"jq:{jq}"


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
