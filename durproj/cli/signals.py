"""Signals: the first one lets the step in hand finish, the second one leaves at once. A wait for input,
which may never come, ends with the first."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from durproj.errors import Interrupted
from durproj.runtime.observer import Stop

_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A Stop that INT, TERM and HUP set for as long as the context lasts."""
    stop = Stop()

    def ask(signum: int, _frame: FrameType | None) -> None:
        if stop.signum:
            os._exit(128 + signum)
        stop.signum = signum
        if stop.interruptible:
            raise Interrupted(signum)
        # On a terminal it takes the place of the ^C, or of a progress bar.
        start = b"\r\x1b[K" if os.isatty(2) else b""
        with suppress(OSError):  # nobody may be listening
            os.write(
                2, start + b"durproj: finishing the step in hand; once more to leave at once\n"
            )

    # A shell's nohup or & has them ignored already, and so they stay.
    before = {number: signal.getsignal(number) for number in _ASKED}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
