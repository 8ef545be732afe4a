"""The commands, put together: only the one that is asked for, or all where it takes all to answer."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer

from durproj import __version__

COMMANDS = {
    "run": "run:run",
    "resume": "resume:resume",
    "inspect": "inspect:inspect",
    "list": "listing:list_workflows",
    "log": "log:log",
    "diff": "diff:diff",
    "blame": "blame:blame",
    "find": "find:find",
    "verify": "verify:verify",
    "crashtest": "crashtest:crashtest",
    "compare": "compare:compare",
    "promote": "promote:promote",
    "rewind": "rewind:rewind",
    "fork": "fork:fork",
    "export": "export:export",
    "report": "report:report",
    "gc": "gc:gc",
    "backup": "backup:backup",
    "stats": "stats:stats",
    "doctor": "doctor:doctor",
    "parked": "parked:app",
}
"""By name, in the order of the help page: the module of this package and what it has there, a function
or a Typer of several."""


def command_line(asked: str | None) -> typer.Typer:
    """The command line, with the command `asked`; with all of them when there is none of that name."""
    # Without Rich's help pages: they triple the time that a usage error takes.
    app = typer.Typer(
        name="durproj", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.callback()(durproj)
    # Each command's module and options take time to load, at every start.
    for name in [asked] if asked in COMMANDS else COMMANDS:
        _add(app, name)
    return app


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"durproj {__version__}")
        raise typer.Exit


def durproj(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """Fold JSON-lines event logs into projections, one durable checkpoint per event."""


def _add(app: typer.Typer, name: str) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    command: Any = getattr(import_module(f"durproj.cli.{module}"), attribute)
    if isinstance(command, typer.Typer):
        app.add_typer(command)
    else:
        app.command(name)(command)
