"""What `run` and `resume` have in common: signals, output, and the last line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from durproj.cli.reporter import Reporter, resume_command
from durproj.cli.signals import stoppable
from durproj.errors import DurprojError, Interrupted
from durproj.render import Screen
from durproj.runtime.observer import Stop


@contextmanager
def running(screen: Screen) -> Iterator[tuple[Reporter, Stop]]:
    """The observer and the stop of one run. What the reducer prints goes to standard error."""
    reporter = Reporter(screen)
    code = 70
    try:
        with stoppable() as stop, redirect_stdout(sys.stderr):
            yield reporter, stop
        code = 0
    except Interrupted as interrupted:
        code = interrupted.exit_code
        interrupted.hint = f"go on with: {resume_command(reporter.store)}"
        raise
    except DurprojError as error:
        code = error.exit_code
        raise
    finally:
        reporter.close(code)
        screen.flush()
