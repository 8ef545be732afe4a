"""`promote`: one name of projections takes the place of another, at one instant."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import NotFound, UsageError
from durproj.history.programs import programs_own
from durproj.ids import check_name, workflow_id
from durproj.runtime.absent import no_name
from durproj.runtime.request import FORK, REPLACED_BY
from durproj.stores.base import Past, Run, Store
from durproj.stores.sqlite import SqliteStore

_SHOWN_KEYS = 5


def promote(
    new: str,
    current: str,
    *,
    store: str | Path = "durproj.db",
    force: bool = False,
    wait_s: float = 0.0,
) -> dict[str, Any]:
    """Let the projections named `new` take the name `current`, in one transaction: `new/key` becomes
    `current/key`, and its runs go on under that name, with their reducer and as far as they have come.

    Those that were named `current`, if there are any, are called `current@old` from then on (`@old2`
    where there is one already), until `gc` drops them; promoting that name again undoes it, whatever
    has been folded since. force: even if `new` has unfinished workflows, or lacks streams of `current`.

    Returns a record: `name`, `from`, `workflows`, and of what was replaced `old` (its name now, or
    None), `old_workflows` and `missing` (how many of its streams `new` has not). Raises NotFound,
    StoreBusy, StoreError; UsageError for what is not to be promoted; nothing is changed then.
    """
    for name in (new, current):
        check_name(name)
    if new == current:
        raise UsageError(f"{new} has that name already", "name two: durproj promote NEW CURRENT")
    path = Path(store)
    if not path.exists():
        raise NotFound(f"{path}: no such store", "durproj run makes one")
    opened = SqliteStore.open_writer(path, "fsync", wait_s)
    try:
        with opened.transaction():
            return _swap(opened, new, current, force=force)
    finally:
        opened.close()


@dataclass
class _Side:
    """What a store has under one name. keys: of the streams that a log feeds."""

    name: str
    runs: list[Run]
    keys: set[str] = field(default_factory=set)
    workflows: int = 0
    unfinished: list[str] = field(default_factory=list)


def _sides(store: Store, *names: str) -> list[_Side]:
    runs = store.runs()
    sides = {name: _Side(name, [run for run in runs if run.name == name]) for name in names}
    forks = {run.no for run in runs if FORK in run.options}
    for head in store.heads():
        side = sides.get(head.name)
        if side is None:
            continue
        side.workflows += 1
        if head.run not in forks:
            side.keys.add(head.key)
        if head.status != "resolved":
            side.unfinished.append(head.id)
    return list(sides.values())


def _swap(store: Store, new: str, current: str, *, force: bool) -> dict[str, Any]:
    promoted, replaced = _sides(store, new, current)
    missing = replaced.keys - promoted.keys
    if not promoted.workflows:
        raise no_name(new, store)
    _refuse_kinds(promoted, replaced)
    # What is put back is not to be better than it was.
    back = all(run.options.get(REPLACED_BY) == current for run in promoted.runs)
    if not (force or back):
        _refuse_unfinished(promoted)
        _refuse_missing(promoted, replaced, missing)
    old = _old_name(store, current) if replaced.runs else None
    if old:
        # First, for no two workflows and no two runs of one input have one name.
        _rename(store, replaced, old, current)
    _rename(store, promoted, current, None)
    return {
        "type": "promote",
        "name": current,
        "from": new,
        "workflows": promoted.workflows,
        "old": old,
        "old_workflows": replaced.workflows,
        "missing": len(missing),
    }


def _rename(store: Store, side: _Side, name: str, replaced_by: str | None) -> None:
    for head in store.heads(name=side.name):
        was = head.past or Past(head.id)
        head.id, head.name = workflow_id(name, head.key), name
        head.past = None if was == Past(head.id) else was
        store.save_past(head)
    for run in side.runs:
        run.name = name
        run.options.pop(REPLACED_BY, None)
        if replaced_by:
            run.options[REPLACED_BY] = replaced_by
        store.save_run(run)


def _old_name(store: Store, name: str) -> str:
    """The name of what is replaced next: numbers go up, so that the latest has the highest."""
    pattern = re.compile(re.escape(name) + "@old([0-9]{0,9})")
    found = [match[1] for run in store.runs() if (match := pattern.fullmatch(run.name))]
    taken = max((int(digits or 1) for digits in found), default=0)
    return f"{name}@old{taken + 1}" if taken else f"{name}@old"


def _refuse_kinds(promoted: _Side, replaced: _Side) -> None:
    """Names are only changed where no one else goes by them."""
    for side in (promoted, replaced):
        if any(run.options["kind"] != "fold" for run in side.runs):
            raise programs_own(
                f"{side.name}/…", "it knows them by their ids", "only projections are promoted"
            )
        if any(run.options.get("continues") for run in side.runs):
            raise UsageError(
                f"the events of {side.name} come through a pipe, into a file of that name",
                "only projections of files are promoted",
            )
    if all(FORK in run.options for run in promoted.runs):
        raise UsageError(
            f"{promoted.name} is a fork: no log feeds it",
            "fold the log under a name of its own, and promote that: durproj run --name NAME …",
        )


def _refuse_unfinished(promoted: _Side) -> None:
    count = len(promoted.unfinished)
    if count:
        what = f"{count:,} of its {promoted.workflows:,} workflows"
        why = f"{what} wait, or have failed, or are not at their end ({promoted.unfinished[0]})"
    elif not all(run.complete for run in promoted.runs):
        why = "a run of it has not come to its end"
    else:
        return
    raise UsageError(
        f"{promoted.name} is not finished: {why}",
        "go on with it, and promote it then: durproj resume, durproj parked list\n"
        "or promote it as it is: --force",
    )


def _refuse_missing(promoted: _Side, replaced: _Side, missing: set[str]) -> None:
    if not missing:
        return
    first = sorted(missing)[:_SHOWN_KEYS]
    shown = ", ".join(map(codec.to_json, first)) + (" …" if len(missing) > len(first) else "")
    raise UsageError(
        f"{promoted.name} lacks {len(missing):,} of the {len(replaced.keys):,} streams of"
        f" {replaced.name}: {shown}",
        f"fold all of the log under the name {promoted.name}, and promote it then\n"
        "or promote it without them: --force",
    )
