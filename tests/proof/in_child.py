"""Work done in a forked child: what it did to itself is gone with it, and it starts at once."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from conftest import Result, environment

PATIENCE_S = 60.0
"""After this a child counts as one that never ends; a busy machine is no reason to fail."""

CRASHED = 99
"""What a child leaves with when it raised."""


def run(
    act: Callable[[], Any], folder: Path | None = None, patience_s: float = PATIENCE_S, **env: str
) -> Result:
    """`act` in a forked process, in `folder` and with standard streams of its own: how it ended and what
    it printed. Raises AssertionError when it does not end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with warnings.catch_warnings():
            # Other threads of the test runner wait for input of their own; the child never returns.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            _be_the_child(act, folder, (out.fileno(), err.fileno()), env)
        code = _await(child, patience_s)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Result(code, *texts)


def command(args: Sequence[object], folder: Path, **env: str) -> Result:
    """`durproj ARGS` in a forked process: the command line from its entry point on."""
    from durproj.cli.app import main

    def act() -> None:
        sys.argv = ["durproj", *map(str, args)]
        main()

    return run(act, folder, **env)


def _be_the_child(
    act: Callable[[], Any], folder: Path | None, files: tuple[int, int], env: dict[str, str]
) -> None:
    code = CRASHED
    try:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        for stream, file in enumerate(files, 1):
            os.dup2(file, stream)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(environment(**env))
        if folder is not None:
            os.chdir(folder)
        act()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # What was run may have closed them; the child must not go on in the caller's place.
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)


def _await(child: int, patience_s: float) -> int:
    deadline = time.monotonic() + patience_s
    pause = 0.0005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"it had not ended after {patience_s} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
