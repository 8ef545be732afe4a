"""Journal: the checkpoints of one workflow, in order, over any store.

It decides what is a row and what is a segment: a step that is committed alone becomes a row; when
its block is full the rows give way to one segment, in the same transaction; many steps that arrive
together are packed at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING

from durproj.errors import NotFound, StoreDamaged, StoreError
from durproj.stores.base import Head, Status, Store
from durproj.stores.packing import (
    BLOCK_BYTES,
    BLOCK_STEPS,
    HASH_BYTES,
    ORIGIN,
    Record,
    Segment,
    absorb,
    damaged,
    pack,
    seeded,
    unpack,
)

if TYPE_CHECKING:
    from hashlib import _Hash

PACK_MIN = 8
"""Fewer steps than this are cheaper as rows than as a segment of their own."""


class _Block:
    """The block that is still open: its records so far, and the hash over them."""

    __slots__ = ("flat", "hasher", "seed", "size", "start", "stored")

    def __init__(self, id: str, start: int, seed: bytes) -> None:
        self.start = start
        self.seed = seed
        self.hasher: _Hash = seeded(id, start, seed)
        self.flat: list[bytes] = []
        self.size = 0
        self.stored = 0

    def take(self, flat: Sequence[bytes]) -> bytes:
        """Add records; the hash of the last of them."""
        absorb(self.hasher, flat)
        self.flat += flat
        self.size += sum(map(len, flat))
        return self.hasher.digest()[:HASH_BYTES]

    def room(self, flat: Sequence[bytes], at: int) -> int:
        """The position in `flat` up to which records from `at` on still belong to this block."""
        stop = min(len(flat), at + 3 * BLOCK_STEPS - len(self.flat))
        if self.size + sum(map(len, flat[at:stop])) < BLOCK_BYTES:
            return stop
        sizes = accumulate(
            len(flat[i]) + len(flat[i + 1]) + len(flat[i + 2]) for i in range(at, stop, 3)
        )
        for count, size in enumerate(sizes, 1):
            if self.size + size >= BLOCK_BYTES:
                return at + 3 * count
        return stop

    def fits(self, flat: Sequence[bytes]) -> bool:
        """Whether the block is still open after one more record."""
        return (
            len(self.flat) < 3 * (BLOCK_STEPS - 1) and self.size + sum(map(len, flat)) < BLOCK_BYTES
        )

    def full(self) -> bool:
        return len(self.flat) >= 3 * BLOCK_STEPS or self.size >= BLOCK_BYTES

    def segment(self, hash: bytes) -> Segment:
        steps = len(self.flat) // 3
        return Segment(self.start, steps, self.full(), self.seed, hash, pack(self.flat))


class Journal:
    """The checkpoints of `head`'s workflow. One writer at a time; after an error from the store the
    journal must not be used further."""

    def __init__(self, store: Store, head: Head) -> None:
        self.store = store
        self.head = head
        last = store.last_row(head.no) if head.no is not None else None
        self.steps = last.step + 1 if last else head.steps
        self._block: _Block | None = None

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

    def append(self, first: int, flat: Sequence[bytes], status: Status = "pending") -> None:
        """Record steps `first`, `first` + 1, …, given as a flat list (meta, input, output, …).

        All are there when this returns, or none. A step that exists and a gap are refused.
        """
        if first != self.steps:
            what = "is recorded already" if first < self.steps else "would leave a gap"
            raise StoreError(
                f"{self.head.id}#{first}: the step {what}; the journal holds {self.steps}"
            )
        block = self._open_block()
        head = self.head
        if (
            len(flat) == 3
            and head.no is not None
            and head.status == status == "pending"
            and block.fits(flat)
        ):
            hash = block.take(flat)
            self.store.add_row(head.no, self.steps, Record(*flat), hash)
            block.stored += 1
            self.steps += 1
            return
        head.status = status
        head.error = None
        with self.store.transaction():
            self._append_all(flat)

    def save(
        self, status: Status, *, state: bytes | None = None, error: bytes | None = None
    ) -> None:
        """Move the head to the last step, with `status`. `state` is the workflow's result when that
        is not what its last step returned; `error` says why it stopped."""
        head = self.head
        if head.no is None or self.steps != head.steps:
            block = self._open_block()
            head.steps = self.steps
            head.hash = block.hasher.digest()[:HASH_BYTES] if block.flat else block.seed
            head.state = block.flat[-1] if block.flat else head.state
        if state is not None:
            head.state = state
        head.status, head.error = status, error
        self.store.save_head(head)

    def _append_all(self, flat: Sequence[bytes]) -> None:
        """File records into blocks: full ones and beginnings as segments, the rest as rows."""
        block = self._open_block()
        segments: list[Segment] = []
        rows: list[tuple[int, Record, bytes]] = []
        drop: int | None = None
        at = 0
        hash = self.head.hash
        while at < len(flat):
            stop = block.room(flat, at)
            closes = stop < len(flat) or len(block.flat) + stop - at == 3 * BLOCK_STEPS
            if closes or (not block.stored and stop - at >= 3 * PACK_MIN):
                hash = block.take(flat[at:stop])
                segments.append(block.segment(hash))
            else:
                for i in range(at, stop, 3):
                    hash = block.take(flat[i : i + 3])
                    rows.append((self.steps + i // 3, Record(*flat[i : i + 3]), hash))
            if block.full() and rows:  # it filled up by its size, row by row
                rows = []
                segments.append(block.segment(hash))
            if block.stored and segments and drop is None:
                drop = block.start
            block.stored = len(block.flat) // 3
            if block.full():
                block = self._block = _Block(self.head.id, block.start + block.stored, hash)
            at = stop
        self.steps += len(flat) // 3
        head = self.head
        head.steps, head.hash, head.state = self.steps, hash, flat[-1]
        self.store.save_head(head)
        assert head.no is not None
        if drop is not None:
            self.store.drop_steps(head.no, drop)
        for segment in segments:
            self.store.add_segment(head.no, segment)
        for step, record, row_hash in rows:
            self.store.add_row(head.no, step, record, row_hash)

    # -- reading

    def read(self, step: int) -> Record:
        """The checkpoint of `step`. Raises NotFound beyond the journal, StoreDamaged for a checkpoint
        that is not what was written."""
        id = self.head.id
        if not 0 <= step < self.steps:
            last = f"steps 0 to {self.steps - 1}" if self.steps else "no step"
            raise NotFound(f"{id}#{step}: no such step", f"{id} has {last}")
        assert self.head.no is not None
        segment = self.store.segment(self.head.no, step)
        if segment and segment.full and step < segment.start + segment.steps:
            at = 3 * (step - segment.start)
            return Record(*unpack(id, segment)[at : at + 3])
        block = self._open_block()
        if step < block.start:
            raise damaged(f"{id}#{step}", "its segment is missing")
        at = 3 * (step - block.start)
        return Record(*block.flat[at : at + 3])

    def blocks(self, first: int = 0) -> Iterator[tuple[int, list[bytes]]]:
        """(step, records as a flat list from that step on), block after block, from the block that
        holds `first` to the end. Verifies every block and how they are chained."""
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
        if block.flat:
            yield block.start, block.flat

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
        start, kept, seed = 0, list[bytes](), ORIGIN
        if steps:
            segment = self.store.segment(head.no, steps - 1)
            if segment and segment.full and steps <= segment.start + segment.steps:
                start, flat, seed = segment.start, unpack(head.id, segment), segment.seed
            else:
                block = self._load_block(steps)
                start, flat, seed = block.start, block.flat, block.seed
            kept = flat[: 3 * (steps - start)]
        with self.store.transaction():
            self.store.drop_steps(head.no, start)
            self.store.drop_attempts(head.no, steps)
            self._block = _Block(head.id, start, seed)
            self.steps = start
            head.status, head.error = "pending", None
            head.steps, head.hash, head.state = start, seed, None
            if kept:
                self._append_all(kept)
            else:
                self.store.save_head(head)

    def _open_block(self) -> _Block:
        if self._block is None:
            self._block = self._load_block()
        return self._block

    def _load_block(self, steps: int | None = None) -> _Block:
        """The open block. `steps`: whatever comes after so many steps does not matter."""
        head = self.head
        if head.no is None:
            return _Block(head.id, 0, ORIGIN)
        segment = self.store.segment(head.no)
        if segment is None:
            block = _Block(head.id, 0, ORIGIN)
        elif segment.full:
            block = _Block(head.id, segment.start + segment.steps, segment.hash)
        else:
            block = _Block(head.id, segment.start, segment.seed)
            block.take(unpack(head.id, segment))
        hash = block.hasher.digest()[:HASH_BYTES] if block.flat else block.seed
        step = block.start + len(block.flat) // 3
        self._check_head(step, hash)
        for row in self.store.rows(head.no, step):
            if step == steps:
                return block
            if row.step != step:
                raise damaged(f"{head.id}#{step}", "the step is missing")
            hash = block.take(row.record)
            if row.hash != hash:
                raise damaged(f"{head.id}#{step}", "the hash does not match")
            step += 1
            self._check_head(step, hash)
        short = step < steps if steps is not None else step != self.steps or step < head.steps
        if short:
            raise damaged(f"{head.id}#{step}", "steps are missing")
        block.stored = len(block.flat) // 3
        return block

    def _check_head(self, step: int, hash: bytes) -> None:
        if step == self.head.steps and step and hash != self.head.hash:
            raise damaged(f"{self.head.id}#{step - 1}", "its hash is not the one in the head")
