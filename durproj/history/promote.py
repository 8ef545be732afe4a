"""`promote`: one name of projections takes the place of another, at one instant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from durproj import codec
from durproj.errors import UsageError
from durproj.history.changing import changing
from durproj.history.programs import programs_own
from durproj.ids import check_name, workflow_id
from durproj.runtime.absent import no_name
from durproj.runtime.request import FORK, REPLACED_BY
from durproj.stores.base import Past, Run, Store
from durproj.stores.journal import Journal

_SHOWN = 5


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
    has been folded since. Forks keep their ids, whatever becomes of the name in them. force: even if
    `new` has unfinished workflows, lacks streams of `current`, has fewer steps in some, or was folded from
    other inputs.

    Returns a record: `name`, `from`, `workflows`, `steps`, and of what was replaced `old` (its name now, or
    None), `old_workflows`, `old_steps`, `missing` (how many of its streams `new` has not), `behind` (how
    many have fewer steps in `new`) and `same_input` (whether the same files fed both). Raises NotFound,
    StoreBusy, StoreError; UsageError for what is not to be promoted; nothing is changed then.
    """
    for name in (new, current):
        check_name(name)
    if new == current:
        raise UsageError(f"{new} has that name already", "name two: durproj promote NEW CURRENT")
    with changing(Path(store), wait_s, "fsync") as opened, opened.transaction():
        return _swap(opened, new, current, force=force)


@dataclass
class _Side:
    """What a store has under one name. steps: how many the workflows of the streams have, by their keys;
    inputs: the files that fed them; forks: the keys of forks."""

    name: str
    runs: list[Run]
    steps: dict[str, int] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    forks: set[str] = field(default_factory=set)
    unfinished: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All of its steps."""
        return sum(self.steps.values())


def _sides(store: Store, *names: str) -> list[_Side]:
    runs = {run.no: run for run in store.runs()}
    sides = {
        name: _Side(name, [run for run in runs.values() if run.name == name and not _is_fork(run)])
        for name in names
    }
    for head in store.heads():
        side, run = sides.get(head.name), runs.get(head.run)
        if side is None:
            continue
        if _is_fork(run):
            side.forks.add(head.key)
            continue
        done = head.status == "resolved"
        side.steps[head.key] = head.steps if done else Journal(store, head).steps
        side.inputs.update(run.options.get("inputs", ()) if run else ())
        if not done:
            side.unfinished.append(head.id)
    return list(sides.values())


def _is_fork(run: Run | None) -> bool:
    return run is not None and FORK in run.options


def _swap(store: Store, new: str, current: str, *, force: bool) -> dict[str, Any]:
    promoted, replaced = _sides(store, new, current)
    missing = replaced.steps.keys() - promoted.steps.keys()
    behind = [
        key for key, steps in replaced.steps.items() if promoted.steps.get(key, steps) < steps
    ]
    _refuse_kinds(promoted, replaced)
    if not promoted.steps:
        raise no_name(new, store)
    # What is put back is not to be better than it was.
    back = all(run.options.get(REPLACED_BY) == current for run in promoted.runs)
    if not (force or back):
        _refuse_unfinished(promoted)
        _refuse_missing(promoted, replaced, missing)
        _refuse_other_input(promoted, replaced)
        _refuse_behind(promoted, replaced, behind)
    old = _old_name(store, current) if replaced.runs else None
    if old:
        # First, for no two workflows and no two runs of one input have one name.
        _rename(store, replaced, old, current)
    _rename(store, promoted, current, None)
    return {
        "type": "promote",
        "name": current,
        "from": new,
        "workflows": len(promoted.steps),
        "steps": promoted.total,
        "old": old,
        "old_workflows": len(replaced.steps),
        "old_steps": replaced.total,
        "missing": len(missing),
        "behind": len(behind),
        "same_input": not replaced.steps or promoted.inputs == replaced.inputs,
    }


def _rename(store: Store, side: _Side, name: str, replaced_by: str | None) -> None:
    for head in store.heads(name=side.name):
        if head.key in side.forks:
            continue
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
    if not promoted.steps and promoted.forks:
        raise UsageError(
            f"{promoted.name} is a fork: no log feeds it",
            "fold the log under a name of its own, and promote that: durproj run --name NAME …",
        )
    for side in (promoted, replaced):
        if any(run.options.get("kind") != "fold" for run in side.runs):
            raise programs_own(
                f"{side.name}/…", "it knows them by their ids", "only projections are promoted"
            )
        if any(run.options.get("continues") for run in side.runs):
            raise UsageError(
                f"the events of {side.name} come through a pipe, into a file of that name",
                "only projections of files are promoted",
            )
    for key in sorted(promoted.steps.keys() & replaced.forks):
        id = workflow_id(replaced.name, key)
        raise UsageError(
            f"{id} is a fork, and keeps its id, so {workflow_id(promoted.name, key)} cannot have it",
            f"drop the fork first: durproj gc {shlex.quote(id)} --drop",
        )


def _refuse_unfinished(promoted: _Side) -> None:
    count = len(promoted.unfinished)
    if count:
        what = f"{count:,} of its {len(promoted.steps):,} workflows"
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
    raise UsageError(
        f"{promoted.name} lacks {len(missing):,} of the {len(replaced.steps):,} streams of"
        f" {replaced.name}: {_shown(sorted(map(codec.to_json, missing)))}",
        f"fold all of the log under the name {promoted.name}, and promote it then\n"
        "or promote it without them: --force",
    )


def _refuse_other_input(promoted: _Side, replaced: _Side) -> None:
    if replaced.steps and promoted.inputs != replaced.inputs:
        raise UsageError(
            f"{promoted.name} was folded from {_shown(sorted(promoted.inputs))},"
            f" {replaced.name} from {_shown(sorted(replaced.inputs))}",
            "fold the same log under both names\nor promote it with its other input: --force",
        )


def _refuse_behind(promoted: _Side, replaced: _Side, behind: Sequence[str]) -> None:
    if behind:
        key = behind[0]
        raise UsageError(
            f"{promoted.name} is behind {replaced.name} in {len(behind):,} of"
            f" {len(replaced.steps):,} streams: {codec.to_json(key)} has {promoted.steps[key]:,}"
            f" steps, and {replaced.steps[key]:,} in {replaced.name}",
            f"fold the rest of the log under the name {promoted.name}, and promote it then\n"
            "or promote it as it is: --force",
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
