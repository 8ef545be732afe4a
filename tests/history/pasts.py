"""Journals whose states are known: each event holds the state that it leads to."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import durproj
from durproj.stores import loading, packing
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

MAPPING = durproj.Mapping(key="user", type="type", id="id", time="time", data="data")
_NUMBERS = count()


def become(state: Any, event: durproj.Event) -> Any:
    """A reducer that does as it is told."""
    if event.type == "Fail":
        raise ValueError("told to fail")
    return event.data["state"]


def past(
    folder: Path,
    *states: Any,
    failing: int | None = None,
    store: Path | None = None,
    **options: Any,
) -> Path:
    """A store (a new one, if none is given) with a journal of these states, `projection/u`, folded in batches unless told otherwise. The
    event of step `failing` fails."""
    number = next(_NUMBERS)
    log, store = folder / f"{number}.jsonl", store or folder / f"{number}.db"
    with log.open("w") as file:
        for step, state in enumerate(states):
            type = "Fail" if step == failing else "Set" if step % 2 else "Reset"
            time = f"2026-01-01T00:00:{step % 60:02}.5Z"
            line = {"user": "u", "id": f"e{step}", "type": type, "time": time}
            file.write(json.dumps(line | {"data": {"state": state}}) + "\n")
    given = {"reducer": become, "durability": "batch", "mapping": MAPPING} | options
    durproj.fold(log, store=store, **given)
    return store


def program(store: Path) -> Path:
    """A store with the workflow of a program, `checkout/A`, whose second step failed."""

    def charge(order: str) -> None:
        raise ValueError(f"no card for {order}")

    def checkout(ctx: durproj.Context, order: str) -> Any:
        price = yield ctx.run(len, order)
        try:
            yield ctx.run(charge, order)
        except durproj.StepFailed:
            return price

    durproj.run("checkout/A", checkout, "A-17", store=store)
    return store


def counted(monkeypatch: Any) -> list[int]:
    """A list that grows by the first step of each segment that a journal unpacks."""
    unpacked: list[int] = []
    real: Callable[..., Any] = packing.unpack

    def unpack(id: str, segment: Any, *rest: Any) -> Any:
        unpacked.append(segment.start)
        return real(id, segment, *rest)

    monkeypatch.setattr(loading, "unpack", unpack)
    return unpacked


def keep(store: Path, steps: int, id: str = "projection/u") -> None:
    """Drop all but the newest `steps` steps of workflow `id`."""
    opened = SqliteStore.open_writer(store)
    opened_journal = Journal.open(opened, id)
    assert opened_journal is not None
    opened_journal.trim(steps)
    opened.close()
