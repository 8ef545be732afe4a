"""The command line in a forked child: what `python -m durproj` does, without starting an interpreter."""

from __future__ import annotations

import fcntl
import gc
import importlib
import io
import os
import pkgutil
import pty
import selectors
import signal
import struct
import sys
import termios
import traceback
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from conftest import Result, environment

import durproj

PATIENCE_S = 100
"""A command that takes longer hangs: it is killed, and its code is -14."""

_OPTIONAL = ("durproj.exports.parquet_file", "durproj.pytest_plugin", "durproj.__main__")


def command(
    folder: Path,
    *args: object,
    env: Mapping[str, str] | None = None,
    terminal: bool = False,
    columns: int = 100,
    prepare: Callable[[], None] | None = None,
) -> Result:
    """Run `durproj ARGS` in `folder`: how it ended. terminal: its standard streams are one terminal, and
    all that it printed is in `out`. prepare: called in the child, before the command begins."""
    _import_everything()
    out, err = _Ends.terminal(columns) if terminal else _Ends.pipe(), _Ends.pipe()
    with warnings.catch_warnings():
        # Of threads in a process that forks: the child uses nothing of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        if prepare:
            prepare()
        _be_the_command(folder, [*map(str, args)], env or {}, out, out if terminal else err)
    os.close(out.inner)
    os.close(err.inner)
    printed = _taken(out.outer, err.outer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Result(code, *(text.decode() for text in printed))


class _Ends:
    """The two ends of a pipe or of a terminal."""

    def __init__(self, outer: int, inner: int) -> None:
        self.outer, self.inner = outer, inner

    @classmethod
    def pipe(cls) -> _Ends:
        return cls(*os.pipe())

    @classmethod
    def terminal(cls, columns: int) -> _Ends:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        return cls(leader, follower)


@cache
def _import_everything() -> None:
    """So that no child has to."""
    for module in pkgutil.walk_packages(durproj.__path__, "durproj."):
        if module.name not in _OPTIONAL:
            importlib.import_module(module.name)
    for name in ("rich.console", "rich.text", "rich.progress", "rich.live", "sqlite_utils"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _taken(*outer: int) -> list[bytes]:
    """Everything that comes out of the ends, each closed at its end."""
    taken = {end: bytearray() for end in outer}
    with selectors.DefaultSelector() as waiting:
        for end in outer:
            waiting.register(end, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select():
                try:
                    block = os.read(key.fd, 1 << 16)
                except OSError:  # Linux says EIO when a terminal's last writer has gone
                    block = b""
                taken[key.fd] += block
                if not block:
                    waiting.unregister(key.fd)
                    os.close(key.fd)
    return [bytes(taken[end]) for end in outer]


def _be_the_command(
    folder: Path, args: list[str], env: Mapping[str, str], out: _Ends, err: _Ends
) -> NoReturn:
    code = 70
    try:
        signal.alarm(PATIENCE_S)
        os.chdir(folder)
        settings = environment(**env)
        if os.isatty(out.inner):
            del settings["COLUMNS"]  # the size is the terminal's to tell
        os.environ.clear()
        os.environ.update(settings)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, end in enumerate((out.inner if out is err else nothing, out.inner, err.inner)):
            os.dup2(end, number)
        for end in {out.outer, out.inner, err.outer, err.inner, nothing}:
            os.close(end)
        code = _main(args)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _main(args: list[str]) -> int:
    from durproj.cli.app import main

    warnings.resetwarnings()
    sys.argv = ["durproj", *args]
    sys.path[0:0] = [os.getcwd()]
    sys.stdin = sys.__stdin__ = _stream(0, "r", "surrogateescape")
    sys.stdout = sys.__stdout__ = _stream(1, "w", "surrogateescape")
    sys.stderr = sys.__stderr__ = _stream(2, "w", "backslashreplace")
    code: Any = 0
    try:
        main()
    except SystemExit as leave:
        code = leave.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _stream(number: int, mode: str, errors: str) -> Any:
    """A standard stream, as an interpreter opens it."""
    buffered = open(number, f"{mode}b", closefd=False)  # noqa: SIM115
    lines = number == 2 or os.isatty(number)
    return io.TextIOWrapper(buffered, "utf-8", errors, line_buffering=lines)
