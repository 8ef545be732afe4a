"""`fold` and `resume`: the library's entries to projections, and the ones the command line uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from durproj import codec
from durproj.errors import (
    BadEvent,
    DurprojError,
    NotFound,
    PastChanged,
    StepFailed,
    UsageError,
)
from durproj.events.mapping import Mapping
from durproj.events.order import Order
from durproj.events.reader import MAX_LINE
from durproj.ids import split_id
from durproj.projections.reducer import MISSING, load
from durproj.runtime.fold import LogFold
from durproj.runtime.given import (
    given_initial,
    given_inputs,
    given_mapping,
    given_names,
    given_reducer,
    given_selection,
)
from durproj.runtime.observer import Counts, Observer, Silent, Stop
from durproj.runtime.request import SAMPLE, SELECTION, Dedupe, Request, identity
from durproj.runtime.retry import DEFAULT, BuiltIn, to_options
from durproj.runtime.setup import Setup
from durproj.stores.base import Durability, Run
from durproj.stores.sqlite import SqliteStore

DEFAULT_STORE = "durproj.db"

OWN_FAILURES = (PastChanged, NotFound, BadEvent, StepFailed, UsageError)
"""What ends one run and says nothing about the next."""


def fold(
    events: str | Path | Sequence[str | Path] | None = None,
    *,
    keys: Iterable[str] | None = None,
    reducer: str | Any | None = None,
    initial: Any = MISSING,
    name: str = "projection",
    store: str | Path = DEFAULT_STORE,
    mapping: Mapping | None = None,
    no_key: str | None = None,
    order: Order | None = None,
    dedupe: Dedupe | None = None,
    durability: Durability = "step",
    retry: BuiltIn = DEFAULT,
    max_line: int = MAX_LINE,
    crash: int | None = None,
    crash_with: Literal["EXIT", "KILL"] = "EXIT",
    fail: tuple[int, int] | None = None,
    accept_reducer: bool = False,
    restart: bool = False,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Counts:
    """Fold the streams of a log into projections, one durable checkpoint per event.

    events: paths, globs or `-` (standard input); None: what the store last read, else the packaged
    sample. keys: these streams only (None: all). reducer: a built-in's name, `file.py:function`,
    `module:function`, or a function `(state, event) -> state`. initial: the initial state, instead of
    the reducer's own. mapping: where a line keeps its key, type, id, time and data, and its format; what it
    leaves out is found. no_key: for lines without a key, `error`, `skip` or a key. order: take the events of a
    stream as they stand in the log (`file`), or by their `time` or sequence number (`seq`), equal ones as
    they stand. dedupe: `id` drops an event whose id and bytes were there before in its stream, and refuses
    one whose bytes are others; `none`. Where reducer, mapping, no_key, order or dedupe are left out, the
    same fold goes on with those it was begun with; a new one takes `account`, `error`, `file` and `none`.

    retry: one of the built-in policies, so that `resume` can go on with it. max_line: in bytes. crash:
    die at this step, once. fail: (step, times): let its attempts fail. accept_reducer: let the reducer
    have changed. restart: drop what was recorded and fold again. wait_s: how long to wait for another
    runner.

    Returns what it came to. Raises PastChanged, StepFailed, BadEvent, NotFound, StoreError and its
    kin, UsageError, Interrupted; whatever was finished by then is committed.
    """
    path = Path(store)
    base = path.resolve().parent
    # What was named wrongly is refused before a store is made.
    text = None if initial is MISSING else given_initial(initial)
    selected = given_names("keys", keys)
    to_options(retry)
    selection = given_selection(order, dedupe)
    asked = given_mapping(mapping)
    inputs = given_inputs(events, base)
    named = None if reducer is None else given_reducer(reducer, text, base)
    stop = stop or Stop()
    with _writer(path, durability, wait_s, stop) as opened:
        if inputs is None:
            inputs, selected = _last_read(opened, name, selected)
        begun = opened.find_run(name, identity(inputs, selected))
        options: dict[str, Any] = {
            "reducer": "account",
            "initial": None,
            "no_key": "error",
            **SELECTION,
        }
        options |= (begun.options if begun else {}) | selection
        if named is None and options.get("program"):
            raise UsageError(
                f"{name} was folded by a program, with its own {options['reducer']}",
                "run that program, or say which reducer: --reducer",
            )
        if named is None and text is None:
            text = options["initial"]
        request = Request(
            inputs=inputs,
            reducer=named or load(options["reducer"], text, base),
            keys=selected,
            initial=text,
            name=name,
            mapping=asked,
            no_key=options["no_key"] if no_key is None else no_key,
            order=options["order"],
            dedupe=options["dedupe"],
            durability=durability,
            retry=retry,
            max_line=max_line,
            crash=crash,
            crash_with=crash_with,
            fail=fail,
            accept_reducer=accept_reducer,
            restart=restart,
        )
        return _run(request, opened, base, observer or Silent(), stop, Counts())


def resume(
    ids: Iterable[str] | None = None,
    *,
    keys: Iterable[str] | None = None,
    store: str | Path = DEFAULT_STORE,
    durability: Durability | None = None,
    accept_reducer: bool = False,
    restart: bool = False,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Counts:
    """Go on with every unfinished workflow of the store, each with the input, reducer and options it
    was started with. Crash points never fire again.

    ids, keys: these workflows only; accept_reducer and restart then only when they are all of their
    run. durability: another one than they were started with. The rest is as in `fold`. What one run
    fails with keeps no other from going on; the first such error is raised at the end.

    Raises NotFound for an id or key that the store does not have, or no store.
    """
    path = Path(store)
    if not path.exists():
        raise NotFound(f"{path}: no such store, so nothing to resume", "durproj run makes one")
    base = path.resolve().parent
    observer, stop, counts = observer or Silent(), stop or Stop(), Counts()
    durability_now = durability or _asked_durability(path)
    with _writer(path, durability_now, wait_s, stop) as opened:
        wanted = _wanted(opened, given_names("ids", ids), given_names("keys", keys))
        if wanted and (accept_reducer or restart):
            _refuse_parts(opened, wanted)
        failures: list[DurprojError] = []
        unfinished = [run.no or 0 for run in opened.runs() if not run.complete]
        pending = [no for no in unfinished if wanted is None or no in wanted]
        for no in pending:
            # Read anew: a run before it may have taken all of it over.
            run, only = opened.run(no), None if wanted is None else wanted[no]
            if run is None or run.complete:
                continue
            if run.options["kind"] != "fold" or run.options.get("program"):
                _note_program(opened, run, observer)
                continue
            try:
                request = _again(run, base, only)
                request.accept_reducer, request.restart = accept_reducer, restart
                request.durability = durability or request.durability
                _run(request, opened, base, observer, stop, counts)
            except OWN_FAILURES as error:
                if failures or no != pending[-1]:  # else it is raised at once
                    observer.note(f"{run.name}: {error.message}")
                failures.append(error)
    if failures:
        raise failures[0]
    return counts


def _again(run: Run, base: Path, only: frozenset[str] | None) -> Request:
    """The fold that `run` stands for, to be gone on with."""
    if "-" in run.options["inputs"]:
        again = "give it the same input again, as it was given first"
        raise UsageError(f"{run.name}: its input was standard input, which is gone", again)
    return Request.from_run(run, base, only)


@contextmanager
def _writer(path: Path, durability: Durability, wait_s: float, stop: Stop) -> Iterator[SqliteStore]:
    with stop.waiting():
        store = SqliteStore.open_writer(path, durability, wait_s)
    try:
        yield store
    finally:
        store.close()


def _run(
    request: Request, store: SqliteStore, base: Path, observer: Observer, stop: Stop, counts: Counts
) -> Counts:
    """One fold, added to `counts`."""
    setup = Setup(request, store, base, observer, stop)
    observer.started(
        {
            "input": request.shown_input(),
            "name": request.name,
            "reducer": request.reducer.ref,
            "store": store.location,
            "durability": request.durability,
        },
        request.reducer.summary,
        small=setup.small,
    )
    folding = LogFold(setup, store, observer, stop)
    try:
        folding.run()
    finally:
        counts += folding.counts
        observer.counted(folding.counts)
    return counts


def _last_read(
    store: SqliteStore, name: str, keys: list[str] | None
) -> tuple[list[str], list[str] | None]:
    """The inputs and keys of the fold that `store` was last used for, of this name if there is one;
    the sample when it is new. Keys that are given win. Standard input cannot be read again."""
    every = [run for run in store.runs() if run.options["kind"] == "fold"]
    folds = [run for run in every if "-" not in run.options["inputs"]]
    if every and not folds:
        raise UsageError(
            f"{store.location} was only given standard input, which is gone", "name an input"
        )
    folds = [run for run in folds if run.name == name] or folds
    if not folds:
        return [SAMPLE], keys
    last = folds[-1].options
    return list(last["inputs"]), last["keys"] if keys is None else keys


def _asked_durability(path: Path) -> Durability:
    """The strictest durability that an unfinished run of the store was started with."""
    store = SqliteStore.open_reader(path)
    try:
        asked = {run.options.get("durability", "step") for run in store.runs() if not run.complete}
    finally:
        store.close()
    return "fsync" if "fsync" in asked else "step"


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
            raise NotFound(f"{id}: no such workflow in {store.location}", "durproj list shows them")
        found.setdefault(head.run, set()).add(head.key)
    for key in keys or ():
        heads = [head for head in store.heads() if head.key == key]
        if not heads:
            shown = codec.to_json(key)
            raise NotFound(
                f"no workflow in {store.location} has the key {shown}", "durproj list shows them"
            )
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
    if options["kind"] == "fold":
        what, program = f"{run.name} of {' '.join(options['inputs'])}", options["reducer"]
    elif any(head.status != "resolved" for head in store.heads(run=run.no)):
        what, program = run.identity, options["workflow"]
    else:
        return
    observer.note(f"{what} was started by a program ({program}): run that program to go on")
