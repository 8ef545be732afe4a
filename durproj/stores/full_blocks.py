"""The full blocks of a journal, as one reader meets them: verified, and each chained to those beside it."""

from __future__ import annotations

from durproj.stores.base import Head, Store
from durproj.stores.block import Block
from durproj.stores.loading import damaged_step, first_block, load_segment
from durproj.stores.packing import Records, Segment


class FullBlocks:
    """The full blocks of `head`'s workflow.

    What is read must fit, at both ends of a block, to all that was read before and to the block that
    follows, so a walk verifies every link of the chain, and blocks of two histories are never read as
    those of one.
    """

    __slots__ = ("_ahead", "_hashes", "_head", "_store")

    def __init__(self, store: Store, head: Head) -> None:
        self._store = store
        self._head = head
        self._ahead: Segment | None = None
        # By the step with which a block begins: the hash of the step before it.
        self._hashes = {head.dropped: first_block(head).seed}

    def holding(self, step: int, newest: Block | None) -> tuple[int, Records] | None:
        """The first step and the records of the full block that holds `step`; None when there is none.
        `newest`: the open block, unless it is damaged. Raises StoreDamaged, also when nothing sound follows
        that the block's hash could be verified by: it may be of an earlier history."""
        segment = self._ahead if _holds(self._ahead, step) else self._segment(step)
        if segment is None or not segment.full or not _holds(segment, step):
            return None
        stop = segment.start + segment.steps
        records = load_segment(self._head, segment)
        if newest is not None:
            self._meet(newest.start, newest.seed)
        if stop not in self._hashes:
            # Kept for a walk that goes on to it.
            self._ahead = following = self._segment(stop)
            if following is not None and following.start == stop:
                self._meet(stop, following.seed)
            else:
                raise damaged_step(
                    self._head, step, "it cannot be verified: what follows is damaged"
                )
        self._meet(segment.start, segment.seed)
        self._meet(stop, segment.hash)
        return segment.start, records

    def _segment(self, step: int) -> Segment | None:
        assert self._head.no is not None
        return self._store.segment(self._head.no, step)

    def _meet(self, step: int, hash: bytes) -> None:
        if self._hashes.setdefault(step, hash) != hash:
            raise damaged_step(self._head, step, "the chain of hashes is broken")


def _holds(segment: Segment | None, step: int) -> bool:
    return segment is not None and segment.start <= step < segment.start + segment.steps
