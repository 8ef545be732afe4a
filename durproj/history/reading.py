"""Opening what is to be read: a store, and the journal of one workflow in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from durproj.ids import split_id
from durproj.runtime.absent import no_workflow
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal
from durproj.stores.packing import damaged
from durproj.stores.sqlite import SqliteStore
from durproj.stores.stored import whole_options


@contextmanager
def reading(store: str | Path | Store, *ids: str) -> Iterator[Store]:
    """`store`, opened for reading, and closed in the end, if it is a path. Raises UsageError when one of
    `ids` is no id, before anything is opened; NotFound when there is no store."""
    for id in ids:
        split_id(id)
    opened = SqliteStore.open_reader(Path(store)) if isinstance(store, str | Path) else store
    try:
        yield opened
    finally:
        if opened is not store:
            opened.close()


def journal_of(store: Store, id: str) -> Journal:
    """The journal of workflow `id`. Raises NotFound when there is none."""
    journal = Journal.open(store, id)
    if journal is None:
        raise no_workflow(id, store)
    return journal


def run_of(store: Store, head: Head) -> Run:
    """The run of the workflow with this head. Raises StoreDamaged when there is none or it is another's,
    and NotFound when the workflow was dropped meanwhile."""
    assert head.no is not None
    with store.snapshot():
        run, now = store.run(head.run), store.numbered(head.no)
        if now is None:
            raise no_workflow(head.id, store)
    return own_run(now, run)


def own_run(head: Head, run: Run | None) -> Run:
    """The run that the store has for this head. Raises StoreDamaged when there is none, or it is another's or
    none that durproj wrote."""
    if run is None:
        raise damaged(head.id, "its run is missing")
    if run.name != head.name:
        raise damaged(head.id, f"its run is one of {run.name!r}")
    whole_options(run.options)
    return run


def kept_from(head: Head) -> dict[str, int]:
    """What a record says of the first step that is kept: nothing when all are."""
    return {"kept_from": head.dropped} if head.dropped else {}
