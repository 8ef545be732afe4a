"""What `run` and `resume` have in common: signals, output, and the last line."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import typer

from durproj.cli.failures import failure
from durproj.cli.reporter import Reporter, command_for
from durproj.cli.signals import stoppable
from durproj.errors import (
    BadEvent,
    DurprojError,
    Interrupted,
    PastChanged,
    StepFailed,
    TooManyErrors,
)
from durproj.render import Screen
from durproj.runtime.observer import Stop


@contextmanager
def running(screen: Screen, store: str) -> Iterator[tuple[Reporter, Stop]]:
    """The observer and the stop of one run over `store`. What the reducer prints goes to standard
    error. With `--json` the last line is a summary whatever happens, and its exit code is true; it is 1
    when streams are parked or events were skipped."""
    reporter = Reporter(screen)
    code = 0
    gc.freeze()
    try:
        with stoppable() as stop, redirect_stdout(sys.stderr):
            yield reporter, stop
        code = 0 if reporter.counts.clean else 1
    except Exception as error:
        code = failure(error).exit_code
        if isinstance(error, DurprojError):
            error.hint = _hint(error, reporter, store)
        raise
    finally:
        reporter.close(code)
        screen.flush()
    if code:
        raise typer.Exit(code)


def _hint(error: DurprojError, reporter: Reporter, store: str) -> str:
    """What to do about `error`, with the very commands where there are any."""
    if isinstance(error, Interrupted):
        return f"go on with: {reporter.way_on}"
    ways = [error.hint] if error.hint else []
    if isinstance(error, StepFailed):
        ways.append(f"the steps before it are safe; fix the cause, then: {reporter.way_on}")
    elif isinstance(error, TooManyErrors):
        ways.append(f"to go on: {reporter.way_on}")
    elif isinstance(error, BadEvent) and not ways:
        ways.append("mend the line, or leave such lines out: --on-bad-line skip")
    elif isinstance(error, PastChanged) and error.step:
        command = command_for(store, "rewind", f"{error.id}#{error.step - 1}")
        ways.append(f"to rewind:  {command}")
    return "\n".join(ways)
