"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from durproj import __version__
from durproj.cli.blame import blame
from durproj.cli.compare import compare
from durproj.cli.diff import diff
from durproj.cli.doctor import doctor
from durproj.cli.export import export
from durproj.cli.find import find
from durproj.cli.fork import fork
from durproj.cli.inspect import inspect
from durproj.cli.listing import list_workflows
from durproj.cli.log import log
from durproj.cli.parked import app as parked
from durproj.cli.promote import promote
from durproj.cli.report import report
from durproj.cli.resume import resume
from durproj.cli.rewind import rewind
from durproj.cli.run import run
from durproj.cli.stats import stats
from durproj.cli.verify import verify

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
app.command()(find)
app.command()(compare)
app.command()(export)
app.command()(log)
app.command()(diff)
app.command()(blame)
app.command()(verify)
app.command()(rewind)
app.command()(report)
app.command()(fork)
app.command()(promote)
app.add_typer(parked)
app.command()(stats)
app.command()(doctor)
