"""`fold` and `resume`: the library's entries to projections, and the ones the command line uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from durproj import codec
from durproj.errors import NotFound, UsageError
from durproj.events.formats import Mapping
from durproj.events.reader import MAX_LINE, expand
from durproj.ids import split_id
from durproj.projections.reducer import MISSING, Reducer, from_function, load
from durproj.runtime.fold import LogFold
from durproj.runtime.observer import Counts, Observer, Silent, Stop
from durproj.runtime.request import SAMPLE, Request, identity, opened_path, stored_path
from durproj.runtime.retry import DEFAULT, Exponential
from durproj.runtime.setup import Setup
from durproj.stores.base import Durability, Run
from durproj.stores.sqlite import SqliteStore

DEFAULT_STORE = "durproj.db"


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
    durability: Durability = "step",
    retry: Exponential = DEFAULT,
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
    the reducer's own. mapping: where a line keeps its key, type, id, time and data; what it leaves out
    is found. no_key: for lines without a key, `error`, `skip` or a key. Where reducer, mapping or
    no_key are left out, the same fold goes on with those it was begun with; a new one takes `account`
    and `error`.

    max_line: in bytes. crash: die at this step, once. fail: (step, times): let its attempts fail.
    accept_reducer: let the reducer have changed. restart: drop what was recorded and fold again.
    wait_s: how long to wait for another runner.

    Returns what it came to. Raises PastChanged, StepFailed, BadEvent, NotFound, StoreError and its
    kin, UsageError, Interrupted; whatever was finished by then is committed.
    """
    path = Path(store)
    base = path.resolve().parent
    text = None if initial is MISSING else codec.encode(initial).decode()
    selected = list(dict.fromkeys(keys)) if keys is not None else None
    # What was named wrongly is refused before a store is made.
    inputs = _given(events, base)
    named = None if reducer is None else _reducer(reducer, text, base)
    with _writer(path, durability, wait_s) as opened:
        if inputs is None:
            inputs, selected = _last_read(opened, name, selected)
        begun = opened.find_run(name, identity(inputs, selected))
        options: dict[str, Any] = {"reducer": "account", "initial": None, "no_key": "error"}
        options |= begun.options if begun else {}
        if named is None and text is None:
            text = options["initial"]
        request = Request(
            inputs=inputs,
            reducer=named or load(options["reducer"], text, base),
            keys=selected,
            initial=text,
            name=name,
            mapping=mapping or Mapping(),
            no_key=options["no_key"] if no_key is None else no_key,
            durability=durability,
            retry=retry,
            max_line=max_line,
            crash=crash,
            crash_with=crash_with,
            fail=fail,
            accept_reducer=accept_reducer,
            restart=restart,
        )
        return _run(request, opened, base, observer or Silent(), stop or Stop(), Counts())


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

    ids, keys: these workflows only. durability: another one than they were started with. The rest is
    as in `fold`. Raises NotFound for an id or key that the store does not have, or no store.
    """
    path = Path(store)
    if not path.exists():
        raise NotFound(f"{path}: no such store, so nothing to resume", "durproj run makes one")
    base = path.resolve().parent
    observer, stop, counts = observer or Silent(), stop or Stop(), Counts()
    with _writer(path, durability or _asked_durability(path), wait_s) as opened:
        wanted = _wanted(opened, ids, keys)
        for run in opened.runs():
            only = None if wanted is None else wanted.get(run.no or 0)
            if run.complete or (wanted is not None and only is None):
                continue
            if run.options["kind"] != "fold":
                _note_program(opened, run, observer)
                continue
            if "-" in run.options["inputs"]:
                again = f"give it the same input again: … | durproj run - --name {run.name}"
                raise UsageError(f"{run.name}: its input was standard input, which is gone", again)
            request = Request.from_run(run, base, only)
            request = replace(request, accept_reducer=accept_reducer, restart=restart)
            request.durability = durability or request.durability
            counts = _run(request, opened, base, observer, stop, counts)
    return counts


@contextmanager
def _writer(path: Path, durability: Durability, wait_s: float) -> Iterator[SqliteStore]:
    store = SqliteStore.open_writer(path, durability, wait_s)
    try:
        yield store
    finally:
        store.close()


def _run(
    request: Request, store: SqliteStore, base: Path, observer: Observer, stop: Stop, counts: Counts
) -> Counts:
    setup = Setup(request, store, base, observer)
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


def _given(events: str | Path | Sequence[str | Path] | None, base: Path) -> list[str] | None:
    """The inputs that were named, as the store keeps them; None when none was."""
    if events is None:
        return None
    paths = [events] if isinstance(events, str | Path) else events
    if not paths:
        raise UsageError("no input was named", "give a path, a glob or - for standard input")
    stored = [stored_path(str(path), base) for path in paths]
    expand([opened_path(path, base) for path in stored])
    return stored


def _last_read(
    store: SqliteStore, name: str, keys: list[str] | None
) -> tuple[list[str], list[str] | None]:
    """The inputs and keys of the fold that `store` was last used for, of this name if there is one;
    the sample when it is new. Keys that are given win."""
    folds = [run for run in store.runs() if run.options["kind"] == "fold"]
    folds = [run for run in folds if run.name == name] or folds
    if not folds:
        return [SAMPLE], keys
    last = folds[-1].options
    return list(last["inputs"]), last["keys"] if keys is None else keys


def _reducer(reducer: str | Any, initial: str | None, base: Path) -> Reducer:
    """The reducer, its reference as the store keeps it."""
    loaded = (
        load(reducer, initial, Path.cwd())
        if isinstance(reducer, str)
        else from_function(reducer)
        if initial is None
        else from_function(reducer, codec.decode(initial.encode()))
    )
    file, colon, function = loaded.ref.rpartition(":")
    if not colon or not file.endswith(".py"):
        return loaded
    return replace(loaded, ref=f"{stored_path(file, base)}:{function}")


def _asked_durability(path: Path) -> Durability:
    """The strictest durability that an unfinished run of the store was started with."""
    store = SqliteStore.open_reader(path)
    try:
        asked = {run.options.get("durability", "step") for run in store.runs() if not run.complete}
    finally:
        store.close()
    return "fsync" if "fsync" in asked else "step"


def _wanted(
    store: SqliteStore, ids: Iterable[str] | None, keys: Iterable[str] | None
) -> dict[int, frozenset[str]] | None:
    """The keys to resume, by run number; None when all are."""
    ids, keys = list(ids or ()), list(keys or ())
    if not ids and not keys:
        return None
    found: dict[int, set[str]] = {}
    for id in ids:
        split_id(id)
        head = store.head(id)
        if head is None:
            raise NotFound(f"{id}: no such workflow in {store.location}", "durproj list shows them")
        found.setdefault(head.run, set()).add(head.key)
    for key in keys:
        heads = [head for head in store.heads() if head.key == key]
        if not heads:
            shown = codec.to_json(key)
            raise NotFound(
                f"no workflow in {store.location} has the key {shown}", "durproj list shows them"
            )
        for head in heads:
            found.setdefault(head.run, set()).add(key)
    return {run: frozenset(keys) for run, keys in found.items()}


def _note_program(store: SqliteStore, run: Run, observer: Observer) -> None:
    heads = list(store.heads(run=run.no))
    if any(head.status != "resolved" for head in heads):
        program = run.options["workflow"]
        observer.note(
            f"{run.identity} was started by a program ({program}): run that program to go on"
        )
