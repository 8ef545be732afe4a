"""durproj resume: go on with what is unfinished."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from durproj.cli.completion import complete_id
from durproj.cli.options import (
    ColorOption,
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


def resume(
    id: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Only these workflows.", autocompletion=complete_id),
    ] = None,
    user: UserOption = None,
    store: StoreOption = "durproj.db",
    durability: Annotated[
        Literal["step", "fsync", "batch"] | None,
        typer.Option("--durability", help="Another one than the run was started with."),
    ] = None,
    accept_reducer: Annotated[
        bool,
        typer.Option("--accept-reducer", help="Go on although the reducer's code has changed."),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Drop what was recorded and fold again from the start."),
    ] = False,
    on_error: Annotated[
        Literal["stop", "park", "skip"] | None,
        typer.Option("--on-error", help="Another choice than the run was started with."),
    ] = None,
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    color: ColorOption = "auto",
) -> None:
    """Go on with every unfinished workflow of the store, as it was started.

    The generator is replayed from the top: finished steps return their cached projection, and work
    goes on at the first step without one. A crash point never fires again.
    """
    from durproj.cli.running import running
    from durproj.runtime.resume import resume as resume_runs

    shown = screen(json=json, stable=stable, quiet=quiet, verbose=verbose, color=color)
    with running(shown, store) as (reporter, stop):
        counts = resume_runs(
            id,
            keys=user,
            store=store_path(store),
            durability=durability,
            accept_reducer=accept_reducer,
            restart=restart,
            on_error=on_error,
            wait_s=wait,
            observer=reporter,
            stop=stop,
        )
        if not counts.projections:
            reporter.note("nothing to resume: every workflow is finished")
