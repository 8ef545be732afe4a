"""Letting parked streams go on: from the event at which they wait, or after it.

A parked stream's events are looked for from the start of the log, and its journal is compared with
them. No other stream is touched, whatever the reducer has become meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from durproj.errors import NotFound, UsageError
from durproj.ids import split_id
from durproj.runtime.folding import DEFAULT_STORE, asked_durability, run_one, writer
from durproj.runtime.given import given_names, given_reducer
from durproj.runtime.observer import Counts, Observer, Silent, Stop
from durproj.runtime.request import Request, is_gone
from durproj.stores.base import Head, Run, Store


def retry_parked(
    ids: Iterable[str] | None = None,
    *,
    keys: Iterable[str] | None = None,
    reducer: Any | None = None,
    store: str | Path = DEFAULT_STORE,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Counts:
    """Let parked streams go on from the event at which they wait, with the reducer as it is now; a step
    that fails parks the stream again. That event may have been mended in the log: what has its id or,
    without one, its type and time is taken for it, and a note says so. Another event there, or none, is
    refused.

    ids, keys: these streams (None of both: all). reducer: where a program brought its own, that one.
    The rest is as in `fold`. Other streams are left as they are, and a reducer that has changed is
    accepted for no more than the new steps of the parked ones.

    Returns what it came to; `parked` counts those that are parked again. Raises NotFound for an id or
    key that is not parked, and what `fold` raises but StepFailed.
    """
    released = _Released("retry", reducer, Path(store), observer or Silent(), stop or Stop())
    return released.run(given_names("ids", ids), given_names("keys", keys), wait_s)


def drop_parked(
    ids: Iterable[str] | None = None,
    *,
    keys: Iterable[str] | None = None,
    reducer: Any | None = None,
    store: str | Path = DEFAULT_STORE,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Counts:
    """Drop the events at which these streams are parked: each becomes a recorded step that leaves the
    state as it was, and the stream goes on. `rewind` undoes it. All is as in `retry_parked`, but that
    ids or keys are needed, and that the log must still have that very event: else PastChanged."""
    if ids is None and keys is None:
        raise UsageError("no workflow was named", "drop_parked needs ids or keys")
    released = _Released("drop", reducer, Path(store), observer or Silent(), stop or Stop())
    return released.run(given_names("ids", ids), given_names("keys", keys), wait_s)


class _Released:
    """What both have in common."""

    def __init__(
        self,
        how: Literal["retry", "drop"],
        reducer: Any | None,
        path: Path,
        observer: Observer,
        stop: Stop,
    ) -> None:
        self._how: Literal["retry", "drop"] = how
        self._reducer, self._path = reducer, path
        self._base = path.resolve().parent
        self._observer, self._stop = observer, stop

    def run(self, ids: list[str] | None, keys: list[str] | None, wait_s: float) -> Counts:
        """Let these go on, those of one run together."""
        if not self._path.exists():
            raise NotFound(f"{self._path}: no such store", "durproj run makes one")
        counts = Counts()
        durability = asked_durability(self._path)
        with writer(self._path, durability, wait_s, self._stop) as store:
            heads = _chosen(store, ids, keys)
            requests = [
                self._request(
                    run, frozenset(head.key for head in heads if head.run == run.no), store.location
                )
                for run in store.runs()
                if any(head.run == run.no for head in heads)
            ]
            for request in requests:
                run_one(request, store, self._base, self._observer, self._stop, counts)
                self._note_others(request, store.find_run(request.name, request.identity()))
        return counts

    def _note_others(self, request: Request, run: Run | None) -> None:
        """Say how to go on with the streams of `run` that were not released, if that needs more than
        before: its reducer is still the one they were made with."""
        if run and run.options["fingerprint"] != request.reducer.fingerprint:
            self._observer.note(
                f"the other streams of {request.name} were made with the former reducer;"
                " to go on with them, too: durproj run … --accept-reducer"
            )

    def _request(self, run: Run, keys: frozenset[str], location: str) -> Request:
        if is_gone(run, location):
            raise UsageError(
                f"{run.name}: its input was standard input, which is gone",
                "rewind the stream to its last step, and give run the same input again",
            )
        if run.options.get("program") and self._reducer is None:
            raise UsageError(
                f"{run.name} was folded by a program, with its own {run.options['reducer']}",
                "that program has to call durproj.retry_parked(…, reducer=…)",
            )
        given = None
        if self._reducer is not None:
            given = given_reducer(self._reducer, run.options["initial"], self._base)
        request = Request.from_run(run, self._base, keys, given)
        request.release, request.accept_reducer = self._how, True
        request.on_error, request.max_errors = "park", None
        return request


def not_parked(id: str, head: Head | None, location: str) -> NotFound:
    """The error for a workflow, of this head, that is not parked."""
    what = f"{id}: it is {head.status}, not parked," if head else f"{id}: no such workflow"
    return NotFound(f"{what} in {location}", "durproj parked list shows those that are")


def _chosen(store: Store, ids: list[str] | None, keys: list[str] | None) -> list[Head]:
    """The heads of the parked workflows that were named."""
    parked = [head for head in store.heads() if head.status == "parked"]
    if ids is None and keys is None:
        return parked
    for id in ids or ():
        split_id(id)
        if not any(head.id == id for head in parked):
            raise not_parked(id, store.head(id), store.location)
    for key in keys or ():
        if not any(head.key == key for head in parked):
            raise NotFound(
                f"no workflow with the key {key!r} is parked in {store.location}",
                "durproj parked list shows them",
            )
    return [head for head in parked if head.id in (ids or ()) or head.key in (keys or ())]
