"""As much of a long log as can be crashed within the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from durproj.crashing.prepared import Answer
from durproj.crashing.shrinking import as_lines
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

RUNS = 200
"""So many runs are to fit into the time: some hundred lives, each with a run or two."""

LEAST = 20
"""So many events are crashed however slow they are."""


def fitting(first: Answer, store: Path, options: Answer, folder: Path, seconds: float) -> Answer:
    """The options of a fold of which RUNS fit into so many seconds: `options`, or, where the `first` run with
    these (into `store`) took too long, the same for the first events of its first streams."""
    done = first["done"]
    if not first["partial"] and first["seconds"] * RUNS <= seconds:
        return options
    most = max(LEAST, int(done * seconds / RUNS / max(first["seconds"], 1e-6)))
    if not first["partial"] and most >= done:
        return options
    log = folder / "part.jsonl"
    with log.open("wb") as file:
        file.writelines(line + b"\n" for line in islice(_lines(store), most))
    return options | {"events": [str(log)], "mapping": as_lines(options, store)}


def _lines(store: Path) -> Iterator[bytes]:
    with closing(SqliteStore.open_reader(store)) as opened:
        for head in opened.heads():
            yield from Journal(opened, head).inputs()
