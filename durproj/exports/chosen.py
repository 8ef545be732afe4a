"""The records that are exported: the latest state of each workflow chosen, or each step of its journal.

They are of one instant though a run is writing, and no run waits for an export, however long it takes: of a
few workflows the heads and the newest steps are read at once, and then, at leisure, the older steps, which
stay what they are; of many, the store is copied first, and the copy is read. The records are then kept in a
temporary file: damage is told before anything is written, and columns are known before the first row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import OutputFailed
from durproj.history.paths import ABSENT
from durproj.history.reading import journal_of, own_run, reading
from durproj.history.standing import projection_record
from durproj.history.timeline import Timeline
from durproj.ids import check_name, split_id
from durproj.runtime.absent import no_name
from durproj.runtime.request import FORK, REPLACED_BY
from durproj.stores.base import Head, Run, Status, Store
from durproj.stores.connection import connect_copy
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore
from durproj.stores.stored import stored_value

IN_MEMORY = 4 << 20
"""So many bytes of records are kept in memory; of more, all in a temporary file."""

FEW = 64
"""So many workflows are read in the store itself. Of each there is a block of steps in memory."""


@dataclass(frozen=True)
class Choice:
    """What is to be exported.

    which: ids and names of workflows; none: every projection there is, but no program's workflows.
    status: of these only the workflows that stand so. journal: their steps, not their latest states.
    """

    which: Sequence[str] = ()
    status: Status | None = None
    journal: bool = False


class Kept:
    """Records in a temporary file, which goes with the object. They can be read again and again."""

    def __init__(self, folder: str | None) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=folder)  # noqa: SIM115
        self.count = 0

    def fill(self, records: Iterable[dict[str, Any]]) -> None:
        """Keep `records`. Raises OutputFailed when there is no room for them."""
        write = self._file.write
        for record in records:
            try:
                write(codec.to_json(record).encode() + b"\n")
            except OSError as error:
                raise _no_room(error) from None
            self.count += 1
        try:
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        return map(codec.decode, self._file)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _no_room(error: OSError) -> OutputFailed:
    return OutputFailed(
        f"the records cannot be kept in a temporary file: {error.strerror}",
        "it is made beside the file that is written, or where TMPDIR says",
    )


@contextmanager
def keeping(
    store: str | Path | Store,
    choice: Choice,
    shaped: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    folder: str | None = None,
) -> Iterator[Kept]:
    """The records chosen, as of one instant, each as `shaped` makes it. `folder`: where to keep them.

    Raises NotFound for a store, a name or an id that there is not, StoreDamaged, and OutputFailed.
    """
    for each in choice.which:
        split_id(each) if "/" in each else check_name(each)
    kept = Kept(folder)
    try:
        with _still(store, choice, folder) as found:
            records = (record for each in found for record in each.records(journal=choice.journal))
            kept.fill(map(shaped, records) if shaped else records)
        yield kept
    finally:
        kept.close()


@dataclass(frozen=True)
class _Chosen:
    """A workflow that is exported. journal: opens its journal, or gives the one that is open."""

    head: Head
    run: Run
    journal: Callable[[], Journal]

    def records(self, *, journal: bool) -> Iterator[dict[str, Any]]:
        """Its latest state, or with `journal` its steps."""
        if journal:
            yield from _steps(Timeline(self.journal(), self.run))
        else:
            yield _projection(self)

    def opened(self, store: Store) -> _Chosen:
        """The same with its journal open, so that it tells of this instant whenever it is read."""
        journal = Journal.open(store, self.head.id)
        assert journal is not None  # it was met in the same snapshot
        return replace(self, journal=lambda: journal)


@contextmanager
def _still(
    store: str | Path | Store, choice: Choice, folder: str | None
) -> Iterator[Iterable[_Chosen]]:
    """The workflows chosen, as they are at this instant."""
    with reading(store) as opened:
        few = _few(opened, choice)
        if few is not None:
            yield few
            return
        if opened is store:
            with opened.snapshot():
                yield _chosen(opened, choice)
            return
    path = Path(opened.location)
    copy = SqliteStore(connect_copy(path, folder), path, None)
    try:
        yield _chosen(copy, choice)
    finally:
        copy.close()


def _few(store: Store, choice: Choice) -> list[_Chosen] | None:
    """The workflows chosen if they were named one by one, or are not many."""
    most = None if choice.which and all("/" in each for each in choice.which) else FEW
    with store.snapshot():
        found = list(islice(_chosen(store, choice), most and most + 1))
        if most and len(found) > most:
            return None
        return [
            each.opened(store) if choice.journal or each.head.status != "resolved" else each
            for each in found
        ]


def _chosen(store: Store, choice: Choice) -> Iterator[_Chosen]:
    """Ids first, as they were given, then the rest in the order they began."""
    runs = {run.no: run for run in store.runs()}
    for head in _heads(store, choice.which, runs):
        if choice.status in (None, head.status):
            yield _Chosen(head, own_run(head, runs.get(head.run)), partial(Journal, store, head))


def _heads(store: Store, which: Sequence[str], runs: dict[int | None, Run]) -> Iterator[Head]:
    ids = dict.fromkeys(each for each in which if "/" in each)
    names = dict.fromkeys(each for each in which if "/" not in each)
    for id in ids:
        yield journal_of(store, id).head
    if ids and not names:
        return
    met = set()
    for head in store.heads():
        met.add(head.name)
        chosen = head.name in names if names else _is_fold(own_run(head, runs.get(head.run)))
        if chosen and head.id not in ids:
            yield head
    for name in names:
        if name not in met:
            raise no_name(name, store)


def _is_fold(run: Run) -> bool:
    return run.options.get("kind") == "fold"


def _projection(chosen: _Chosen) -> dict[str, Any]:
    head, run = chosen.head, chosen.run
    if head.status != "resolved":
        journal = chosen.journal()
        # What a step of a program returned is no state of the program.
        state = (journal.last_output() or head.state) if _is_fold(run) else None
        head = replace(head, steps=journal.steps, state=state)
    shown = projection_record(head, 0, 0)
    return {
        "type": "projection",
        "id": head.id,
        "name": head.name,
        "key": head.key,
        "status": head.status,
        "steps": head.steps,
        "state": shown["state"],
        **({"error": shown["error"]} if "error" in shown else {}),
        **({"kept_from": head.dropped} if head.dropped else {}),
        **dict(_origin(run.options)),
    }


def _origin(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Which step a fork was made of, and which workflow took the place of one."""
    if fork := options.get(FORK):
        yield "forked_from", f"{fork['id']}#{fork['at']}"
    if REPLACED_BY in options:
        yield "replaced_by", options[REPLACED_BY]


def _steps(timeline: Timeline) -> Iterator[dict[str, Any]]:
    head = timeline.head
    for checkpoint in timeline.forward():
        state, meta = checkpoint.state, checkpoint.meta
        record = {
            "type": "step",
            "id": head.id,
            "name": head.name,
            "key": head.key,
            "step": checkpoint.step,
            "event": checkpoint.record_of_event(),
            "state": None if state is ABSENT else state,
        }
        if state is ABSENT:
            record["error"] = stored_value(checkpoint.record.output)
        elif "skipped" in meta:
            record["skipped"] = meta["skipped"]
        yield record
