"""The journal of one workflow, block by block, as far as it is what was written."""

from __future__ import annotations

from collections.abc import Iterator

from durproj.history.timeline import Timeline
from durproj.stores.journal import Journal
from durproj.stores.packing import Records, damaged


def sound_blocks(journal: Journal, timeline: Timeline) -> Iterator[tuple[int, Records]]:
    """(step, the records from that step on), block after block. Verifies the hash of every block and how
    they are chained, and that the head stands where they end and has the state that they lead to. Raises
    StoreDamaged."""
    head, last = journal.head, 0
    for start, records in journal.blocks(timeline.first):
        at = head.steps - 1 - start
        # Of a program's workflow it is the result, which no step need have returned.
        if timeline.is_projection and 0 <= at < len(records) and records.outputs[at] != head.state:
            raise damaged(head.id, f"its state is not what step {head.steps - 1} returned")
        yield start, records
        last = start
    if head.steps < last:
        raise damaged(head.id, f"its head counts {head.steps} of its {journal.steps} steps")
