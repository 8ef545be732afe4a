"""Journal: the checkpoints of one workflow, in order, over any store.

It decides what is a row and what is a segment: a step that is committed alone becomes a row; when
its block is full the rows give way to one segment, in the same transaction; many steps that arrive
together are packed at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from durproj.errors import NotFound, StoreDamaged, StoreError
from durproj.stores.base import Head, Status, Store
from durproj.stores.block import Block
from durproj.stores.packing import (
    ORIGIN,
    Record,
    Records,
    Segment,
    damaged,
    seal_row,
    unpack,
)

PACK_MIN = 8
"""Fewer steps than this, or than a quarter of what is stored of their block, are cheaper as rows than
packed along with it."""


class Journal:
    """The checkpoints of `head`'s workflow. One writer at a time; after an error from the store the
    journal must not be used further."""

    def __init__(self, store: Store, head: Head) -> None:
        self.store = store
        self.head = head
        last = store.last_row(head.no) if head.no is not None else None
        self.steps = last.step + 1 if last else head.steps
        self._block: Block | None = None

    @classmethod
    def open(cls, store: Store, id: str) -> Journal | None:
        """The journal of workflow `id`, as it is now; None when the store has none."""
        with store.snapshot():
            head = store.head(id)
            if head is None:
                return None
            journal = cls(store, head)
            # What a writer may yet move is read along with the head. Damage is told to who reads it.
            with suppress(StoreDamaged):
                journal._open_block()
            return journal

    # -- appending

    def add(self, step: int, record: Record) -> None:
        """Record one step. It is there when this returns. A step that exists and a gap are refused."""
        head, block = self.head, self._open_block()
        size = len(record.meta) + len(record.input) + len(record.output) + 3
        if (
            step != self.steps
            or head.no is None
            or head.status != "pending"
            or not block.fits(1, size)
        ):
            self.append(step, Records(*([part] for part in record)))
            return
        block.take_one(record, size)
        self.store.add_row(head.no, step, record, seal_row(head.id, step, record))
        block.stored += 1
        self.steps += 1

    def append(self, first: int, records: Records, status: Status = "pending") -> None:
        """Record steps `first`, `first` + 1, …: at least one.

        All are there when this returns, or none. A step that exists and a gap are refused.
        """
        if first != self.steps:
            what = "is recorded already" if first < self.steps else "would leave a gap"
            raise StoreError(
                f"{self.head.id}#{first}: the step {what}; the journal holds {self.steps}"
            )
        self.head.status, self.head.error = status, None
        with self.store.transaction():
            self._append_all(records)

    def save(
        self, status: Status, *, state: bytes | None = None, error: bytes | None = None
    ) -> None:
        """Move the head to the last step, with `status`. `state` is the workflow's result when that
        is not what its last step returned; `error` says why it stopped."""
        head = self.head
        if head.no is None or self.steps != head.steps:
            block = self._open_block()
            head.steps = self.steps
            head.hash = block.hash()
            head.state = block.records.outputs[-1] if block else head.state
        if state is not None:
            head.state = state
        head.status, head.error = status, error
        self.store.save_head(head)

    def _append_all(self, records: Records) -> None:
        """File records into blocks: full ones and beginnings as segments, the rest as rows."""
        block = self._open_block()
        segments: list[Segment] = []
        rows = range(0)
        drop: int | None = None
        at = 0
        while at < len(records):
            part, texts = block.room(records, at)
            block.take(part, texts)
            if block.full() or len(part) >= max(PACK_MIN, block.stored // 4):
                segments.append(block.segment())
            else:
                rows = range(at, at + len(part))
            if block.stored and segments and drop is None:
                drop = block.start
            block.stored = len(block)
            last = block.hash()
            if block.full():
                block = self._block = Block(self.head.id, block.start + len(block), last)
            at += len(part)
        self.steps += len(records)
        head = self.head
        head.steps, head.hash, head.state = self.steps, last, records.outputs[-1]
        self.store.save_head(head)
        assert head.no is not None
        if drop is not None:
            self.store.drop_steps(head.no, drop)
        for segment in segments:
            self.store.add_segment(head.no, segment)
        for at in rows:
            step, record = self.steps - len(records) + at, records[at]
            self.store.add_row(head.no, step, record, seal_row(head.id, step, record))

    # -- reading

    def read(self, step: int) -> Record:
        """The checkpoint of `step`. Raises NotFound beyond the journal, StoreDamaged for a checkpoint
        that is not what was written."""
        start, records = self.block(step)
        return records[step - start]

    def block(self, step: int) -> tuple[int, Records]:
        """The block that holds `step`: its first step and its records. Raises as `read` does."""
        id = self.head.id
        if not 0 <= step < self.steps:
            last = f"steps 0 to {self.steps - 1}" if self.steps else "no step"
            raise NotFound(f"{id}#{step}: no such step", f"{id} has {last}")
        assert self.head.no is not None
        segment = self.store.segment(self.head.no, step)
        if segment and segment.full and step < segment.start + segment.steps:
            return segment.start, unpack(id, segment)
        block = self._open_block()
        if step < block.start:
            raise damaged(f"{id}#{step}", "its segment is missing")
        return block.start, block.records

    def blocks(self, first: int = 0) -> Iterator[tuple[int, Records]]:
        """(step, the records from that step on), block after block, from the block that holds `first`
        to the end. Verifies every block and how they are chained."""
        head = self.head
        end = self._open_block().start if self.steps else 0
        step = min(first, end)
        seed: bytes | None = ORIGIN if step == 0 else None
        while step < end:
            assert head.no is not None
            segment = self.store.segment(head.no, step)
            if (
                segment is None
                or not segment.full
                or not segment.start <= step < segment.start + segment.steps
            ):
                raise damaged(f"{head.id}#{step}", "its segment is missing")
            if seed is not None and segment.seed != seed:
                raise damaged(f"{head.id}#{step}", "the chain of hashes is broken")
            yield segment.start, unpack(head.id, segment)
            step, seed = segment.start + segment.steps, segment.hash
        block = self._open_block()
        if seed is not None and self.steps and block.seed != seed:
            raise damaged(f"{head.id}#{step}", "the chain of hashes is broken")
        if block:
            yield block.start, block.records

    def inputs(self, first: int = 0) -> Iterator[bytes]:
        """The inputs of the steps that there are now, from `first` on."""
        stop = self.steps
        for start, records in self.blocks(first) if first < stop else ():
            yield from records.inputs[max(0, first - start) : stop - start]

    def last_output(self) -> bytes | None:
        """What the last step returned; None when there is no step."""
        return self.read(self.steps - 1).output if self.steps else None

    def rewind(self, steps: int) -> None:
        """Keep the first `steps` steps and drop what came after, damaged or not, failed attempts and
        fired crash points of dropped steps included. The head is then pending."""
        head = self.head
        if not 0 <= steps <= self.steps:
            raise NotFound(f"{head.id}: it has {self.steps} steps, so it cannot go back to {steps}")
        if head.no is None:
            return
        start, kept, seed = 0, Records(), ORIGIN
        if steps:
            segment = self.store.segment(head.no, steps - 1)
            if segment and segment.full and steps <= segment.start + segment.steps:
                start, records, seed = segment.start, unpack(head.id, segment), segment.seed
            else:
                block = self._load_block(steps)
                start, records, seed = block.start, block.records, block.seed
            kept = records.part(0, steps - start)
        with self.store.transaction():
            self.store.drop_steps(head.no, start)
            self.store.drop_attempts(head.no, steps)
            self._block = Block(head.id, start, seed)
            self.steps = start
            head.status, head.error = "pending", None
            head.steps, head.hash, head.state = start, seed, None
            if kept:
                self._append_all(kept)
            else:
                self.store.save_head(head)

    def _open_block(self) -> Block:
        if self._block is None:
            self._block = self._load_block()
        return self._block

    def _load_block(self, steps: int | None = None) -> Block:
        """The open block. `steps`: whatever comes after so many steps does not matter."""
        head = self.head
        if head.no is None:
            return Block(head.id, 0, ORIGIN)
        segment = self.store.segment(head.no)
        if segment is None:
            block = Block(head.id, 0, ORIGIN)
        elif segment.full:
            block = Block(head.id, segment.start + segment.steps, segment.hash)
        else:
            block = Block(head.id, segment.start, segment.seed)
            records = unpack(head.id, segment)
            block.take(records, records.texts())
        step = block.start + len(block)
        self._check_head(step, block)
        for row in self.store.rows(head.no, step):
            if step == steps:
                return block
            if row.step != step:
                raise damaged(f"{head.id}#{step}", "the step is missing")
            if row.hash != seal_row(head.id, step, row.record):
                raise damaged(f"{head.id}#{step}", "the seal does not match")
            block.take_one(row.record, sum(map(len, row.record)) + 3)
            step += 1
            self._check_head(step, block)
        short = step < steps if steps is not None else step != self.steps or step < head.steps
        if short:
            raise damaged(f"{head.id}#{step}", "steps are missing")
        block.stored = len(block)
        return block

    def _check_head(self, step: int, block: Block) -> None:
        if step == self.head.steps and step and block.hash() != self.head.hash:
            raise damaged(f"{self.head.id}#{step - 1}", "its hash is not the one in the head")
