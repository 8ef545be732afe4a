"""Doing something in a process of its own, a fork of this one, that may end in any way."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import NamedTuple

from durproj.runtime.attempts import describe

FAILED = 70
"""The exit code of a process whose work raised."""


class Child(NamedTuple):
    """A process that is at work: its number, and where what it says can be read until it ends."""

    pid: int
    reading: int


def fork(act: Callable[[int], object]) -> Child:
    """Do `act` in a forked process, given where it may write what is to be said. It ends with 0, or FAILED
    when `act` raised: it then says what."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else the child has it in its buffers, too
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forking beside other threads, as pytest-xdist and pytest-timeout have them.
        # These wait for input or a lock of their own; the child uses nothing of theirs, and never
        # returns.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _be_the_child(act, writing)
    os.close(writing)
    return Child(pid, reading)


def ended_already(child: Child) -> int | None:
    """As `ended`, but None while it is at work; what it said can be read still."""
    pid, status = os.waitpid(child.pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def ended(child: Child) -> int:
    """How it ended, waiting for that: its exit code, or -n when signal n killed it."""
    os.close(child.reading)
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])


def in_a_child(act: Callable[[], object]) -> tuple[int, str]:
    """Do `act` in a forked process: how it ended (-n: signal n killed it), and what it failed with."""
    child = fork(lambda _: act())
    try:
        with open(child.reading, "rb", closefd=False) as pipe:
            said = pipe.read().decode(errors="replace")
    except BaseException:
        os.kill(child.pid, signal.SIGKILL)
        ended(child)
        raise
    return ended(child), said


def _be_the_child(act: Callable[[int], object], writing: int) -> None:
    code = FAILED
    try:
        act(writing)
        code = 0
    except BaseException as error:
        os.write(writing, describe(error).encode(errors="backslashreplace")[:4096])
    finally:
        os._exit(code)
