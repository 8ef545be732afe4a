"""The files that a store was folded from, which nothing that is written may take the place of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from durproj.errors import UsageError
from durproj.events.spool import kept
from durproj.runtime.request import opened_path, spool_path
from durproj.stores.base import Run, Store


def refuse_input(store: Store, path: str, named: str) -> None:
    """Raise UsageError when the file at `path`, which the user calls `named`, is an input of any run of
    `store`, by whatever name, or the copy of one that came through a pipe."""
    for run in store.runs():
        for file in _files(store, run):
            if _are_one(file, path):
                raise UsageError(
                    f"{named}: an input of {store.location}, folded as {run.name}: it is left as it is",
                    "write to another file",
                )


def _files(store: Store, run: Run) -> Iterator[str]:
    base = Path(store.location).resolve().parent
    for input in run.options.get("inputs", ()):
        copy = kept(spool_path(store.location, run.no or 0, input))
        if copy:
            yield copy[0]
        if input != "-":
            path = opened_path(input, base)
            yield path
            yield from glob(path, recursive=True)


def _are_one(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there yet
        return os.path.realpath(path) == os.path.realpath(other)
