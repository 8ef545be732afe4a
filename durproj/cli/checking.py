"""What `verify` and `crashtest` have in common: a bar, signals, and a report that tells of a sudden end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from durproj.cli.progress import Bar
from durproj.cli.signals import stoppable
from durproj.errors import DurprojError, Interrupted
from durproj.render import Screen
from durproj.runtime.observer import Stop

if TYPE_CHECKING:
    from durproj.cli.junit import Report


@contextmanager
def watched(
    screen: Screen, report: Report | None, doing: tuple[str, str], stopped: str
) -> Iterator[tuple[Stop, Bar | None]]:
    """What stops it, and the bar that shows how far it has come, if there is to be one. What reducers
    print goes to standard error. What ends it early is written to the report, too. doing: what it does, and
    to what; stopped: what is said when a signal ends it."""
    stream = None if screen.style.json else screen.progress_stream()
    bar = Bar(screen, stream, *doing) if stream else None
    try:
        with stoppable() as stop, redirect_stdout(sys.stderr):
            yield stop, bar
    except Interrupted as error:
        error.message, error.hint = stopped, ""
        raise
    except DurprojError as error:
        if report:
            report.failed(error.message)
        raise
    finally:
        if bar:
            bar.hide()
