"""The newest block of a journal, put together from what the store has of it."""

from __future__ import annotations

from durproj.errors import StoreDamaged
from durproj.stores.base import Head, Store
from durproj.stores.block import Block
from durproj.stores.packing import ORIGIN, Records, Segment, damaged, seal_row, unpack

_NO_WAY_BACK = (
    "restore the store from a backup, or drop the workflow and run again: durproj gc ID --drop\n"
    "it cannot be rewound before these steps: what comes before is no longer kept"
)


def load_segment(head: Head, segment: Segment) -> Records:
    """The records of a segment of `head`'s workflow. Raises StoreDamaged as `unpack` does."""
    try:
        return unpack(head.origin, segment, head.id)
    except StoreDamaged as error:
        raise _fitting(error, head, segment.start) from None


def damaged_step(head: Head, step: int, why: str) -> StoreDamaged:
    """The error for a step that is not what was written, or not where it is to be."""
    return _fitting(damaged(f"{head.id}#{step}", why), head, step)


def _fitting(error: StoreDamaged, head: Head, step: int) -> StoreDamaged:
    """`error`, its hint one that can be followed: a workflow goes back to a step that is kept."""
    if 0 < head.dropped >= step:
        error.hint = _NO_WAY_BACK
    return error


def first_block(head: Head) -> Block:
    """The block that begins with the first step that is kept, without any record."""
    past = head.past
    return Block(head.origin, past.steps, past.hash) if past else Block(head.origin, 0, ORIGIN)


def load_block(store: Store, head: Head, steps: int, upto: int | None = None) -> Block:
    """The newest block, with its records, of `head`'s workflow, which has `steps` steps. `upto`: whatever
    comes after so many steps does not matter. Raises StoreDamaged unless the records are, bit for bit,
    those that were written."""
    if head.no is None:
        return first_block(head)
    segment = store.segment(head.no)
    if segment is None:
        block = first_block(head)
    elif segment.full:
        block = Block(head.origin, segment.start + segment.steps, segment.hash)
    else:
        block = Block(head.origin, segment.start, segment.seed)
        records = load_segment(head, segment)
        block.take(records, records.texts())
    step = block.start + len(block)
    _check_head(head, step, block)
    for row in store.rows(head.no, step):
        if step == upto:
            return block
        if row.step != step:
            raise damaged_step(head, step, "the step is missing")
        if row.hash != seal_row(head.origin, step, row.record):
            raise damaged_step(head, step, "the seal does not match")
        block.take_one(row.record, sum(map(len, row.record)) + 3)
        step += 1
        _check_head(head, step, block)
    short = step < upto if upto is not None else step != steps or step < head.steps
    if short:
        raise damaged_step(head, step, "steps are missing")
    block.stored = len(block)
    return block


def count_steps(store: Store, head: Head) -> int:
    """How many steps `head`'s workflow has, by its newest row, of which the seal is verified. Raises
    StoreDamaged."""
    assert head.no is not None
    last = store.last_row(head.no)
    if last is None:
        return head.steps
    if last.step < head.steps - 1:
        raise damaged_step(head, head.steps - 1, "the step is missing")
    if last.hash != seal_row(head.origin, last.step, last.record):
        raise damaged_step(head, last.step, "the seal does not match")
    return last.step + 1


def hash_after(store: Store, head: Head, steps: int) -> bytes | None:
    """The hash of the last of the first `steps` steps of `head`'s workflow, as the store has them now; None
    when there are not so many. Raises StoreDamaged."""
    assert head.no is not None
    last = store.last_row(head.no)
    there = last.step + 1 if last else head.steps
    if there < steps:
        return None
    segment = store.segment(head.no, steps - 1)
    if segment and segment.full and segment.start < steps <= segment.start + segment.steps:
        block, records = (
            Block(head.origin, segment.start, segment.seed),
            load_segment(head, segment),
        )
    else:
        newest = load_block(store, head, there)
        block, records = Block(head.origin, newest.start, newest.seed), newest.records
    part = records.part(0, steps - block.start)
    if part:
        block.take(part, part.texts())
    return block.hash()


def _check_head(head: Head, step: int, block: Block) -> None:
    if step == head.steps and step and block.hash() != head.hash:
        raise damaged_step(head, step - 1, "its hash is not the one in the head")
