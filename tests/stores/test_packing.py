"""What is hashed and where blocks end, said a second time; and how damage is told."""

from __future__ import annotations

import pytest
from blake3 import blake3
from making import columns, record

from durproj.errors import StoreDamaged
from durproj.stores import block as block_module
from durproj.stores import packing
from durproj.stores.block import Block
from durproj.stores.packing import ORIGIN, Chain, Record, Segment, digest_inputs, seal_row, unpack
from durproj.zstd import compress

ID = "projection/ü 1"
SEED = bytes(range(16))
RECORDS = [record(step) for step in range(3)]


def by_hand(seed, start, records):
    texts = [b"".join(piece + b"\n" for piece in column) for column in zip(*records, strict=True)]
    head = seed + f"{start} {ID}\n".encode()
    return blake3(head + b"".join(blake3(text).digest() for text in texts)).digest(16)


def segment(**others):
    chain = Chain(ID, 256, SEED)
    chain.absorb(columns(RECORDS).texts())
    return Segment(256, 3, False, SEED, chain.digest(), chain.pack())._replace(**others)


def test_the_hash_of_a_step_is_over_its_block_up_to_it():
    assert segment().hash == by_hand(SEED, 256, RECORDS)


def test_the_digest_of_inputs_is_chained_over_each():
    first = blake3(ORIGIN + b"one").digest(16)
    assert digest_inputs(ORIGIN, [b"one", b"two"]) == blake3(first + b"two").digest(16)
    assert digest_inputs(SEED, []) == SEED


def test_the_seal_of_a_row_is_over_its_place_and_its_pieces():
    text = f"7 {ID}\n".encode() + b"m\ni\no\n"
    assert seal_row(ID, 7, Record(b"m", b"i", b"o")) == blake3(text).digest(16)


def test_what_was_packed_comes_back():
    assert list(unpack(ID, segment())) == RECORDS


def swapped_columns():
    metas, inputs, outputs = columns(RECORDS).texts()
    return compress(b"%d %d\n" % (len(inputs), len(metas)) + inputs + metas + outputs)


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"packed": b"no frame"}, ""),
        ({"packed": compress(b"no lengths")}, "invalid literal"),
        ({"packed": compress(b"1  2\nx")}, "invalid literal"),
        ({"packed": compress(b"0 0\n")}, "it holds a different number of steps"),
        ({"packed": compress(b"2 2\na\nb\nc")}, "it holds a different number of steps"),
        ({"packed": swapped_columns()}, "the hash does not match"),
        ({"hash": SEED}, "the hash does not match"),
        ({"seed": ORIGIN}, "the hash does not match"),
        ({"full": True}, "its full/partial mark is wrong"),
    ],
)
@pytest.mark.parametrize(("name", "shown"), [(None, ID), ("other/u1", "other/u1")])
def test_a_damaged_segment_is_named(others, why, name, shown):
    with pytest.raises(StoreDamaged) as caught:
        unpack(ID, segment(**others), name)
    where, _, said = caught.value.message.partition(": the store is damaged: ")
    assert where == f"{shown}: steps 256 to 258"
    assert said not in {"", "None"}
    assert said.startswith(why)
    assert caught.value.hint == (
        "restore the store from a backup, or rewind the workflow before these steps and run again"
    )


def sized(*sizes):
    """Records that take so many bytes each, line ends included."""
    return columns([Record(b"", b"", b"x" * (size - 3)) for size in sizes])


@pytest.fixture
def small_blocks(monkeypatch):
    for module in (packing, block_module):
        monkeypatch.setattr(module, "BLOCK_BYTES", 100)
        monkeypatch.setattr(module, "BLOCK_STEPS", 10)


@pytest.mark.parametrize(
    ("held", "sizes", "at", "taken"),
    [
        ([], [30, 30, 30, 30, 30], 0, 4),
        ([], [30, 30, 40, 30], 0, 3),
        ([], [30, 30, 39, 30], 0, 4),
        ([], [30, 30, 39], 0, 3),
        ([], [30, 30, 40], 0, 3),
        ([], [99, 3, 50], 0, 2),
        ([], [100, 50], 0, 1),
        ([], [500, 50], 0, 1),
        ([40, 30], [30, 5], 0, 1),
        ([40, 30], [29, 5], 0, 2),
        ([40, 30], [3, 4, 26, 5], 2, 2),
        ([], [3] * 12, 0, 10),
        ([3] * 4, [3] * 12, 1, 6),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_a_block_ends_with_the_record_that_fills_it(held, sizes, at, taken):
    block = Block(ID, 0, ORIGIN)
    if held:
        part, texts = block.room(sized(*held), 0)
        assert len(part) == len(held)
        block.take(part, texts)
    assert not block.full()
    part, texts = block.room(sized(*sizes), at)
    assert list(part) == list(sized(*sizes[at : at + taken]))
    assert texts == part.texts()
    block.take(part, texts)
    steps, size = len(held) + taken, sum(held) + sum(sizes[at : at + taken])
    assert len(block) == steps
    assert block.full() == (steps >= 10 or size >= 100)
    room = not block.full()
    assert block.fits(0, 0) == room
    assert block.fits(9 - steps, 99 - size) or not room
    assert not block.fits(10 - steps, 0)
    assert not block.fits(0, 100 - size)


def test_records_that_come_one_by_one_are_hashed_as_those_that_come_together():
    one, many = Block(ID, 256, SEED), Block(ID, 256, SEED)
    assert one.hash() == SEED
    for each in RECORDS[:2]:
        one.take_one(each, sum(map(len, each)) + 3)
    assert one.hash() == by_hand(SEED, 256, RECORDS[:2])
    one.take_one(RECORDS[2], sum(map(len, RECORDS[2])) + 3)
    many.take(columns(RECORDS), columns(RECORDS).texts())
    assert one.segment() == many.segment() == segment()
