"""Processes that are there to be killed. They are forked, so that durproj need not be imported again."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from conftest import environment

PATIENCE_S = 100.0
"""How long a child may take that is to end by itself: far more than it ever takes."""

FAILED = 99
"""The exit code of a child in which an act failed; none of durproj's."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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


class Child:
    """A process that does `act` and ends. stdin: a descriptor it reads (None: there is nothing)."""

    def __init__(self, act: Callable[[], object], stdin: int | None = None) -> None:
        out, err = os.pipe(), os.pipe()
        sys.stdout.flush()  # else the child has it in its buffers, too
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Python warns of forking beside threads, as pytest has them. The child needs none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            # A signal that comes at once must not meet the child in what it is a copy of.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            self.pid = os.fork()
        if not self.pid:
            _be(act, stdin, out[1], err[1])
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
                chunk = os.read(pipe, 65536)
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


def command(
    args: Sequence[object],
    cwd: Path,
    stdin: int | None = None,
    env: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
) -> Child:
    """`durproj *args` in the folder `cwd`, unbuffered: what is printed is out at once. `before` is done
    in that process first."""

    def act() -> None:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment(**(env or {})))
        sys.argv[1:] = map(str, args)
        before()
        from durproj.cli.app import main

        main()

    import durproj.cli.run
    import durproj.runtime.project  # noqa: F401 - once here, not in every child

    return Child(act, stdin)


def _be(act: Callable[[], object], stdin: int | None, out: int, err: int) -> NoReturn:
    """Do `act` as a process of its own would, and end."""
    code = FAILED
    try:
        if stdin is None:
            stdin = os.open(os.devnull, os.O_RDONLY)
        for descriptor, number in ((stdin, 0), (out, 1), (err, 2)):
            os.dup2(descriptor, number)
        os.closerange(3, 1024)
        for number, name in ((1, "stdout"), (2, "stderr")):
            # With no buffer in between, as python -u has it.
            raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115
            stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        for signum in SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        act()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 0
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        os._exit(code)
