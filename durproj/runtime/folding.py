"""Running one fold over an open store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from durproj.runtime.fold import LogFold
from durproj.runtime.observer import Counts, Observer, Stop
from durproj.runtime.request import Request
from durproj.runtime.setup import Setup
from durproj.stores.base import Durability, Store
from durproj.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from durproj.runtime.follow import Follower

DEFAULT_STORE = "durproj.db"

Opened = TypeVar("Opened", bound=Store)


def file_of(store: str | Path | SqliteStore) -> Path:
    """The file of a store that is named, or open already."""
    return Path(store.location if isinstance(store, SqliteStore) else store)


@contextmanager
def writer(
    store: str | Path | Opened, durability: Durability, wait_s: float, stop: Stop
) -> Iterator[SqliteStore | Opened]:
    """`store`, open for writing. Waits `wait_s` seconds for another writer. One that is open already is
    left open, and is as durable as it was opened to be."""
    if not isinstance(store, str | Path):
        yield store
        return
    with stop.waiting():
        opened = SqliteStore.open_writer(Path(store), durability, wait_s)
    try:
        yield opened
    finally:
        opened.close()


def run_one(
    request: Request, store: SqliteStore, base: Path, observer: Observer, stop: Stop, counts: Counts
) -> Counts:
    """One fold, added to `counts`."""
    setup = Setup(request, store, base, observer, stop)
    announce(setup, store, observer)
    counted(LogFold(setup, store, observer, stop), counts, observer)
    if setup.run.complete:
        setup.drop_copies()
    return counts


def announce(setup: Setup, store: SqliteStore, observer: Observer, *, follow: bool = False) -> None:
    """Tell `observer` what begins."""
    request = setup.request
    observer.started(
        {
            "input": request.shown_input(),
            "name": request.name,
            "reducer": request.reducer.ref,
            "store": store.location,
            "durability": request.durability,
            **({"follow": True} if follow else {}),
        },
        request.reducer.summary,
        small=setup.small,
    )


def counted(folding: LogFold | Follower, counts: Counts, observer: Observer) -> Counts:
    """Run it, and add what it came to."""
    try:
        folding.run()
    finally:
        counts += folding.counts
        observer.counted(folding.counts)
    return counts


def asked_durability(path: Path) -> Durability:
    """The strictest durability that an unfinished run of the store was started with."""
    store = SqliteStore.open_reader(path)
    try:
        asked = {run.options.get("durability", "step") for run in store.runs() if not run.complete}
    finally:
        store.close()
    return "fsync" if "fsync" in asked else "step"
