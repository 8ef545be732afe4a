"""Opening a store whose past is to be changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from durproj.errors import NotFound
from durproj.stores.base import Durability
from durproj.stores.sqlite import SqliteStore


@contextmanager
def changing(path: Path, wait_s: float, durability: Durability = "step") -> Iterator[SqliteStore]:
    """The store at `path`, open for writing. Waits `wait_s` seconds for another writer.

    Raises NotFound when there is none, StoreBusy, StoreError, and StoreDamaged unless the whole of it is in
    order: what is deleted from a page that is not may take the rest of the page along.
    """
    if not path.exists():
        raise NotFound(f"{path}: no such store", "durproj run makes one")
    opened = SqliteStore.open_writer(path, durability, wait_s, whole=True)
    try:
        yield opened
    finally:
        opened.close()
