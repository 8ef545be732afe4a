"""What a fold refuses for the log and the store do not belong together."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from durproj import codec
from durproj.errors import NotFound, PastChanged
from durproj.events.single import MOST_OTHERS
from durproj.runtime.ownership import Fold
from durproj.runtime.parking import ParkedEvent
from durproj.runtime.recorded import Recorded
from durproj.runtime.request import FORK, Request
from durproj.stores.base import Head, Run, Store
from durproj.stores.journal import Journal


def former_run(store: Store, head: Head) -> Run:
    """The run that began a workflow which another goes on with. Raises PastChanged when that was no
    fold."""
    former = store.run(head.run)
    if former is None or former.options.get("kind") != "fold":
        raise PastChanged(head.id, None, "a program's workflow", "a fold", "choose another --name")
    return former


def refuse_vanished(fold: Fold, keys: Collection[str], asked: Collection[str] | None) -> None:
    """Raise PastChanged unless every stream that was folded, by this run or by another of the same log,
    is still in it: among `keys`. asked: of these streams only (None: all)."""
    same: dict[int, bool] = {}
    for head in fold.store.heads(name=fold.request.name):
        if head.key in keys or (asked is not None and head.key not in asked):
            continue
        if head.run not in same:
            same[head.run] = _reads_the_same(fold, fold.store.run(head.run))
        if not same[head.run]:
            continue
        journal = Journal(fold.store, head)
        if journal.steps:
            raise Recorded(head.id, journal, 0).ended(0)
        if head.status == "parked":
            raise ParkedEvent(head).gone()


def no_such_key(request: Request, keys: Sequence[str], there: Sequence[str]) -> NotFound:
    """The error for keys that no event has; `there`: some that are."""
    shown = ", ".join(map(codec.to_json, there[:MOST_OTHERS])) or "none"
    missing = ", ".join(map(codec.to_json, keys))
    message = f"{request.shown_input()}: no event has the key {missing}"
    return NotFound(message, f"keys that are there: {shown}")


def _reads_the_same(fold: Fold, other: Run | None) -> bool:
    """Whether `other` files the same input by the same keys."""
    now = fold.run.options
    return (
        other is not None
        and FORK not in other.options
        and all(other.options.get(name) == now[name] for name in ("inputs", "mapping", "no_key"))
    )
