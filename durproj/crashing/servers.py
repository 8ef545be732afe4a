"""The processes that runs are forked from, each with a hash seed of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from durproj import codec
from durproj.crashing.prepared import Answer
from durproj.errors import Interrupted, StoreError
from durproj.runtime.observer import Stop

SEEDS = "1", "1", "2", "3", "4", "5", "6"
"""Hash seeds. Two values in a set come in one order or the other: five more seeds than the first overlook
one set in 32. The second process differs from the first in nothing but where things lie in memory."""


class TimeUp(Exception):
    """The time that was given is over."""


class Servers:
    """Processes with the hash seeds SEEDS, each begun when it is first asked; they and what they forked end
    with the context. until: by when (`time.monotonic`) all has to be answered; temporary: where they put what
    is temporary, since who is killed leaves it there."""

    def __init__(self, stop: Stop, until: float, temporary: Path | None = None) -> None:
        self._stop, self.until = stop, until
        self._environment = {"TMPDIR": os.path.abspath(temporary)} if temporary else {}
        self._path = [os.path.abspath(entry) for entry in sys.path]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them, and whatever they have begun."""
        for process in self._processes.values():
            if process.returncode is None:  # else its number may be another's by now
                _kill(process)
            process.communicate()
        self._processes = {}

    def begin(self, numbers: Iterable[int] = range(len(SEEDS))) -> None:
        """Begin these, all at the same time, so that none has to be waited for when it is asked."""
        for number in numbers:
            if number not in self._processes:
                self._processes[number] = _process(SEEDS[number], self._environment)

    def left(self) -> float:
        """How many seconds are left."""
        return max(0.0, self.until - time.monotonic())

    def check(self) -> None:
        """Raise Interrupted or TimeUp if it is time to end."""
        self._stop.check()
        if time.monotonic() >= self.until:
            raise TimeUp

    def ask(self, number: int, **task: Any) -> Answer:
        """What process `number` (any; they are taken in turn) answers to a task."""
        return self.ask_all([(number, task)])[0]

    def ask_all(self, tasks: Sequence[tuple[int, Answer]]) -> list[Answer]:
        """The same of several tasks, for a process each, that are begun at the same time. Raises TimeUp,
        Interrupted, StoreError when something ended such a process."""
        numbers = [number % len(SEEDS) for number, _ in tasks]
        self.begin(numbers)
        chosen = [self._processes[number] for number in numbers]
        for process, (_, task) in zip(chosen, tasks, strict=True):
            assert process.stdin
            with suppress(BrokenPipeError):  # it has ended, and so have its answers
                process.stdin.write(codec.encode({**task, "path": self._path}) + b"\n")
                process.stdin.flush()
        return [codec.decode(self._line(process)) for process in chosen]

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout
        try:
            while True:
                self.check()
                with self._stop.waiting():
                    if select.select([process.stdout], [], [], min(self.left(), 1.0))[0]:
                        break
        except Interrupted:
            self.close()
            raise
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _ended(process)
        return line


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and what it forked: each leads a group of its own."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _ended(process: subprocess.Popen[bytes]) -> StoreError:
    code = process.wait()
    _kill(process)  # what it forked; at once, while no other can have its number yet
    ending = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return StoreError(
        f"the process that runs are forked from {ending}",
        "was there too little memory, or did the reducer end it?",
    )


def _process(seed: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    own = str(Path(__file__).parents[2])
    paths = os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "durproj.crashing.prepared"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
        # A ^C is for the one who asks, who sees to it that all end.
        process_group=0,
    )
