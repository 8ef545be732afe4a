"""Copying a store: one file that is complete, as of one instant, and verified, while runs go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durproj.errors import StoreDamaged, UsageError
from durproj.events.mark import ENDING
from durproj.history.inputs import refuse_input
from durproj.history.reading import reading
from durproj.stores.beside import copies_of
from durproj.stores.copying import copy_store
from durproj.verification.verify import verify

_SHOWN = 3


def backup(
    dest: str | Path, *, store: str | Path = "durproj.db", force: bool = False
) -> dict[str, Any]:
    """Make `dest` a copy of `store`: what `durproj backup` prints. It is as of one instant, and a store
    like any other; a run goes on meanwhile, and so it does when this is killed. Before it takes its name
    all of it is verified as `verify` does. force: it may take the place of a file that is there, but
    of nothing that is the store's own, of no input of it, and of no FILE.py of a reducer.

    `left_out`: copies of pipes, kept beside the store for runs that are not finished, which are no part
    of it. Raises UsageError, NotFound, StoreBusy, StoreError; StoreDamaged when anything in the store is
    not what was written: there is no copy then, and a file that was there stays.
    """
    source, target = Path(store), Path(dest)
    if not str(dest):
        raise UsageError("the name of the copy is empty", "name a file, such as backup.db")
    with reading(source) as opened:
        refuse_input(opened, str(target), str(dest))
    copy_store(source, target, lambda copy: _verify(source, copy), force=force)
    with reading(target) as copied:
        heads = [(head.status, head.steps) for head in copied.heads()]
        unfinished = sum(not run.complete for run in copied.runs())
    return {
        "type": "backup",
        "store": str(source),
        "to": str(target),
        "bytes": target.stat().st_size,
        "workflows": len(heads),
        "unfinished": unfinished,
        "left_out": sorted(path for path in copies_of(source) if not path.endswith(ENDING)),
    }


def _verify(source: Path, copy: Path) -> None:
    """Raise StoreDamaged unless all that is in the copy of `source` is what was written."""
    errors = [record["error"] for record in verify(store=copy) if record.get("error")]
    if errors:
        # They name the copy, which will be gone.
        shown = [error.replace(str(copy), str(source)) for error in errors[:_SHOWN]]
        more = len(errors) - len(shown)
        raise StoreDamaged(
            "\n  ".join(
                (
                    f"{source}: the store is damaged, so it was not copied:",
                    *shown,
                    *([f"… and {more:,} more"] if more else ()),
                )
            ),
            "durproj verify names all that is damaged; an older backup may be sound",
        )
