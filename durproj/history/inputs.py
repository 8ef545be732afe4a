"""The files of a store and those it was folded from, or a command reads, which nothing that is written may take
the place of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path

from durproj.errors import NotFound, StoreError, UsageError
from durproj.events.spool import kept
from durproj.history.reading import reading
from durproj.projections.reducer import file_of
from durproj.runtime.request import opened_path, spool_path
from durproj.stores.base import Run, Store
from durproj.stores.beside import files_of

Read = tuple[str, str]
"""What a file is, in words, and its path."""


def refuse_input(store: Store, path: str, named: str) -> None:
    """Raise UsageError when the file at `path`, which the user calls `named`, is an input of any run of
    `store`, by whatever name, the copy of one that came through a pipe, the FILE.py of its reducer, or the
    store itself, or belongs to it. A jq program that came from a file is in the store."""
    base = Path(store.location).resolve().parent
    for run in store.runs():
        reducers = [run.options.get("reducer", "")]
        files = [*_copies(store, run), *files_read(run.options.get("inputs", ()), reducers, base)]
        _refuse(files, path, named, f" of {store.location}, folded as {run.name}")
    _refuse_own(store.location, path, named)


def refuse_stored(store: Path, path: str, named: str, begins: bytes) -> None:
    """The same of the store at a path, be it there and sound or not. Where its runs cannot all be read, any file
    may be an input: what is there is refused unless it `begins` as what is to be written."""
    try:
        with reading(store) as opened:
            refuse_input(opened, path, named)
    except (StoreError, NotFound) as error:
        _refuse_own(store, path, named)
        if os.path.isfile(path) and not _has_begun(path, begins):
            raise UsageError(
                f"{named}: it may be an input of {store}, whose runs cannot be read, so it is left as it is:"
                f" {error.message}",
                "write to a new file",
            ) from None


def refuse_read(inputs: Iterable[str], reducers: Iterable[str], path: str, named: str) -> None:
    """The same of what is read without a store: `inputs`, and the files of `reducers`, by reference."""
    _refuse(files_read(inputs, reducers, Path()), path, named)


def files_read(inputs: Iterable[str], reducers: Iterable[str], base: Path) -> Iterator[Read]:
    """The files that a fold of `inputs` by these `reducers` names, from the folder `base`: what there is of
    globs, names that are no file's, the FILE.py of a reducer or its module in `base`. Left out are standard
    input, what a log was rotated to, modules elsewhere, and what a reducer imports."""
    for input in inputs:
        if input != "-":
            path = opened_path(input, base)
            yield "an input", path
            yield from (("an input", file) for file in glob(path, recursive=True))
    for ref in reducers:
        if file := file_of(ref, base):
            yield "the reducer", os.path.normpath(file)


def _refuse_own(store: str | Path, path: str, named: str) -> None:
    _refuse([("the store", file) for file in files_of(store)], path, named)


def _has_begun(path: str, begins: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(begins)) == begins
    except OSError:
        return False


def _copies(store: Store, run: Run) -> Iterator[Read]:
    for input in run.options.get("inputs", ()):
        copy = kept(spool_path(store.location, run.no or 0, input))
        if copy:
            yield "an input", copy[0]


def _refuse(files: Iterable[Read], path: str, named: str, whose: str = "") -> None:
    for what, file in files:
        if _are_one(file, path):
            raise UsageError(
                f"{named}: {what}{whose}: it is left as it is", "write to another file"
            )


def _are_one(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is not there yet
        return os.path.realpath(path) == os.path.realpath(other)
