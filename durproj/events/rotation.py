"""Rotated files: which one a place in a followed input lies in now, and which came after it.

A file is told by its inode, and where that is gone (a copy, a restored backup) by its content. Rotated files
carry the name of the input with digits added (`app.log.1`, `app.log-20260131`, `app.1.log`); in which
direction they count differs from tool to tool, so that their order is that of their last change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from blake3 import blake3

from durproj.errors import NotFound
from durproj.events.cursor import Cursor
from durproj.events.inputs import named

Identity = tuple[int, int]

_DIGITS = re.compile("[0-9]+")


def identity(status: os.stat_result) -> Identity:
    """Device and inode."""
    return status.st_dev, status.st_ino


def begins_with(path: str, start: Cursor) -> bool:
    """Whether the file `path` begins with what `start` was taken over since its origin; nothing at all
    may be the beginning of any file, but `start` lies in one. A file that is gone begins with nothing:
    it may be renamed at any time."""
    try:
        return _begins_with(path, start)
    except NotFound:
        return False


def _begins_with(path: str, start: Cursor) -> bool:
    left, hasher = start.bytes - start.origin, blake3()
    with named(path), open(path, "rb", buffering=0) as file:
        if not left:
            return start.file in (None, identity(os.fstat(file.fileno())))
        while left and (block := file.read(min(left, 1 << 20))):
            hasher.update(block)
            left -= len(block)
    return not left and hasher.hexdigest() == start.digest


def lies_in(path: str, start: Cursor) -> str | None:
    """The name that the file in which `start` lies has now: `path`, or another in its folder; None when
    it is gone."""
    while True:
        name = name_of(path, start.file) if start.file else None
        if name and begins_with(name, start):
            return name
        # Names move on while files are rotated.
        if name is None or name_of(path, start.file) == name:
            break
    return path if begins_with(path, start) else copy_of(path, start)


def name_of(path: str, file: Identity | None) -> str | None:
    """The name of `file` in the folder of `path`."""
    if (status := _status(path)) and identity(status) == file:
        return path
    for entry in _folder(path):
        with suppress(OSError):
            if entry.is_file() and identity(entry.stat()) == file:
                return _beside(path, entry.name)
    return None


def copy_of(path: str, start: Cursor) -> str | None:
    """The name of another file of the same rotation as `path` that begins with what `start` was taken over."""
    size = start.bytes - start.origin
    for name, _, status in _siblings(path) if size else ():
        with suppress(OSError):
            if status.st_size >= size and begins_with(name, start):
                return name
    return None


def rotated_after(path: str, name: str, before: Identity | None) -> str | None:
    """The file that had the name `path` next after the file that is called `name` now, when it was rotated
    away, too. `before`: the one that was read before that one, and cannot be it."""
    shape = _shape(path, os.path.basename(name))
    status = _status(name)
    if shape is None or status is None:
        return None
    later = [
        (other.st_mtime_ns, sibling)
        for sibling, of_shape, other in _siblings(path)
        if of_shape == shape
        and identity(other) not in (before, identity(status))
        and other.st_mtime_ns >= status.st_mtime_ns
    ]
    return min(later)[1] if later else None


def _siblings(path: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """The rotated files of `path`: name, shape of the name, status."""
    for entry in _folder(path):
        shape = _shape(path, entry.name)
        with suppress(OSError):
            if shape and entry.is_file():
                yield _beside(path, entry.name), shape, entry.stat()


def _shape(path: str, name: str) -> str | None:
    """What was added to the name of `path`, every number as 0; None when `name` is not that of a rotated
    file."""
    base = os.path.basename(path)
    stem, extension = os.path.splitext(base)
    for before, after in ((base, ""), (stem, extension)):
        added = name[len(before) : len(name) - len(after)]
        if name == f"{before}{added}{after}" and _DIGITS.search(added):
            return _DIGITS.sub("0", added)
    return None


def _folder(path: str) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(os.path.dirname(path) or ".") as entries:
        return list(entries)
    return []


def _beside(path: str, name: str) -> str:
    return os.path.join(os.path.dirname(path), name)


def _status(path: str) -> os.stat_result | None:
    with suppress(OSError):
        return os.stat(path)
    return None
