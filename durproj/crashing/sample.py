"""Parts of a long log, from all over it, of a length that can be crashed within the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

from durproj.crashing.prepared import Answer
from durproj.events.formats.mapping import PLAIN, Layers, Mapping
from durproj.stores.base import Head
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

RUNS = 200
"""So many runs of the parts together are to fit into the time: some hundred lives, each with a run or two."""

LEAST = 20
"""So many events are crashed however slow they are."""

PARTS, SHORTEST = 8, 5
"""So many parts are taken, of so many events at least."""


class Part(NamedTuple):
    """A log made of another's events: those of workflow `id` from `step` on, and of the workflows behind it,
    so many `events` in all. options: of a fold of them; where `step` is not 0, it begins with the state that
    was there."""

    id: str
    step: int
    events: int
    options: Answer

    def record(self) -> dict[str, Any]:
        """Where it is, as JSON can carry it."""
        return {"id": self.id, "step": self.step, "events": self.events}


def most_events(first: Answer, seconds: float) -> int | None:
    """Of how many events RUNS fit into so many seconds, by what the `first` run took; None: of all of them."""
    fits = first["seconds"] * RUNS <= seconds
    most = max(LEAST, int(first["done"] * seconds / RUNS / max(first["seconds"], 1e-6)))
    return None if not first["partial"] and (fits or most >= first["done"]) else most


def events_of(store: Path) -> int:
    """How many events were taken into `store`."""
    with closing(SqliteStore.open_reader(store)) as opened:
        return sum(head.steps for head in opened.heads())


def parts_of(store: Path, most: int, options: Answer, folder: Path) -> list[Part]:
    """Parts of what `store` has of a fold with these options, `most` events in all: the first is the
    beginning, the others are as far from each other. Their logs are put into `folder`."""
    with closing(SqliteStore.open_reader(store)) as opened:
        heads = [head for head in opened.heads() if head.steps]
        options = options | {"mapping": resolved(opened)}
        most = min(most, sum(head.steps for head in heads))
        size = max(SHORTEST, most // PARTS)
        # By a power of two, since no two times are measured alike: the parts are to be the same again.
        size = 1 << (size.bit_length() - 1)
        found = []
        for number, (at, step) in enumerate(
            places_of(heads, size, max(1, min(PARTS, most // size)))
        ):
            log = folder / f"part-{number}.jsonl"
            lines = list(islice(_lines(opened, heads[at:], step), size))
            log.write_bytes(b"".join(line + b"\n" for line in lines))
            part = options | {"events": [str(log)]}
            if step:
                journal = Journal(opened, heads[at])
                part["initial"] = journal.read(step - 1).output.decode()
                # A line with several keys is an event of other streams, too, which began with another state.
                part["keys"] = (
                    [heads[at].key] if "[]" in (options["mapping"]["key"] or "") else part["keys"]
                )
            found.append(Part(heads[at].id, step, len(lines), part))
        return found


def places_of(heads: Sequence[Head], size: int, count: int) -> Iterator[tuple[int, int]]:
    """Where parts of so many events begin, as (index of a head, step): within a stream that is long enough
    from there on, else with the stream after it. A part has one state that it begins with."""
    ends = list(accumulate(head.steps for head in heads))
    total, at = ends[-1], 0
    for number in range(count):
        wanted = number * max(0, total - size) // max(1, count - 1)
        while ends[at] <= wanted:
            at += 1
        step = wanted - ends[at] + heads[at].steps
        if not step or step + size <= heads[at].steps:
            yield at, step
        elif at + 1 < len(heads):
            yield at + 1, 0
        else:
            yield at, max(0, heads[at].steps - size)


def _lines(store: SqliteStore, heads: Sequence[Head], step: int) -> Iterator[bytes]:
    for head in heads:
        yield from Journal(store, head).inputs(step)
        step = 0


def resolved(store: SqliteStore) -> dict[str, str | None]:
    """The mapping of the last run of `store`, with nothing left to be found, for its lines as JSON lines:
    what was an array, a CSV file or the like is one no more."""
    found = Mapping.from_dict(store.runs()[-1].options["mapping"])
    layers = Layers.parse(found.format)
    plain = replace(found, format=Layers(None, layers.kafka, layers.convention).name or PLAIN)
    return {name: path or "" for name, path in plain.to_dict().items()}
