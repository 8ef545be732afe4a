"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from durproj import __version__
from durproj.cli.backup import backup
from durproj.cli.doctor import doctor
from durproj.cli.gc import gc
from durproj.cli.inspect import inspect
from durproj.cli.listing import list_workflows
from durproj.cli.parked import app as parked
from durproj.cli.resume import resume
from durproj.cli.rewind import rewind
from durproj.cli.run import run
from durproj.cli.stats import stats

# Without Rich's help pages: they triple the time that a usage error takes.
app = typer.Typer(
    name="durproj", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"durproj {__version__}")
        raise typer.Exit


@app.callback()
def durproj(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Fold JSON-lines event logs into projections, one durable checkpoint per event."""


app.command()(run)
app.command()(resume)
app.command()(inspect)
app.command("list")(list_workflows)
app.command()(rewind)
app.add_typer(parked)
app.command()(gc)
app.command()(backup)
app.command()(stats)
app.command()(doctor)
