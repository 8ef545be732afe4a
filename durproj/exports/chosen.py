"""The records that are exported: the latest state of each workflow chosen, or each step of its journal.

The store is copied first, which takes as long as it takes to copy a file, and the copy is read: so the
records are of one instant though a run is writing, and no run waits for an export, however long it takes.
The records are then kept in a temporary file: damage is told before anything is written, and columns are
known before the first row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import OutputFailed
from durproj.history.paths import ABSENT
from durproj.history.reading import journal_of
from durproj.history.standing import projection_record
from durproj.history.timeline import Timeline
from durproj.ids import check_name, split_id
from durproj.runtime.absent import no_name
from durproj.stores.base import Head, Run, Status, Store
from durproj.stores.connection import connect_copy
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

IN_MEMORY = 4 << 20
"""So many bytes of records are kept in memory; of more, all in a temporary file."""


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
        with _still(store, folder) as opened:
            found = records(opened, choice)
            kept.fill(map(shaped, found) if shaped else found)
        yield kept
    finally:
        kept.close()


@contextmanager
def _still(store: str | Path | Store, folder: str | None) -> Iterator[Store]:
    """The store as it is at this instant: a copy of it, or, of one that is open, a snapshot."""
    if not isinstance(store, str | Path):
        with store.snapshot():
            yield store
        return
    path = Path(store)
    copy = SqliteStore(connect_copy(path, folder), path, None)
    try:
        yield copy
    finally:
        copy.close()


def records(store: Store, choice: Choice) -> Iterator[dict[str, Any]]:
    """The records chosen: ids first, as they were given, then the rest in the order they began."""
    runs = {run.no: run for run in store.runs()}
    for head in _heads(store, choice.which, runs):
        run = runs.get(head.run)
        if choice.status not in (None, head.status):
            continue
        if choice.journal:
            yield from _steps(Timeline(Journal(store, head), run))
        else:
            yield _projection(store, head, is_fold=_is_fold(run))


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
        chosen = head.name in names if names else _is_fold(runs.get(head.run))
        if chosen and head.id not in ids:
            yield head
    for name in names:
        if name not in met:
            raise no_name(name, store)


def _is_fold(run: Run | None) -> bool:
    return run is not None and run.options.get("kind") == "fold"


def _projection(store: Store, head: Head, *, is_fold: bool) -> dict[str, Any]:
    if head.status != "resolved":
        journal = Journal(store, head)
        # What a step of a program returned is no state of the program.
        state = (journal.last_output() or head.state) if is_fold else None
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
    }


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
            record["error"] = codec.decode(checkpoint.record.output)
        elif "skipped" in meta:
            record["skipped"] = meta["skipped"]
        yield record
