"""Journal: the checkpoints of one workflow, in order, over any store.

It decides what is a row and what is a segment: a step that is committed alone becomes a row; when
its block is full the rows give way to one segment, in the same transaction; many steps that arrive
together are packed at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from durproj.errors import NotFound, Rewritten, StoreDamaged, StoreError
from durproj.stores.base import Head, Past, Status, Store
from durproj.stores.block import Block
from durproj.stores.full_blocks import FullBlocks
from durproj.stores.loading import damaged_step, first_block, hash_after, load_block, load_segment
from durproj.stores.packing import Chain, Record, Records, Segment, digest_inputs, seal_row
from durproj.wording import first, number

PACK_MIN = 8
"""Fewer steps than this, or than a quarter of what is stored of their block, are cheaper as rows than
packed along with it."""


class Journal:
    """The checkpoints of `head`'s workflow. One writer at a time; after an error from the store the
    journal must not be used further."""

    def __init__(self, store: Store, head: Head) -> None:
        self.store = store
        self.head = head
        self._origin = head.origin
        last = store.last_row(head.no) if head.no is not None else None
        self.steps = max(head.steps, last.step + 1) if last else head.steps
        self._block: Block | None = None
        self._full: FullBlocks | None = None

    @classmethod
    def open(cls, store: Store, id: str, no: int | None = None) -> Journal | None:
        """The journal of workflow `id`, as it is now; None when the store has none. `no`: of the workflow
        of this number, which was `id` and may go by another id by now."""
        with store.snapshot():
            head = store.head(id) if no is None else store.numbered(no)
            if head is None:
                return None
            if head.id != id:
                head = replace(head, id=id)
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
        self.store.add_row(head.no, step, record, seal_row(self._origin, step, record))
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
                block = self._block = Block(self._origin, block.start + len(block), last)
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
            self.store.add_row(head.no, step, record, seal_row(self._origin, step, record))

    # -- reading

    def read(self, step: int) -> Record:
        """The checkpoint of `step`. Raises NotFound beyond the journal, StoreDamaged for a checkpoint
        that is not what was written, Rewritten for a history that was rewritten since this was opened."""
        start, records = self.block(step)
        return records[step - start]

    def block(self, step: int) -> tuple[int, Records]:
        """The block that holds `step`: its first step and its records. It is verified, and so is how it is
        chained to the blocks beside it. Raises as `read` does, and Rewritten."""
        id = self.head.id
        if not 0 <= step < self.steps:
            last = f"steps 0 to {self.steps - 1}" if self.steps else "no step"
            raise NotFound(f"{id}#{step}: no such step", f"{id} has {last}")
        if step < self.head.dropped:
            raise self._not_kept(step)
        try:
            return self._block_of(step)
        except StoreDamaged:
            if overtaken := self._overtaken(step):
                raise overtaken from None
            raise

    def blocks(self, first: int | None = None) -> Iterator[tuple[int, Records]]:
        """(step, the records from that step on), block after block, from the block that holds `first`
        to the end; None: from the first step that is kept. Raises as `block` does."""
        step = self.head.dropped if first is None else first
        if step < self.head.dropped:
            raise self._not_kept(step)
        self._open_block()
        stop = self.steps
        while step < stop:
            start, records = self.block(step)
            yield start, records
            step = start + len(records)

    def inputs(self, first: int = 0) -> Iterator[bytes]:
        """The inputs of the steps that there are now, from `first` on."""
        stop = self.steps
        for start, records in self.blocks(first) if first < stop else ():
            yield from records.inputs[max(0, first - start) : stop - start]

    def last_output(self) -> bytes | None:
        """What the last step returned; None when there is no step."""
        if self.steps == self.head.dropped:
            return self.head.state
        return self.read(self.steps - 1).output

    def rewind(self, steps: int) -> None:
        """Keep the first `steps` steps and drop what came after, damaged or not, failed attempts and
        fired crash points of dropped steps included. The head is then pending."""
        head = self.head
        if not 0 <= steps <= self.steps:
            has = number(self.steps, "step")
            raise NotFound(f"{head.id}: it has {has}, so it cannot go back to {steps:,}")
        if head.no is None:
            return
        if 0 < head.dropped >= steps < self.steps:
            raise self._not_kept(steps - 1)
        start, kept, seed = head.dropped, Records(), first_block(head).seed
        state = head.state if start else None
        if steps > start:
            segment = self.store.segment(head.no, steps - 1)
            if segment and segment.full and steps <= segment.start + segment.steps:
                start, records, seed = segment.start, load_segment(head, segment), segment.seed
            else:
                block = load_block(self.store, head, self.steps, upto=steps)
                start, records, seed = block.start, block.records, block.seed
            kept = records.part(0, steps - start)
        self._full = None
        with self.store.transaction():
            self.store.drop_steps(head.no, start)
            self.store.drop_attempts(head.no, steps)
            self._block = Block(self._origin, start, seed)
            self.steps = start
            head.status, head.error = "pending", None
            head.steps, head.hash, head.state = start, seed, state
            if kept:
                self._append_all(kept)
            else:
                self.store.save_head(head)

    def kept_by(self, keep: int) -> int:
        """The first step that `trim(keep)` leaves: the newest `keep` stay and, as steps in full blocks go
        block by block, up to a block more."""
        at = max(self.head.dropped, self.steps - keep)
        return at if at >= self._open_block().start else self.block(at)[0]

    def trim(self, keep: int) -> int:
        """Drop the oldest steps, up to `kept_by(keep)`; returns how many were dropped. The head's state
        stays, whatever is dropped, and so does a digest of the dropped inputs. Raises StoreDamaged when
        a dropped step is not what was written."""
        head, block, at = self.head, self._open_block(), self.kept_by(keep)
        past = head.past or Past(head.id)
        if at == past.steps:
            return 0
        kept = Records()
        digest, seed = past.inputs, past.hash
        for start, records in self.blocks(past.steps):
            part = records.part(0, at - start)
            kept = records.part(at - start, len(records))
            chain = Chain(self._origin, start, seed)
            chain.absorb(part.texts())
            digest, seed = digest_inputs(digest, part.inputs), chain.digest()
            if start + len(records) >= at:
                break
        assert head.no is not None
        self._full = None
        moved_ms = head.updated_ms
        with self.store.transaction():
            head.past = Past(past.id, at, seed, digest)
            if at > block.start:
                self.store.drop_steps(head.no, block.start)
            self.store.drop_steps_before(head.no, at)
            if at > block.start:
                self._append_again(at, kept)
            head.updated_ms = moved_ms
            self.store.save_past(head)
        return at - past.steps

    def _append_again(self, at: int, kept: Records) -> None:
        """Record `kept`, from step `at` on, as a block of their own: what was before them in it has been
        dropped. The head stays as it was but for its hash, and is not written down."""
        head = self.head
        state, self.steps = head.state, at
        self._block = first_block(head)
        if kept:
            self._append_all(kept)
        head.steps, head.hash, head.state = self.steps, self._block.hash(), state

    def _block_of(self, step: int) -> tuple[int, Records]:
        with suppress(StoreDamaged):
            self._open_block()
        if self._block is None or step < self._block.start:
            self._full = self._full or FullBlocks(self.store, self.head)
            if found := self._full.holding(step, self._block):
                return found
        block = self._open_block()
        if step < block.start:
            raise damaged_step(self.head, step, "its segment is missing")
        return block.start, block.records

    def _overtaken(self, step: int) -> NotFound | Rewritten | None:
        """Why `step` is not what is to be there, if that is because others wrote to the workflow since
        this was opened; None: the store is damaged."""
        head, block = self.head, self._block
        with self.store.snapshot():
            now = self.store.head(head.id)
            if now is None:
                return NotFound(f"{head.id}: dropped meanwhile")
            if now == head and now.updated_ms == head.updated_ms:
                return None  # nothing was rewritten since
            if now.no == head.no and step < now.dropped:
                self.head = now
                return self._not_kept(step)
            steps, hash = (self.steps, block.hash()) if block else (head.steps, head.hash)
            if now.no == head.no and hash_after(self.store, now, steps) == hash:
                return None
        return Rewritten(
            f"{head.id}: its history was rewritten while it was read", "run the command again"
        )

    def _not_kept(self, step: int) -> NotFound:
        dropped = self.head.dropped
        return NotFound(
            f"{self.head.id}#{max(0, step)}: no longer kept: durproj gc dropped {first(dropped, 'step')}",
            f"{self.head.id} has steps {dropped} to {self.steps - 1}"
            if dropped < self.steps
            else f"of {self.head.id} only the latest state is kept",
        )

    def _open_block(self) -> Block:
        if self._block is None:
            self._block = load_block(self.store, self.head, self.steps)
        return self._block
