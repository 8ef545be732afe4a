"""Making a report: one HTML page over one or several workflows of a store."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from durproj.errors import StoreDenied, UsageError
from durproj.exports.target import replacing
from durproj.history.inputs import refuse_input
from durproj.history.reading import reading
from durproj.history.timeline import Timeline
from durproj.page.data import Story, story_of
from durproj.page.page import page_of
from durproj.stores.base import Store

LAST = 1_000
"""How many steps of a workflow are shown, the last ones, unless it is said otherwise."""


def report(
    ids: str | Iterable[str],
    path: str | Path = "report.html",
    *,
    store: str | Path | Store = "durproj.db",
    first: int | None = None,
    to: int | None = None,
    last: int | None = None,
) -> dict[str, Any]:
    """Write the page over the workflows `ids` to the file `path`, in place of a page that is there; what
    `durproj report` does. It shows the steps from `first` to `to`; without `first`, the `last` of them
    (1,000 unless said otherwise).

    Returns a record: `type` ("report"), `path`, `bytes`, and for each of the `workflows` its `id`,
    `status`, how many `steps` it has, `kept_from` where its first ones are not kept any more, and the
    `from` and `to` that are shown (None: no step).

    Raises NotFound (also for a step that is not kept), UsageError (a file that is no page is not
    overwritten, nor an empty one that is an input or the store's), StoreDenied and OutputFailed where the
    file cannot be written, and StoreDamaged, in which case none is written.
    """
    chosen = list(dict.fromkeys([ids] if isinstance(ids, str) else ids))
    _check(chosen, first, to, last)
    target = os.path.realpath(path)
    _check_target(target, str(path))
    with reading(store, *chosen) as opened:
        if os.path.exists(target) and not os.path.getsize(target):
            # A log to which nothing has been written yet looks like any new file.
            refuse_input(opened, target, str(path))
        stories = [_story(opened, id, first, to, last or LAST) for id in chosen]
    text = page_of(stories).encode()
    _write(target, text)
    return {
        "type": "report",
        "path": str(path),
        "bytes": len(text),
        "workflows": [_record(story) for story in stories],
    }


def _check(ids: list[str], first: int | None, to: int | None, last: int | None) -> None:
    if not ids:
        raise UsageError("a report needs a workflow", "durproj list shows those there are")
    if first is not None and last is not None:
        raise UsageError("--from and --last both say where to begin", "give one of them")
    if min(first or 0, to or 0, (last or 1) - 1) < 0 or last == 0:
        raise UsageError("steps count from 0, and --last from 1")
    if first is not None and to is not None and first > to:
        raise UsageError(f"--from {first} is behind --to {to}", "no step is both")


def _story(store: Store, id: str, first: int | None, to: int | None, last: int) -> Story:
    timeline = Timeline.open(store, id)
    if first is not None and (first or timeline.steps):
        timeline.at(first)
    if to is not None and to < timeline.steps:
        timeline.at(to)
    stop = timeline.steps if to is None else min(to + 1, timeline.steps)
    return story_of(store, timeline, max(0, stop - last) if first is None else first, stop)


def _record(story: Story) -> dict[str, Any]:
    steps = [moment.step for moment in story.moments if moment.recorded]
    return {
        "id": story.id,
        "status": story.status,
        "steps": story.steps,
        **({"kept_from": story.kept} if story.kept else {}),
        "from": steps[0] if steps else None,
        "to": steps[-1] if steps else None,
    }


def _check_target(target: str, path: str) -> None:
    """Raise UsageError unless a page may be written to `target`: a slip must not cost a log or a store."""
    hint = "name a new file, or one that an earlier report made"
    if not os.path.lexists(target):
        return
    if not os.path.isfile(target):
        raise UsageError(f"{path} is no file: a report cannot take its place", hint)
    try:
        with open(target, "rb") as file:
            begins = file.read(64)
    except OSError as error:
        raise StoreDenied(
            f"{path}: {error.strerror}: what is there cannot be looked at", hint
        ) from None
    if begins and not begins.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise UsageError(f"{path} is there, and is no web page: it is left as it is", hint)


def _write(target: str, text: bytes) -> None:
    """Put the page in place at once: whoever reads it meanwhile sees the old one or the new one."""
    with replacing(target, force=True) as fresh, open(fresh, "wb") as file:
        file.write(text)
