"""What folds leave behind in their stores, to be compared."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from durproj import codec
from durproj.history.changes import changes
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore
from durproj.wording import number

MOST_CHANGES = 5
"""So many paths of one difference are reported."""


class Left(NamedTuple):
    """What a fold left of one workflow; `hash` is chained over all of its steps."""

    key: str
    status: str
    steps: int
    state: bytes | None
    hash: bytes


def left_in(store: Path) -> dict[str, Left]:
    """What is left of every workflow, by id; all of it is verified. Raises NotFound, StoreDamaged."""
    with closing(SqliteStore.open_reader(store)) as opened:
        found = {}
        for head in opened.heads():
            journal = Journal(opened, head)
            for _ in journal.blocks():
                pass  # every seal is checked on the way
            found[head.id] = Left(head.key, head.status, journal.steps, head.state, head.hash)
        return found


def difference(expected: dict[str, Left], found: dict[str, Left]) -> dict[str, Any] | None:
    """The first workflow that is not as expected: its `id`, what `differs`, and the `changes` of its state;
    None when there is none."""
    for id, whole in expected.items():
        left = found.get(id)
        if left == whole:
            continue
        if left is None:
            return {"id": id, "differs": "it is not there", "changes": []}
        differs, changed = _unlike(whole, left)
        return {"id": id, "differs": differs, "changes": changed}
    more = next((id for id in found if id not in expected), None)
    return (
        None if more is None else {"id": more, "differs": "it should not be there", "changes": []}
    )


def _unlike(whole: Left, left: Left) -> tuple[str, list[dict[str, Any]]]:
    """What differs between what two folds left of a workflow, in words, and the changes of its state."""
    states = [codec.decode(side.state or b"null") for side in (whole, left)]
    changed = [change.record() for change in changes(*states)[:MOST_CHANGES]]
    differing = []
    if whole.status != left.status:
        differing.append(f"it is {whole.status} without, {left.status} with the crash")
    if whole.steps != left.steps:
        steps = number(whole.steps, "step")
        differing.append(f"it has {steps} without, {left.steps:,} with the crash")
    if differing or changed:
        return "; ".join(differing) or "its state", changed
    if whole.state == left.state:
        return "the states are the same in the end, but not on the way there", []
    return "the fields of an object come in another order", []


def remove(store: Path) -> None:
    """Remove a store, with all that lies beside it."""
    for file in store.parent.glob(f"{store.name}*"):
        with suppress(FileNotFoundError):
            file.unlink()
