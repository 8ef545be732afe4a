"""The block of a journal that is still open."""

from __future__ import annotations

from itertools import accumulate

from durproj.stores.packing import (
    BLOCK_BYTES,
    BLOCK_STEPS,
    Chain,
    Record,
    Records,
    Segment,
    is_full,
)


class Block:
    """The open block of workflow `id`, from step `start` on: its records so far, and the hash of the last
    of them. `seed`: the hash before its first; `stored`: how many of its records are in the store."""

    __slots__ = ("_chain", "_chained", "_size", "records", "seed", "start", "stored")

    def __init__(self, id: str, start: int, seed: bytes) -> None:
        self.start = start
        self.seed = seed
        self.records = Records()
        self.stored = 0
        self._size = 0
        self._chain = Chain(id, start, seed)
        self._chained = 0

    def __len__(self) -> int:
        return len(self.records)

    def take(self, records: Records, texts: tuple[bytes, bytes, bytes]) -> None:
        """Add records; `texts` are theirs."""
        self._catch_up()
        self.records.extend(records)
        self._size += sum(map(len, texts))
        self._chain.absorb(texts)
        self._chained = len(self)

    def take_one(self, record: Record, size: int) -> None:
        """Add one record of `size` bytes."""
        self.records.metas.append(record.meta)
        self.records.inputs.append(record.input)
        self.records.outputs.append(record.output)
        self._size += size

    def hash(self) -> bytes:
        """The hash of the last record, or the seed."""
        self._catch_up()
        return self._chain.digest() if self._chained else self.seed

    def _catch_up(self) -> None:
        # Records that came one by one are hashed together: most of their hashes nobody asks for.
        if self._chained < len(self):
            self._chain.absorb(self.records.part(self._chained, len(self)).texts())
            self._chained = len(self)

    def room(self, records: Records, at: int) -> tuple[Records, tuple[bytes, bytes, bytes]]:
        """As many of `records` from `at` on as still belong to this block, and their texts."""
        part = records.part(at, at + BLOCK_STEPS - len(self))
        texts = part.texts()
        left = BLOCK_BYTES - self._size
        if sum(map(len, texts)) < left:
            return part, texts
        sizes = accumulate(sum(map(len, record)) + 3 for record in part)
        part = part.part(0, next(count for count, size in enumerate(sizes, 1) if size >= left))
        return part, part.texts()

    def fits(self, steps: int, size: int) -> bool:
        """Whether the block is still open after so many more steps and bytes."""
        return not is_full(len(self) + steps, self._size + size)

    def full(self) -> bool:
        """Whether nothing more belongs to it."""
        return is_full(len(self), self._size)

    def segment(self) -> Segment:
        """All of it, packed."""
        hash = self.hash()
        return Segment(self.start, len(self), self.full(), self.seed, hash, self._chain.pack())
