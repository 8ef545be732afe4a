"""What `run` and `resume` have in common: signals, output, and the last line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from durproj.cli.failures import failure
from durproj.cli.reporter import Reporter, resume_command
from durproj.cli.signals import stoppable
from durproj.errors import Interrupted, StepFailed
from durproj.render import Screen
from durproj.runtime.observer import Stop


@contextmanager
def running(screen: Screen, store: str) -> Iterator[tuple[Reporter, Stop]]:
    """The observer and the stop of one run over `store`. What the reducer prints goes to standard
    error. With `--json` the last line is a summary whatever happens, and its exit code is true."""
    reporter = Reporter(screen)
    code = 0
    try:
        with stoppable() as stop, redirect_stdout(sys.stderr):
            yield reporter, stop
    except Exception as error:
        code = failure(error).exit_code
        if isinstance(error, Interrupted):
            error.hint = f"go on with: {resume_command(store)}"
        elif isinstance(error, StepFailed) and not error.hint:
            error.hint = (
                f"the steps before it are safe; mend the cause, then: {resume_command(store)}"
            )
        raise
    finally:
        reporter.close(code)
        screen.flush()
