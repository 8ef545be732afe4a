"""`verify`: whether a store is what was written, and what its log folds to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from durproj.errors import NotFound, Rewritten, StoreDamaged, StoreError, UsageError
from durproj.history.reading import reading
from durproj.history.timeline import Timeline
from durproj.ids import check_name, split_id
from durproj.runtime.absent import no_name, no_workflow
from durproj.runtime.given import given_names
from durproj.runtime.observer import Stop
from durproj.stores.base import Run, Store
from durproj.stores.inventory import Entry, Inventory, take_inventory
from durproj.stores.journal import Journal
from durproj.stores.packing import damaged
from durproj.verification.completeness import lacks
from durproj.verification.folding import Unverifiable
from durproj.verification.journal import sound_blocks
from durproj.verification.refold import Refold
from durproj.verification.twice import fold_twice

READINGS = 3
"""What is dropped or rewritten while it is read is read so often."""

COUNTED = ("steps", "refolded", "folded_twice")

STATUSES = ("ok", "damaged", "different", "unverifiable")

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Told how many steps more have been dealt with, and how many there are in all."""


def verify(
    ids: Iterable[str] | None = None,
    *,
    name: str | None = None,
    store: str | Path | Store = "durproj.db",
    refold: bool = False,
    twice: bool = False,
    reducer: Any | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Iterator[Record]:
    """Verify the workflows `ids`, those of one `name`, or all: every checkpoint by its hash, how they are
    chained, the heads, runs and failed attempts, and the file itself by SQLite's own check.

    refold: fold each projection again with its reducer as it is today, and compare step by step: from its
    log or, where that cannot be read a second time, from the events in the journal. twice: fold the
    recorded events two times in processes with different hash seeds, and compare these. reducer: what
    refolds instead of the run's own, for folds whose reducer only a program has; it is not for `twice`.
    progress: told of the steps done and of their number; stop: ends it.

    Yields a record for each workflow, then one for each damage that is no workflow's (its `id` is None),
    and a `summary` in the end. `steps` are those that are kept (`kept_from`: the first of them, where `gc`
    dropped others), `refolded` and `folded_twice` those that were executed for these. The summary's `exit` is
    1 unless all are `ok`. A status is `ok`, `damaged`, `different` (see `differences`) or `unverifiable` (see
    `reason`), the gravest that applies.

    Nothing is written but in temporary folders. Raises NotFound when there is no such store or workflow,
    UsageError, Interrupted, and StoreError when the store cannot be opened at all.
    """
    asked = given_names("ids", ids)
    for id in asked or ():
        split_id(id)
    if name is not None:
        check_name(name)
    if reducer is not None and twice:
        raise UsageError("twice folds in processes that have no program's reducer", "leave one out")
    path = Path(store if isinstance(store, str | Path) else store.location)
    inventory = take_inventory(path)
    with reading(store) as opened:
        chosen = _chosen(inventory, opened, asked, name)
        total = sum(entry.steps for entry in chosen) * (1 + 2 * twice)

        def done(steps: int) -> None:
            if progress:
                progress(steps, total)

        job = _Job(opened, path, inventory, reducer, stop or Stop(), done)
        if twice:
            job.fold_twice(chosen)
        yield from job.records(chosen, refold=refold)
        yield from job.rest(asked, name)
        yield job.summary()


def _chosen(
    inventory: Inventory, store: Store, ids: list[str] | None, name: str | None
) -> list[Entry]:
    """The workflows that are asked for and have a sound head, those of one run together."""
    known = {entry.id: entry for entry in inventory.workflows}
    asked = known if ids is None else ids
    entries = [known[id] for id in asked if id in known]
    chosen = [entry for entry in entries if name in (None, entry.name)]
    # What is not there may be what is damaged.
    if not (inventory.heads or inventory.damage):
        missing = next((id for id in asked if id not in known), None)
        if missing:
            raise no_workflow(missing, store)
        if name is not None and not chosen:
            raise no_name(name, store)
    order = {run: at for at, run in enumerate(dict.fromkeys(entry.run for entry in entries))}
    return sorted(chosen, key=lambda entry: order[entry.run])


class _Job:
    """Verifying `store`, at `path`, by what the `inventory` says of it."""

    def __init__(
        self,
        store: Store,
        path: Path,
        inventory: Inventory,
        reducer: Any | None,
        stop: Stop,
        progress: Callable[[int], None],
    ) -> None:
        self._store, self._path, self._inventory = store, path, inventory
        self._reducer, self._stop, self._progress = reducer, stop, progress
        self._twice: dict[str, Record] = {}
        self._counts: Counter[str] = Counter()
        self._lacks = lacks(store, inventory)

    def fold_twice(self, chosen: list[Entry]) -> None:
        """Fold what can be folded twice; what came of it goes into the records."""
        runs = self._inventory.runs
        ids = [entry.id for entry in chosen if isinstance(runs.get(entry.run), Run)]
        self._twice = fold_twice(self._path, ids, self._stop, self._progress)

    def records(self, chosen: list[Entry], *, refold: bool) -> Iterator[Record]:
        """A record for each of them; what one run made is read from its log at one go."""
        for no, entries in groupby(chosen, key=attrgetter("run")):
            run, same = self._run(no), list(entries)
            again, lack = None, self._lacks.get(no)
            sought = lack is not None and lack.is_sought
            if refold and isinstance(run, Run):
                ids = None if sought else [entry.id for entry in same]
                base = self._path.resolve().parent
                again = Refold(run, ids, base, self._reducer, self._stop)
            try:
                for entry in same:
                    record = self._record(entry, run, again)
                    if record is not None:
                        self._counts[record["status"]] += 1
                        self._counts["workflows"] += 1
                        self._counts.update(
                            {each: record[each] for each in COUNTED if each in record}
                        )
                        yield record
                if again and lack and sought:
                    lack.unfolded = again.unfolded({split_id(entry.id)[1] for entry in same})
            finally:
                if again:
                    again.close()

    def rest(self, ids: list[str] | None, name: str | None) -> Iterator[Record]:
        """A record for each damage that is no verified workflow's: of heads that are, or may be, of what is
        asked for; of runs without workflows, when all is asked for; of the file."""
        heads = self._inventory.heads
        if ids is not None:
            sought = set(ids) - {entry.id for entry in self._inventory.workflows}
            named = [head for head in heads if head[0] in sought]
            # Where it is the id that is damaged, any of them may be meant.
            if len(named) == len(sought):
                heads = named
        for id, error in heads:
            if ids is not None or name is None or id is None or split_id(id)[0] == name:
                self._counts["workflows"] += 1
                yield self._damage(id, error)
        lacks = self._lacks.values() if ids is None else ()
        found: list[StoreError] = [
            damaged(str(self._path), str(lack)) for lack in lacks if name in (None, lack.name)
        ]
        found += self._inventory.damage
        if ids is None and name is None:
            used = {entry.run for entry in self._inventory.workflows}
            runs = self._inventory.runs.items()
            found += [run for no, run in runs if not isinstance(run, Run) and no not in used]
        yield from (self._damage(None, error) for error in found)

    def _damage(self, id: str | None, error: StoreError) -> Record:
        self._counts["damaged"] += 1
        return {
            "type": "verification",
            "id": id,
            "status": "damaged",
            "steps": 0,
            "error": error.message,
        }

    def summary(self) -> Record:
        """What it came to."""
        bad = any(self._counts[status] for status in STATUSES[1:])
        counts = {status: self._counts[status] for status in STATUSES}
        of = {each: self._counts[each] for each in ("workflows", *COUNTED) if each in self._counts}
        return {"type": "summary", "workflows": 0, "steps": 0, **of, **counts, "exit": int(bad)}

    def _run(self, no: int) -> Run | StoreDamaged | None:
        """The run of this number; it may be newer than the inventory."""
        try:
            return self._inventory.runs.get(no) or self._store.run(no)
        except StoreDamaged as error:
            return error

    def _record(
        self, entry: Entry, run: Run | StoreDamaged | None, again: Refold | None
    ) -> Record | None:
        """The record of one workflow; None when it is gone meanwhile."""
        for _ in range(READINGS):
            record: Record = {"type": "verification", "id": entry.id, "status": "ok", "steps": 0}
            journal = None
            try:
                journal = Journal.open(self._store, entry.id)
                if journal is None:
                    return None
                self._verify(journal, self._sound(entry, run), again, record)
                break
            except StoreDamaged as error:
                record |= {"status": "damaged", "error": error.message}
                # Of what is dropped while it is read, parts are missing: that is no damage.
                if journal is None or _is_as_read(self._store, journal):
                    break
            except (NotFound, Rewritten) as error:
                record |= {"status": "unverifiable", "reason": error.message}
        return record

    def _sound(self, entry: Entry, run: Run | StoreDamaged | None) -> Run:
        """The run of a workflow of which nothing but the journal can still be damaged."""
        if isinstance(run, StoreDamaged):
            raise StoreDamaged(f"{entry.id}: {run.message}")
        if run is None:
            raise damaged(entry.id, "its run is missing")
        if entry.no in self._inventory.parts:
            raise damaged(entry.id, self._inventory.parts[entry.no])
        return run

    def _verify(self, journal: Journal, run: Run, again: Refold | None, record: Record) -> None:
        """Read all of the journal, and fold it `again` if that is asked for; what comes of it goes into
        the record. Raises StoreDamaged."""
        timeline = Timeline(journal, run)
        if timeline.first:
            record["kept_from"] = timeline.first
        said = self._twice.get(timeline.id, {})
        reasons = [said["reason"]] if "reason" in said else []
        found = [said["difference"]] if "difference" in said else []
        check = None
        try:
            check = again.begin(timeline) if again else None
        except Unverifiable as reason:
            reasons.insert(0, str(reason))
        for start, records in sound_blocks(journal, timeline):
            self._stop.check()
            record["steps"] += len(records)
            if check:
                check.feed(start, records)
            self._progress(len(records))
        if again and check:
            record["refolded"] = check.executed
            found = [check.difference, *found] if check.difference else found
            reasons = [check.reason, *reasons] if check.reason else reasons
            record["from"] = again.source
            if again.note:
                record["note"] = again.note
        if self._twice:
            record["folded_twice"] = said.get("executed", 0)
        if reasons:
            record |= {"status": "unverifiable", "reason": reasons[0]}
        if found:
            record |= {"status": "different", "differences": found}


def _is_as_read(store: Store, journal: Journal) -> bool:
    """Whether the head of `journal` still is what it was when that was opened."""
    try:
        return store.head(journal.head.id) == journal.head
    except StoreDamaged:
        return True
