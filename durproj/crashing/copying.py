"""Copies of inputs that can be read once only, or only by this process: a crash test reads them again and again."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from durproj.errors import OutputFailed
from durproj.events.inputs import is_regular, named
from durproj.events.reader import BLOCK
from durproj.runtime.observer import Stop

_OWN = "/dev/fd/", "/dev/std", "/proc/"
"""So begin the names of what this process has open: for another they are something else."""


def readable_again(paths: Sequence[str], folder: Path, stop: Stop, until: float) -> list[str]:
    """The `paths`, but of standard input, of pipes and of what only this process has open the copies that are
    made in `folder`. What comes after `until` (`time.monotonic`) is left out. Raises NotFound, StoreDenied,
    StoreError, OutputFailed, Interrupted."""
    copies: dict[str, str] = {}
    for path in paths:
        if path not in copies and _once(path):
            copies[path] = str(folder / f"input-{len(copies)}")
            _copy(path, copies[path], stop, until)
    return [copies.get(path, path) for path in paths]


def _once(path: str) -> bool:
    if path == "-":
        return True
    if not os.path.exists(path) or os.path.isdir(path):
        return False  # a glob, or for the fold to refuse
    return path.startswith(_OWN) or not is_regular(path)


def _copy(path: str, to: str, stop: Stop, until: float) -> None:
    try:
        with closing(_blocks(path, stop, until)) as blocks, open(to, "wb") as copy:
            copy.writelines(blocks)
    except OSError as error:  # of the copy: those of the input have been named
        raise OutputFailed(f"{to}: the input cannot be copied: {error.strerror}") from None


def _blocks(path: str, stop: Stop, until: float) -> Generator[bytes, None, None]:
    with named(path), _opened(path) as file:
        while (left := until - time.monotonic()) > 0:
            with stop.waiting():
                ready, _, _ = select.select([file], [], [], min(left, 1.0))
            block = file.read1(BLOCK) if ready else None
            if block == b"":
                return
            yield block or b""


@contextmanager
def _opened(path: str) -> Iterator[BufferedReader]:
    if path == "-":
        yield cast("BufferedReader", sys.stdin.buffer)
        return
    # To wait for who writes to a FIFO is for `select`, which does not wait for ever.
    with open(path, "rb", opener=lambda name, how: os.open(name, how | os.O_NONBLOCK)) as file:
        os.set_blocking(file.fileno(), True)
        yield file
