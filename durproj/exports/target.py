"""The file that is written: what it may not be, and how it takes its place, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from durproj.errors import NotFound, OutputFailed, UsageError
from durproj.stores import temporary
from durproj.stores.beside import ENDS
from durproj.stores.migrations import APPLICATION_ID

_SQLITE = b"SQLite format 3\0"
_ID_AT = 68
"""Where a SQLite file has its application id: four bytes, the highest first
(https://www.sqlite.org/fileformat.html, section 1.3)."""


def resolved(to: str, store: str) -> str:
    """The file to write: `to`, or what it is a symbolic link to.

    Raises NotFound when its folder is not there, UsageError when it is no file or belongs to a store of
    durproj, be it `store` under another name.
    """
    real = os.path.realpath(to)
    folder, name = os.path.split(real)
    if not os.path.isdir(folder):
        raise NotFound(
            f"{to}: there is no folder {os.path.dirname(to) or folder}",
            "make it, or write elsewhere",
        )
    if os.path.isdir(real) or not name or to.endswith(os.sep):
        raise UsageError(f"{to}: a folder", "name a file, such as out.csv")
    if os.path.exists(real) and not os.path.isfile(real):
        raise UsageError(f"{to}: not a plain file", "a pipe is written to with --to -")
    for end in ENDS:
        base = real.removesuffix(end)
        if real.endswith(end) and (_same(base, store) or _is_store(base)):
            raise UsageError(
                f"{to}: it is a store of durproj, or belongs to one", "name another file with --to"
            )
    return real if os.path.islink(to) else to


def _same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _is_store(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError:
        return False
    id = header[_ID_AT : _ID_AT + 4]
    return header.startswith(_SQLITE) and id == APPLICATION_ID.to_bytes(4, "big")


@contextmanager
def replacing(path: str, *, force: bool) -> Iterator[str]:
    """The name of a temporary file beside `path`: when the context ends well it takes its place, else
    it is removed. What is there already is refused with UsageError, or with `force` replaced."""
    check_free(path, force=force)
    free = partial(check_free, path, force=force)
    with temporary.replacing(path, free, OutputFailed) as beside:
        yield beside


def check_free(path: str, *, force: bool) -> None:
    """Raise UsageError when there is a file at `path`, unless it may be replaced."""
    if os.path.lexists(path) and not force:
        raise UsageError(f"{path}: it exists already", "replace it with --force")
