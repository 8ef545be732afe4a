"""Whether a store still has all the workflows of its runs: a run's cursor says how many there were, under a
seal of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from durproj import codec
from durproj.errors import StoreDamaged
from durproj.runtime.proven import counted
from durproj.stores.base import Run, Store
from durproj.stores.inventory import Inventory

MOST_NAMED = 5
"""So many of the missing streams are named."""


@dataclass
class Lack:
    """What the store lacks of a run: so many of its `workflows`, and of their `steps`. unfolded: keys of the
    log that have no workflow; is_sought: whether they can be told, the run being one of all keys; str()
    says all of it."""

    name: str
    inputs: str
    workflows: int
    steps: int
    is_sought: bool
    unfolded: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = {"workflows": self.workflows, "steps": self.steps}
        what = ", ".join(f"{name}: {count:,}" for name, count in counts.items() if count)
        text = f"what the run {self.name} of {self.inputs} made is not all there; missing {what}"
        # A log may have grown, so that later ones were never folded.
        gone = self.unfolded[: self.workflows]
        if not gone:
            return text
        shown = ", ".join(map(codec.to_json, gone[:MOST_NAMED]))
        return f"{text}; the log has the keys {shown}{' …' if len(gone) > MOST_NAMED else ''}"


def lacks(store: Store, inventory: Inventory) -> dict[int, Lack]:
    """What is missing, by the run's number. Nothing can be said of a run that is not complete, or whose
    cursor is void, nor where heads are damaged, which are reported anyway."""
    if inventory.heads:
        return {}
    workflows = Counter(entry.run for entry in inventory.workflows)
    steps: Counter[int] = Counter()
    for entry in inventory.workflows:
        steps[entry.run] += entry.steps
    found = {}
    for no, run in inventory.runs.items():
        if isinstance(run, Run) and _lack(run, workflows[no], steps[no]):
            # A writer may have come between the heads and the run.
            lack = _now(store, no)
            if lack:
                found[no] = lack
    return found


def _now(store: Store, no: int) -> Lack | None:
    try:
        with store.snapshot():
            run = store.run(no)
            heads = list(store.heads(run=no))
    except StoreDamaged:
        return None
    return _lack(run, len(heads), sum(head.steps for head in heads)) if run else None


def _lack(run: Run, workflows: int, steps: int) -> Lack | None:
    if not run.complete or not run.cursor:
        return None
    was = counted(run.cursor)
    gone = max(0, was.projections - workflows), max(0, was.cached - steps)
    if not any(gone):
        return None
    is_sought = gone[0] > 0 and run.options.get("keys") is None
    return Lack(run.name, " ".join(run.options.get("inputs", ())), *gone, is_sought)
