"""Inputs by name: paths, globs, stdin; opened and read as raw blocks."""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from durproj.errors import NotFound, StoreDenied, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durproj.events.spool import Spool

Waiting = Callable[[], AbstractContextManager[None]]


def expand(patterns: Sequence[str]) -> list[str]:
    """The inputs that `patterns` name: paths, globs (each sorted by name) and `-` for stdin.

    A path that exists wins over its meaning as a glob. Raises NotFound for a directory, a missing
    path and a glob without a match, StoreDenied for what may not be read, UsageError for an input
    named twice, whose events would be counted twice.
    """
    paths = [path for pattern in patterns for path in _matches(pattern)]
    known: dict[object, str] = {}
    for path in paths:
        if path != "-" and os.path.isdir(path):
            raise NotFound(
                f"{path} is a directory, not an event log",
                "name the files in it, such as FOLDER/*.jsonl",
            )
        if path != "-" and not os.access(path, os.R_OK):
            raise StoreDenied(f"no permission to read {path}")
        file = identity_of(path)
        if file in known:
            what = "is given twice" if known[file] == path else f"is the same file as {known[file]}"
            raise UsageError(f"{path} {what}; its events would be counted twice")
        known[file] = path
    return paths


def identity_of(path: str) -> object:
    """What is the same for every name of a file, links included."""
    if path == "-":
        return path
    with named(path):
        status = os.stat(path)
    return status.st_dev, status.st_ino


def _matches(pattern: str) -> list[str]:
    if pattern == "-" or os.path.exists(pattern):
        return [pattern]
    if not any(character in pattern for character in "*?["):
        raise NotFound(f"no such file: {pattern}")
    from glob import glob

    found = sorted(path for path in glob(pattern, recursive=True) if not os.path.isdir(path))
    if not found:
        raise NotFound(f"no file matches {pattern}")
    return found


class Pipe:
    """An input that can be read only once; what a sample took from it is kept to be read again.

    waiting: makes the context in which it is opened and read, which may block for good. spool: keeps a
    copy of what was read for good.
    """

    def __init__(self, path: str, block: int, waiting: Waiting = nullcontext) -> None:
        self._path = path
        self._block = block
        self._waiting = waiting
        self._file: Any = None
        self._ended = False
        self._kept: list[bytes] = []
        self._again: deque[bytes] = deque()
        self.spool: Spool | None = None

    def rewind(self) -> None:
        """Let the next `blocks` begin with what was kept."""
        self._again.extendleft(reversed(self._kept))
        self._kept = []

    def blocks(self, keep: bool) -> Iterator[bytes]:
        """What comes next, as soon as it is there; with `keep`, to be had again by `rewind`."""
        while block := self._next():
            if keep:
                self._kept.append(block)
            elif self.spool:
                self.spool.write(block)
            yield block
        if self.spool and not keep:
            self.spool.end()
            self.spool = None

    def _next(self) -> bytes:
        if self._again:
            return self._again.popleft()
        if self._ended:
            return b""
        with named(self._path), self._waiting():
            if self._file is None:
                # Stays open between a sample and the pass, until its end.
                self._file = sys.stdin.buffer if self._path == "-" else open(self._path, "rb")  # noqa: SIM115
            block: bytes = self._file.read1(self._block)
            if not block:
                self._ended = True
                if self._path != "-":
                    self._file.close()
            return block


@contextmanager
def named(path: str) -> Iterator[None]:
    """Operating system errors as durproj's own, naming the input."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from None
    except PermissionError:
        raise StoreDenied(f"no permission to read {path}") from None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from None


def is_regular(path: str) -> bool:
    """Whether `path` is a regular file, which can be read again and again."""
    if path == "-":
        return False
    with named(path):
        return stat.S_ISREG(os.stat(path).st_mode)


def first_bytes(path: str) -> bytes:
    """The first 8 bytes of the file `path`."""
    with named(path), open(path, "rb", buffering=0) as file:
        return file.read(8) or b""
