"""Whose fault it is that a step came out otherwise: the reducer's or durproj's."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from durproj.crashing.purity.faults import Faults
from durproj.crashing.purity.probes import LONG_TICK_NS
from durproj.crashing.servers import Servers
from durproj.errors import DurprojError
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

ALONE: tuple[dict[str, Any], ...] = (
    *({"seed": seed} for seed in range(20)),
    {"tick_ns": LONG_TICK_NS},
    {"clock": None},
)
"""In these surroundings the step is executed alone: random numbers, a clock that runs, and the real clock."""


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
    recorded; unknown, when it does, but calls what may give something else the next time. Empty where there is no
    such step. Raises TimeUp, Interrupted."""
    if id is None or step is None:
        return {}
    with closing(SqliteStore.open_reader(store)) as opened:
        journal = Journal.open(opened, id)
        if journal is None or step >= journal.steps:
            return {}
        recorded = journal.read(step).output.decode()
    faults, calls = Faults(servers, store, mutation=False), None
    for changed in ALONE:
        found = faults.alone(id, step, changed)
        if found is None:
            return {}
        state, seen = found
        calls = seen if calls is None else calls
        if state != recorded:
            return _blamed("the reducer", step, calls)
    return _blamed("unknown" if calls else "durproj", step, calls)


def _blamed(who: str, step: int, calls: list[str] | None) -> dict[str, Any]:
    return {"cause": who, "step": step, **({"calls": calls} if calls else {})}
