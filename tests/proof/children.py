"""Processes of the proofs. They are forked, so that durproj need not be imported again: an act of this
program or the command line, let run to its end or killed before."""

from __future__ import annotations

import fcntl
import gc
import importlib
import io
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from conftest import Result, environment
from forked import import_all

PATIENCE_S = 100.0
"""How long a child may take that is to end by itself: far more than it ever takes."""

FAILED = 99
"""The exit code of a child in which an act failed; none of durproj's."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

COLUMNS = 100
"""The width of a child's terminal."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code (-n: signal n killed it), what it wrote to standard output and to
    standard error."""

    code: int
    out: bytes
    err: bytes

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def lines(self) -> list[bytes]:
        """The whole lines of standard output."""
        return self.out.split(b"\n")[:-1]

    def expect(self, *codes: int) -> Ended:
        """It ended with one of these codes."""
        assert self.code in codes, (self.code, self.err.decode(errors="replace")[-1500:])
        return self

    def result(self) -> Result:
        """The same as text, all of which has to be UTF-8."""
        return Result(self.code, self.out.decode(), self.err.decode())


class Child:
    """A process that does `act` and ends. stdin: a descriptor it reads (None: there is nothing). at_once:
    what it prints is out at once. terminal: its standard streams are one terminal; all that it prints counts
    as standard output."""

    def __init__(
        self,
        act: Callable[[], object],
        stdin: int | None = None,
        *,
        at_once: bool = True,
        terminal: bool = False,
    ) -> None:
        out, err = _terminal() if terminal else os.pipe(), os.pipe()
        sys.stdout.flush()  # else the child has it in its buffers, too
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Python warns of forking beside threads, as pytest has them. The child needs none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            # A signal that comes at once must not meet the child in what it is a copy of.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            self.pid = os.fork()
        if not self.pid:
            streams = (out[1], out[1], out[1]) if terminal else (stdin, out[1], err[1])
            _be(act, streams, at_once=at_once)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(out[1])
        os.close(err[1])
        self.out, self._err = out[0], err[0]
        self._read: dict[int, bytes] = {self.out: b"", self._err: b""}
        self._open = {self.out, self._err}
        self._ended: Ended | None = None
        self._hung_up = False

    def kill(self, signum: int = signal.SIGKILL) -> None:
        if self._ended is None:
            os.kill(self.pid, signum)

    def hang_up(self) -> None:
        """Read its standard output no more."""
        os.close(self.out)
        self._open.remove(self.out)
        self._hung_up = True

    def runs(self, seconds: float = 0.0) -> bool:
        """Whether it still runs after so many seconds."""
        self._take(lambda: False, seconds)
        return bool(self._open)

    def begins(self) -> None:
        """Wait until it has written something to standard output, or has ended."""
        self._take(lambda: self._read[self.out], PATIENCE_S)

    def until(self, holds: Callable[[bytes], object], seconds: float = PATIENCE_S) -> bytes:
        """Wait until `holds` of what it wrote to standard output; that. It must not end before."""
        self._take(lambda: holds(self._read[self.out]), seconds)
        assert holds(self._read[self.out]), (self._read[self.out][-500:], self._read[self._err])
        return self._read[self.out]

    def heard(self, words: bytes) -> None:
        """Wait until it has written `words` to standard error. It must not end before."""
        self._take(lambda: words in self._read[self._err], PATIENCE_S)
        assert words in self._read[self._err], self._read[self._err]

    def end(self, seconds: float | None = None) -> Ended:
        """Let it run to its end, or, with `seconds`, for so long at most, and then kill it."""
        if self._ended is None:
            patience = PATIENCE_S if seconds is None else seconds
            late = self.runs(patience)
            if late:
                self.kill()
                self._take(lambda: False, PATIENCE_S)
            self._ended = self._reaped()
            assert not (late and seconds is None), f"it did not end: {self._ended}"
        return self._ended

    def _take(self, enough: Callable[[], object], seconds: float) -> None:
        """Take in what it writes until that is enough, it has ended or the time is over."""
        deadline = time.monotonic() + seconds
        while self._open and not enough():
            ready = select.select(list(self._open), [], [], max(0.0, deadline - time.monotonic()))[
                0
            ]
            for pipe in ready:
                try:
                    chunk = os.read(pipe, 65536)
                except OSError:  # Linux says EIO when a terminal's last writer has gone
                    chunk = b""
                self._read[pipe] += chunk
                if not chunk:
                    self._open.remove(pipe)
            if not ready:
                return

    def _reaped(self) -> Ended:
        status = os.waitpid(self.pid, 0)[1]
        for pipe in (self.out, self._err)[self._hung_up :]:
            os.close(pipe)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, self._read[self.out], self._read[self._err])


def begin(
    args: Sequence[object],
    folder: Path,
    stdin: int | None = None,
    *,
    env: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
    at_once: bool = True,
    terminal: bool = False,
) -> Child:
    """`durproj *args` in `folder`, the command line from its entry point on. `before` is done in that
    process first; the rest is as for Child."""
    _import_everything()

    def act() -> None:
        from durproj.cli.app import main

        _settle(folder, env or {})
        if terminal:
            del os.environ["COLUMNS"]  # the size is the terminal's to tell
        warnings.resetwarnings()
        sys.argv = ["durproj", *map(str, args)]
        sys.path.insert(0, os.getcwd())
        before()
        main()

    return Child(act, stdin, at_once=at_once, terminal=terminal)


def command(args: Sequence[object], folder: Path, **how: Any) -> Result:
    """`durproj *args` in `folder`: how it ended. how: as for `begin`."""
    return begin(args, folder, at_once=False, **how).end().result()


def run(act: Callable[[], object], folder: Path) -> Result:
    """`act` in a forked process, in `folder`: how it ended."""

    def within() -> None:
        _settle(folder, {})
        act()

    return Child(within, at_once=False).end().result()


@cache
def _import_everything() -> None:
    """So that no child has to."""
    # pyarrow has threads of its own, which a fork leaves behind.
    import_all(but=("durproj.exports.parquet_file",))
    for name in ("rich.console", "rich.text", "rich.progress", "rich.live", "sqlite_utils"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _terminal() -> tuple[int, int]:
    """The two ends of a new terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    return leader, follower


def _settle(folder: Path, env: Mapping[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment(**env))


def _be(
    act: Callable[[], object], streams: tuple[int | None, int, int], *, at_once: bool
) -> NoReturn:
    """Do `act` as a process of its own would, and end."""
    code = FAILED
    # What the caller left to be collected would close descriptors that are others by now.
    gc.freeze()
    try:
        _take_streams(streams, at_once=at_once)
        for signum in SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        act()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        # What was run may have closed them; the child must not go on in the caller's place.
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)


def _take_streams(streams: tuple[int | None, int, int], *, at_once: bool) -> None:
    """Let these be the standard streams, as an interpreter opens them; at_once: as with -u."""
    stdin, *outs = streams
    if stdin is None:
        stdin = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((stdin, *outs)):
        os.dup2(descriptor, number)
    os.closerange(3, 1024)
    sys.stdin = sys.__stdin__ = open(  # noqa: SIM115
        0, encoding="utf-8", errors="surrogateescape", closefd=False
    )
    for number, name, errors in (
        (1, "stdout", "surrogateescape"),
        (2, "stderr", "backslashreplace"),
    ):
        raw: Any = open(number, "wb", buffering=0 if at_once else -1, closefd=False)  # noqa: SIM115
        by_line = number == 2 or os.isatty(number)
        stream = io.TextIOWrapper(
            raw, "utf-8", errors, line_buffering=by_line, write_through=at_once
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
