r"""Segments: up to 256 consecutive checkpoints in one zstd frame, and the hash that chains them.

A record is three pieces of JSON: meta (which function made the step), input (what it was given) and
output (what it returned). A journal's records fall into blocks: a block is full at BLOCK_STEPS records
or when it reaches BLOCK_BYTES, so where blocks begin depends on the records alone, never on commits or
crashes. A column is the metas, the inputs or the outputs of a block, each ended by \n. The hash of a
step is

    BLAKE3(seed ‖ `<first step of its block> <workflow's id>\n` ‖
           BLAKE3(metas) ‖ BLAKE3(inputs) ‖ BLAKE3(outputs))

cut to 16 bytes, over the columns of its block up to and including it. The seed is the hash of the last
step of the block before, 16 zero bytes for the first block. The hash is therefore the same however the
steps were committed, packed, interrupted and resumed, and no block passes for another, nor for one of
another workflow. The id is the one that the workflow was begun under. Where the oldest steps were dropped
out of the middle of a block, the rest of it is a block of its own: from there on, hashes are not those of
the same journal with all of its steps.

A step that is still a row has a seal of its own instead: BLAKE3, cut to 16 bytes, over a line
`<step> <workflow's id>` and the three pieces, each ended by \n.

A segment holds a block, or the beginning of one: a line with the lengths of its first two columns in
bytes, then the columns. That compresses better and faster than record by record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from blake3 import blake3

from durproj.errors import StoreDamaged

BLOCK_STEPS = 256
BLOCK_BYTES = 4 * 1024 * 1024
_UNPACKED_MAX = 1 << 30
# Of a block, only the last record goes beyond its 4 MiB, and SQLite holds no value of 10^9 bytes.
HASH_BYTES = 16
ORIGIN = bytes(HASH_BYTES)
"""The seed of a workflow's first block."""


class Record(NamedTuple):
    """One checkpoint: three pieces of JSON without raw line breaks."""

    meta: bytes
    input: bytes
    output: bytes


@dataclass(slots=True)
class Records:
    """Consecutive checkpoints, column by column."""

    metas: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.outputs)

    def __getitem__(self, at: int) -> Record:
        return Record(self.metas[at], self.inputs[at], self.outputs[at])

    def __iter__(self) -> Iterator[Record]:
        return map(Record, self.metas, self.inputs, self.outputs)

    def part(self, start: int, stop: int) -> Records:
        """The records from `start` up to `stop`."""
        return Records(self.metas[start:stop], self.inputs[start:stop], self.outputs[start:stop])

    def extend(self, more: Records) -> None:
        """Add records at the end."""
        self.metas += more.metas
        self.inputs += more.inputs
        self.outputs += more.outputs

    def texts(self) -> tuple[bytes, bytes, bytes]:
        """The columns, each piece ended by a line end."""
        return _text(self.metas), _text(self.inputs), _text(self.outputs)


def _text(column: list[bytes]) -> bytes:
    return b"\n".join((*column, b""))


class Segment(NamedTuple):
    """`steps` records from step `start`, packed. `seed` and `hash` chain it to its neighbours."""

    start: int
    steps: int
    full: bool
    seed: bytes
    hash: bytes
    packed: bytes


class Chain:
    """The columns of a block as they grow, and the hash over them. The block begins at step `start` of
    workflow `id`."""

    __slots__ = ("_hashers", "_origin", "_pieces")

    def __init__(self, id: str, start: int, seed: bytes) -> None:
        self._origin = b"%b%d %b\n" % (seed, start, id.encode())
        self._hashers = (blake3(), blake3(), blake3())
        self._pieces: tuple[list[bytes], ...] = ([], [], [])

    def absorb(self, texts: tuple[bytes, bytes, bytes]) -> None:
        """Take the columns of further records in; there is at least one."""
        for hasher, pieces, text in zip(self._hashers, self._pieces, texts, strict=True):
            hasher.update(text)
            pieces.append(text)

    def digest(self) -> bytes:
        """The hash of the last step taken in."""
        digests = (hasher.digest() for hasher in self._hashers)
        return blake3(b"".join((self._origin, *digests))).digest(HASH_BYTES)

    def pack(self) -> bytes:
        """The columns in one zstd frame."""
        from durproj.zstd import compress

        metas, inputs, outputs = self._pieces
        lengths = sum(map(len, metas)), sum(map(len, inputs))
        return compress(b"".join((b"%d %d\n" % lengths, *metas, *inputs, *outputs)))


def digest_inputs(digest: bytes, inputs: Iterable[bytes]) -> bytes:
    """`digest` of a journal's first inputs (ORIGIN for none), taken over the `inputs` that follow: for
    each, BLAKE3 over the digest so far and the input, cut to 16 bytes."""
    for line in inputs:
        digest = blake3(digest + line).digest(HASH_BYTES)
    return digest


def seal_row(id: str, step: int, record: Record) -> bytes:
    """The seal of a step that is a row."""
    return blake3(b"%d %b\n%b\n%b\n%b\n" % (step, id.encode(), *record)).digest(HASH_BYTES)


def seal(*parts: bytes | str | int | None) -> bytes:
    """A hash over the columns of one row and their types: a flipped bit may change either."""
    # The text of a tuple of these tells types and borders apart, and ascii() is the same everywhere.
    return blake3(ascii(parts).encode()).digest(HASH_BYTES)


def unpack(id: str, segment: Segment, name: str | None = None) -> Records:
    """The records of a segment of the workflow that was begun as `id`; `name`: its id now. Raises
    StoreDamaged unless they are, bit for bit, those that were packed."""
    from durproj.zstd import ZstdError, decompress_one

    where = f"{name or id}: steps {segment.start} to {segment.start + segment.steps - 1}"
    try:
        lengths, _, text = decompress_one(segment.packed, _UNPACKED_MAX).partition(b"\n")
        first, second = map(int, lengths.split(b" "))
    except (ZstdError, ValueError) as error:
        raise damaged(where, str(error)) from None
    columns = text[:first], text[first : first + second], text[first + second :]
    records = Records(*(column.split(b"\n")[:-1] for column in columns))
    if not all(column.endswith(b"\n") for column in columns) or {segment.steps} != {
        len(column) for column in (records.metas, records.inputs, records.outputs)
    }:
        raise damaged(where, "it holds a different number of steps")
    chain = Chain(id, segment.start, segment.seed)
    chain.absorb(records.texts())
    if chain.digest() != segment.hash:
        raise damaged(where, "the hash does not match")
    if segment.full != is_full(segment.steps, len(text)):
        raise damaged(where, "its full/partial mark is wrong")
    return records


def is_full(steps: int, size: int) -> bool:
    """Whether so many records, of so many bytes, fill a block."""
    return steps >= BLOCK_STEPS or size >= BLOCK_BYTES


def damaged(where: str, why: str) -> StoreDamaged:
    """The error for stored bytes that are not the bytes that were written."""
    return StoreDamaged(
        f"{where}: the store is damaged: {why}",
        "restore the store from a backup, or rewind the workflow before these steps and run again",
    )
