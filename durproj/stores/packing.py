r"""Segments: up to 256 consecutive checkpoints in one zstd frame, and the hash that chains them.

A record is three lines of JSON: meta (which function made the step), input (what it was given) and
output (what it returned). A journal's records fall into blocks: a block is full at BLOCK_STEPS
records or when it reaches BLOCK_BYTES, so where blocks begin depends on the records alone, never on
commits or crashes. The hash of a step is

    SHA-256(seed ‖ `<first step of its block> <workflow's id>` ‖ the block's records up to and
            including it), each part but the seed ending in \\n, as do a record's three lines

where the seed is the hash of the last step of the block before, cut to 16 bytes as it is stored (16
zero bytes for the first block). It is therefore the same however the steps were committed, packed,
interrupted and resumed, and no block passes for another, nor for one of another workflow.

A segment holds a block, or the beginning of one, column by column (all metas, all inputs, all
outputs, joined by \\n), which compresses better and faster than record by record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from durproj.errors import StoreDamaged

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK_STEPS = 256
BLOCK_BYTES = 4 * 1024 * 1024
HASH_BYTES = 16
ORIGIN = bytes(HASH_BYTES)
"""The seed of a workflow's first block."""
LEVEL = 1
"""Level 3 costs 15 % more time on the account stream and saves nothing there."""


class Record(NamedTuple):
    """One checkpoint: three pieces of JSON without raw line breaks."""

    meta: bytes
    input: bytes
    output: bytes


class Segment(NamedTuple):
    """`steps` records from step `start`, packed. `seed` and `hash` chain it to its neighbours."""

    start: int
    steps: int
    full: bool
    seed: bytes
    hash: bytes
    packed: bytes


def seeded(id: str, start: int, seed: bytes) -> _Hash:
    """A hash object at the beginning of the block that starts at step `start` of workflow `id`."""
    return hashlib.sha256(b"%b%d %b\n" % (seed, start, id.encode()))


def absorb(hasher: _Hash, flat: Sequence[bytes]) -> None:
    """Take records, given as a flat list (meta, input, output, meta, …), into the hash."""
    if flat:
        hasher.update(b"\n".join(flat))
        hasher.update(b"\n")


def seal(*parts: bytes | str | int | None) -> bytes:
    """A hash over the columns of one row and their types: a flipped bit may change either."""
    # The text of a tuple of these tells types and borders apart, and ascii() is the same everywhere.
    return hashlib.sha256(ascii(parts).encode()).digest()[:HASH_BYTES]


def pack(flat: Sequence[bytes]) -> bytes:
    """Records, as a flat list, in one zstd frame."""
    from durproj.zstd import compress

    columns = (b"\n".join(flat[column::3]) for column in range(3))
    return compress(b"\n".join(columns), LEVEL)


def unpack(id: str, segment: Segment) -> list[bytes]:
    """The records of a segment as a flat list. Raises StoreDamaged unless they are, bit for bit,
    the records that were packed."""
    from durproj.zstd import ZstdError, decompress

    where = f"{id}: steps {segment.start} to {segment.start + segment.steps - 1}"
    try:
        parts = decompress(segment.packed).split(b"\n")
    except ZstdError as error:
        raise damaged(where, str(error)) from None
    if len(parts) != 3 * segment.steps:
        raise damaged(where, f"{len(parts)} pieces, expected {3 * segment.steps}")
    flat = [b""] * len(parts)
    for column in range(3):
        flat[column::3] = parts[column * segment.steps : (column + 1) * segment.steps]
    hasher = seeded(id, segment.start, segment.seed)
    absorb(hasher, flat)
    if hasher.digest()[:HASH_BYTES] != segment.hash:
        raise damaged(where, "the hash does not match")
    if segment.full != is_full(flat):
        raise damaged(where, "it is marked as what it is not")
    return flat


def is_full(flat: Sequence[bytes]) -> bool:
    """Whether these records, as a flat list, fill a block."""
    return len(flat) >= 3 * BLOCK_STEPS or sum(map(len, flat)) >= BLOCK_BYTES


def damaged(where: str, why: str) -> StoreDamaged:
    """The error for stored bytes that are not the bytes that were written."""
    return StoreDamaged(
        f"{where}: the store is damaged: {why}",
        "restore the store from a backup, or rewind the workflow before these steps and run again",
    )


def records(flat: Sequence[bytes]) -> list[Record]:
    """A flat list as records."""
    return [Record(*flat[at : at + 3]) for at in range(0, len(flat), 3)]
