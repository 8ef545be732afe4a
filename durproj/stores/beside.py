"""The files that belong to a store: what SQLite and its runners put beside it."""

from __future__ import annotations

import os
from glob import escape, glob
from pathlib import Path

ENDS = ("", "-wal", "-shm", "-journal", ".lock")
"""Ends of the names of a store, its journals and its lock."""


def files_of(store: str | Path) -> set[str]:
    """The files of the store at a path: itself, its journals and its lock, which are beside what a link leads
    to, be they there or not; and what there is of copies of pipes."""
    real = os.path.realpath(store)
    return {*(f"{real}{end}" for end in ENDS), *copies_of(real), *copies_of(store)}


def copies_of(store: str | Path) -> list[str]:
    """The copies of pipes beside the store at a path, as it is called when they are made, and their marks."""
    return [path for of in ("input", "live") for path in glob(f"{escape(str(store))}.{of}-*")]
