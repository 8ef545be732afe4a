"""Whose fault it is that a step came out otherwise: the reducer's or durproj's."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from durproj.crashing.purity.faults import Faults
from durproj.crashing.servers import Servers
from durproj.errors import DurprojError
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

SEEDS = 20
"""With so many random seeds the step is executed alone."""


def first_difference(store: Path, other: Path, id: str | None) -> int | None:
    """The first step of workflow `id` of which two stores have different states; None when there is none."""
    if id is None:
        return None
    try:
        with (
            closing(SqliteStore.open_reader(store)) as one,
            closing(SqliteStore.open_reader(other)) as two,
        ):
            journals = [Journal.open(opened, id) for opened in (one, two)]
            if None in journals:
                return None
            states = (
                (output for _, records in journal.blocks() for output in records.outputs)
                for journal in journals
                if journal
            )
            pairs = enumerate(zip(*states, strict=False))
            return next((step for step, (was, now) in pairs if was != now), None)
    except DurprojError:
        return None


def cause(servers: Servers, store: Path, id: str | None, step: int | None) -> dict[str, Any]:
    """Who is the `cause`, with the `step` and what it `calls`, as a part of a record: it is executed alone, from
    the state and the event that `store` has. The reducer is, when that does not always give the state that is
    recorded. Empty where there is no such step. Raises TimeUp, Interrupted."""
    if id is None or step is None:
        return {}
    with closing(SqliteStore.open_reader(store)) as opened:
        journal = Journal.open(opened, id)
        if journal is None or step >= journal.steps:
            return {}
        recorded = journal.read(step).output.decode()
    found = Faults(servers, store, mutation=False).alone(id, step, range(SEEDS))
    if found is None:
        return {}
    states, calls = found
    reducer = any(state != recorded for state in states)
    more = {"calls": calls} if reducer and calls else {}
    return {"cause": "the reducer" if reducer else "durproj", "step": step, **more}
