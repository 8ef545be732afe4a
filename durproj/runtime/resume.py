"""`resume`: going on with what is unfinished."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from durproj.errors import (
    BadEvent,
    DurprojError,
    NotFound,
    PastChanged,
    StepFailed,
    TooManyErrors,
    UsageError,
)
from durproj.ids import split_id
from durproj.runtime.absent import no_key, no_workflow
from durproj.runtime.folding import DEFAULT_STORE, asked_durability, file_of, run_one, writer
from durproj.runtime.given import given_names
from durproj.runtime.observer import Counts, Observer, Silent, Stop
from durproj.runtime.request import REPLACED_BY, OnError, Request, check_on_error, is_gone
from durproj.stores.base import Durability, Run
from durproj.stores.sqlite import SqliteStore

OWN_FAILURES = (PastChanged, NotFound, BadEvent, StepFailed, TooManyErrors, UsageError)
"""What ends one run and says nothing about the next."""


def resume(
    ids: Iterable[str] | None = None,
    *,
    keys: Iterable[str] | None = None,
    store: str | Path | SqliteStore = DEFAULT_STORE,
    durability: Durability | None = None,
    accept_reducer: bool = False,
    restart: bool = False,
    on_error: OnError | None = None,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Counts:
    """Go on with every unfinished workflow of the store, each with the input, reducer and options it
    was started with. Crash points never fire again.

    ids, keys: these workflows only; accept_reducer and restart then only when they are all of their
    run. durability, on_error: others than they were started with. store: a path, or a store that is
    open for writing, which is left open. Parked streams stay parked. The rest is as in `fold`. What one
    run fails with keeps no other from going on; the first such error is raised at the end.

    Raises NotFound for an id or key that the store does not have, or no store.
    """
    path = file_of(store)
    if not path.exists():
        raise NotFound(f"{path}: no such store, so nothing to resume", "durproj run makes one")
    base = path.resolve().parent
    if on_error is not None:
        check_on_error(on_error, None)
    observer, stop, counts = observer or Silent(), stop or Stop(), Counts()
    durability_now = durability or asked_durability(path)
    with writer(store, durability_now, wait_s, stop) as opened:
        wanted = _wanted(opened, given_names("ids", ids), given_names("keys", keys))
        if wanted and (accept_reducer or restart):
            _refuse_parts(opened, wanted)
        failures: list[DurprojError] = []
        unfinished = [run for run in opened.runs() if not run.complete]
        pending = [
            run.no or 0
            for run in unfinished
            # What was replaced goes on only if it is asked for.
            if (run.no in wanted if wanted is not None else REPLACED_BY not in run.options)
        ]
        for no in pending:
            # Read anew: a run before it may have taken all of it over.
            run, only = opened.run(no), None if wanted is None else wanted[no]
            if run is None or run.complete:
                continue
            if run.options.get("kind") != "fold" or run.options.get("program"):
                _note_program(opened, run, observer)
                continue
            try:
                request = _again(run, opened.location, base, only)
                request.accept_reducer, request.restart = accept_reducer, restart
                request.durability = durability or request.durability
                request.on_error = on_error or request.on_error
                run_one(request, opened, base, observer, stop, counts)
            except OWN_FAILURES as error:
                if failures or no != pending[-1]:  # else it is raised at once
                    observer.note(f"{run.name}: {error.message}")
                failures.append(error)
    if failures:
        raise failures[0]
    return counts


def _again(run: Run, location: str, base: Path, only: frozenset[str] | None) -> Request:
    """The fold that `run` stands for, to be gone on with."""
    if is_gone(run, location):
        again = "give it the same input again, as it was given first"
        raise UsageError(f"{run.name}: its input was standard input, which is gone", again)
    return Request.from_run(run, base, only)


def _wanted(
    store: SqliteStore, ids: list[str] | None, keys: list[str] | None
) -> dict[int, frozenset[str]] | None:
    """The keys to resume, by run number; None when all are."""
    if ids is None and keys is None:
        return None
    found: dict[int, set[str]] = {}
    for id in ids or ():
        split_id(id)
        head = store.head(id)
        if head is None:
            raise no_workflow(id, store)
        found.setdefault(head.run, set()).add(head.key)
    for key in keys or ():
        heads = [head for head in store.heads() if head.key == key]
        if not heads:
            raise no_key(key, store)
        for head in heads:
            found.setdefault(head.run, set()).add(key)
    return {run: frozenset(keys) for run, keys in found.items()}


def _refuse_parts(store: SqliteStore, wanted: dict[int, frozenset[str]]) -> None:
    """All workflows of a run are made by one reducer: it does not change for some of them."""
    for no, keys in wanted.items():
        other = next((head.id for head in store.heads(run=no) if head.key not in keys), None)
        if other is not None:
            raise UsageError(
                "a run is restarted, or goes on with a changed reducer, as a whole",
                f"name no workflow, or all of the run: {other} is one, too",
            )


def _note_program(store: SqliteStore, run: Run, observer: Observer) -> None:
    """Say who has to go on with `run`, if anything of it is left to do."""
    options = run.options
    if options.get("kind") == "fold":
        what, program = f"{run.name} of {' '.join(options['inputs'])}", options["reducer"]
    elif any(head.status != "resolved" for head in store.heads(run=run.no)):
        what, program = run.identity, options.get("workflow")
    else:
        return
    observer.note(f"{what} was started by a program ({program}): run that program to go on")
