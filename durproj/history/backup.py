"""Copying a store: one file that is complete, as of one instant, while runs go on."""

from __future__ import annotations

from glob import escape, glob
from pathlib import Path
from typing import Any

from durproj.errors import UsageError
from durproj.history.reading import reading
from durproj.stores.copying import copy_store


def backup(
    dest: str | Path, *, store: str | Path = "durproj.db", force: bool = False
) -> dict[str, Any]:
    """Make `dest` a copy of `store`: what `durproj backup` prints. It is as of one instant, verified
    before it takes its name, and a store like any other; a run goes on meanwhile, and so it does when this
    is killed. force: it may take the place of a file that is there.

    `left_out`: copies of pipes, kept beside the store for runs that are not finished, which are no part
    of it. Raises UsageError, NotFound, StoreBusy, StoreDamaged, StoreError.
    """
    source, target = Path(store), Path(dest)
    if not str(dest):
        raise UsageError("the name of the copy is empty", "name a file, such as backup.db")
    copy_store(source, target, force=force)
    with reading(target) as copied:
        heads = [(head.status, head.steps) for head in copied.heads()]
        unfinished = sum(not run.complete for run in copied.runs())
    pipes = glob(f"{escape(str(source))}.input-*") + glob(f"{escape(str(source))}.live-*")
    return {
        "type": "backup",
        "store": str(source),
        "to": str(target),
        "bytes": target.stat().st_size,
        "workflows": len(heads),
        "unfinished": unfinished,
        "left_out": sorted(pipes),
    }
