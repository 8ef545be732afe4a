"""What a store is: a few verbs over bytes, the same for every database.

A store keeps heads (one row a workflow), checkpoints (rows for the newest, segments for the rest),
failed attempts, and runs (what was asked for, so that it can be resumed). It knows nothing of events
or reducers. `journal.Journal` is what appends and reads checkpoints, over any store.

Contract, tested by one suite over every store:

- What was written in `transaction()` is there wholly after it, or, when it or one nested in it
  raises, not at all. A verb outside a transaction is a transaction of its own.
- After a verb or transaction returns, its effect survives a killed process.
- `add_row` and `add_segment` refuse, with StoreError, a step or segment that exists.
- Readers see only committed, whole checkpoints, and within `snapshot()` those of one instant.
- A damaged head, run, attempt, row or segment raises StoreDamaged (rows and segments: once `Journal`
  reads them); its content is never returned, and where heads, runs, attempts or crash points are
  missing from all of them, that is damage. What was cut off the end of a journal that is not finished
  cannot be told from steps never made, and is made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from durproj.errors import StoreDamaged
from durproj.stores.packing import ORIGIN, Record, Segment

Status = Literal["pending", "resolved", "rejected", "parked"]
Durability = Literal["step", "fsync", "batch"]


class Past(NamedTuple):
    """What a workflow was before: the `id` under which it was begun, which its hashes cover; how many
    of its oldest `steps` are no longer kept, the `hash` of the last of them and a digest of their
    `inputs` (`packing.digest_inputs`)."""

    id: str
    steps: int = 0
    hash: bytes = ORIGIN
    inputs: bytes = ORIGIN


@dataclass(slots=True)
class Head:
    """One workflow. `steps`, `state` (JSON) and `hash` are as of the last time the head moved:
    steps committed one by one since then are rows beyond it, which `Journal` counts in.

    `prefix_steps`: how many of its events lie in the first `prefix_bytes` bytes of the run's input.
    When the run's cursor stands elsewhere, all of its steps come from before the cursor.

    `past`: None for a workflow that has its first id and all of its steps; `updated_ms`: when a run or
    a user last moved it, in ms since 1970; upkeep leaves that as it is."""

    id: str
    name: str
    key: str
    run: int
    status: Status = "pending"
    steps: int = 0
    state: bytes | None = None
    error: bytes | None = None
    hash: bytes = b""
    prefix_bytes: int = 0
    prefix_steps: int = 0
    no: int | None = None
    past: Past | None = None
    updated_ms: int = field(default=0, compare=False)

    @property
    def origin(self) -> str:
        """The id that its hashes cover."""
        return self.past.id if self.past else self.id

    @property
    def dropped(self) -> int:
        """How many of its oldest steps are no longer kept."""
        return self.past.steps if self.past else 0


class Row(NamedTuple):
    """One checkpoint that is not packed yet."""

    step: int
    record: Record
    hash: bytes


class Attempt(NamedTuple):
    """One failed attempt: `at` and `retry_at` in ms since 1970; `retry_at` None: no further try."""

    at: int
    kind: str
    message: str
    retry_at: int | None


@dataclass(slots=True)
class Run:
    """One thing that was asked for: `options` are what `resume` needs to ask for it again,
    `identity` tells it from others of the same name. `cursor`: how far its input is wholly
    checkpointed; `complete`: nothing of it is left to do."""

    name: str
    identity: str
    options: dict[str, Any]
    cursor: dict[str, Any] | None = None
    complete: bool = False
    no: int | None = None
    updated_ms: int = field(default=0, compare=False)


class Store(Protocol):
    """A place for checkpoints. Steps count from 0; `no` numbers a workflow within its store."""

    location: str

    def transaction(self) -> AbstractContextManager[None]:
        """All of it or nothing. May be nested; the outermost one counts."""

    def snapshot(self) -> AbstractContextManager[None]:
        """What is read inside is as of one instant. May be nested. Not for long: it may hold a writer up."""

    def close(self) -> None:
        """Let go of the store. Nothing is lost if this is never called."""

    def head(self, id: str) -> Head | None:
        """The head of workflow `id`; None when there is none."""

    def numbered(self, no: int) -> Head | None:
        """The head of the workflow of this number, whatever its id is by now; None when there is none."""

    def heads(
        self,
        name: str | None = None,
        run: int | None = None,
        damaged: list[StoreDamaged] | None = None,
    ) -> Iterator[Head]:
        """All heads, or those of one name or run, in the order in which the workflows began. A damaged one
        raises; where `damaged` is given, the error is put there, and the others follow."""

    def has_workflows(self, run: int) -> bool:
        """Whether any workflow is this run's."""

    def save_head(self, head: Head) -> None:
        """Write a head down, moved now; a new one gets its `no`. What names it, and its past, stay as
        they are."""

    def save_past(self, head: Head) -> None:
        """Write down all of a head that is there, with what names it, its past and when it was moved."""

    def drop_workflow(self, no: int) -> None:
        """Drop a workflow with all it recorded."""

    def rows(self, no: int, first: int = 0) -> list[Row]:
        """The steps that are rows, from step `first` on, in order."""

    def last_row(self, no: int) -> Row | None:
        """The newest step, if it is a row."""

    def segment(self, no: int, step: int | None = None) -> Segment | None:
        """The last segment that starts at or before `step`; the last of all for None."""

    def add_row(self, no: int, step: int, record: Record, hash: bytes) -> None:
        """Record one step. Refuses one that is a row already."""

    def add_segment(self, no: int, segment: Segment) -> None:
        """Record a segment. Refuses one that starts where another does."""

    def drop_steps(self, no: int, first: int) -> None:
        """Drop the rows from step `first` on, and the segments that start there or later."""

    def drop_steps_before(self, no: int, first: int) -> None:
        """Drop the rows and segments that start before step `first`, and what is known of attempts and
        crash points there."""

    def bytes_before(self, no: int, first: int) -> int:
        """How many bytes the steps before step `first` take, those of a segment in equal shares."""

    def attempts(self, no: int, step: int) -> list[Attempt]:
        """The failed attempts at a step, oldest first."""

    def add_attempt(self, no: int, step: int, attempt: Attempt) -> None:
        """Record a failed attempt."""

    def crashed(self, no: int, step: int) -> bool:
        """Whether the crash point at a step has fired."""

    def add_crash(self, no: int, step: int) -> None:
        """Record that the crash point at a step fires."""

    def drop_attempts(self, no: int, first: int) -> None:
        """Forget failed attempts and fired crash points from step `first` on."""

    def find_run(self, name: str, identity: str) -> Run | None:
        """The run of this name and identity; None when there is none."""

    def run(self, no: int) -> Run | None:
        """The run of this number; None when there is none."""

    def runs(self) -> list[Run]:
        """All runs, the one that was saved last at the end."""

    def save_run(self, run: Run) -> None:
        """Write a run down, also under another name than it had; a new one gets its `no`. No two of one
        name have one identity."""

    def drop_run(self, no: int) -> None:
        """Forget a run, which must have no workflow."""
