"""`fold`: the library's entry to projections, and the one that the command line uses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from durproj.errors import (
    UsageError,
)
from durproj.events.formats.mapping import Mapping
from durproj.events.reader import MAX_LINE
from durproj.events.sequence.order import Order
from durproj.projections.reducer import MISSING, load
from durproj.runtime.folding import DEFAULT_STORE, announce, counted, file_of, run_one, writer
from durproj.runtime.given import (
    given_initial,
    given_inputs,
    given_mapping,
    given_names,
    given_reducer,
    given_selection,
)
from durproj.runtime.observer import Counts, Observer, Silent, Stop
from durproj.runtime.request import (
    FORK,
    SAMPLE,
    SELECTION,
    Dedupe,
    OnBadLine,
    OnError,
    Request,
    check_on_error,
    identity,
)
from durproj.runtime.retry import DEFAULT, BuiltIn, to_options
from durproj.stores.base import Durability
from durproj.stores.sqlite import SqliteStore


def fold(
    events: str | Path | Sequence[str | Path] | None = None,
    *,
    keys: Iterable[str] | None = None,
    reducer: str | Any | None = None,
    initial: Any = MISSING,
    name: str = "projection",
    store: str | Path | SqliteStore = DEFAULT_STORE,
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
    follow: bool = False,
    rotated: bool = False,
    on_error: OnError = "stop",
    on_bad_line: OnBadLine = "stop",
    max_errors: int | None = None,
    strict_types: bool = False,
    wait_s: float = 0.0,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Counts:
    """Fold the streams of a log into projections, one durable checkpoint per event.

    events: paths, globs or `-` (standard input); None: what the store last read, else the packaged
    sample. keys: these streams only (None: all). reducer: a built-in's name, `file.py:name`,
    `module:name`, `jq:PROGRAM`; a function `(state, event) -> state`, or a dictionary of such by event
    type. initial: the initial state, instead of the reducer's own. mapping: where a line keeps its key,
    type, id, time and data, and its format; what it leaves out is found. no_key: for lines without a key,
    `error`, `skip` or a key. order: take the events of a stream as they stand in the log (`file`), or by
    their `time` or sequence number (`seq`), equal ones as they stand. dedupe: `id` drops an event whose id
    and bytes were there before in its stream, and refuses one whose bytes are others; `none`. Where
    reducer, mapping, no_key, order or dedupe are left out, the same fold goes on with those it was begun
    with; a new one takes the reducer that its name had last in this store, else `account`, and `error`,
    `file` and `none`.

    store: a path, or a store that is open for writing, to `durability`; it is left open. retry: one of
    the built-in policies, so that `resume` can go on with it. max_line: in bytes. crash: die at this
    step, once. fail: (step, times): let its attempts fail. accept_reducer: let the reducer have
    changed. restart: drop what was recorded and fold again. follow: go on with what comes to the one
    input, until `stop` says so or a pipe ends; rotated: another file has taken its place since, and
    that is right. on_error: what becomes of a stream whose step fails for good: `stop` ends the run,
    `park` lets that stream wait and the others go on, `skip` records a step that leaves the state as it
    was. on_bad_line: a line that is no event ends the run (`stop`) or is left out (`skip`). max_errors:
    end the run when more events than that were parked or skipped. strict_types: an event of a type that
    the reducer does not know (see its attribute `types`) fails; else it leaves the state as it is.
    wait_s: how long to wait for another runner.

    Returns what it came to. Raises PastChanged, StepFailed, TooManyErrors, BadEvent, NotFound,
    StoreError and its kin, UsageError, Interrupted; whatever was finished by then is committed.
    """
    base = Path(os.path.realpath(file_of(store))).parent  # resolve() does not bear a link to itself
    # What was named wrongly is refused before a store is made.
    text = None if initial is MISSING else given_initial(initial)
    selected = given_names("keys", keys)
    to_options(retry)
    check_on_error(on_error, max_errors, on_bad_line)
    asked = given_mapping(mapping)
    selection = given_selection(order, dedupe)
    inputs = given_inputs(events, base, follow=follow)
    named = None if reducer is None else given_reducer(reducer, text, base)
    stop = stop or Stop()
    with writer(store, durability, wait_s, stop) as opened:
        if inputs is None:
            inputs, selected = _last_read(opened, name, selected)
        pipe = None
        if follow:
            from durproj.runtime.follow import Follower, followed

            inputs, pipe = followed(inputs, name, selected, base, opened.location)
        begun = opened.find_run(name, identity(inputs, selected))
        options: dict[str, Any] = {
            "reducer": "account",
            "initial": None,
            "no_key": "error",
            **SELECTION,
            **(begun.options if begun else _of_name(opened, name)),
            **selection,
        }
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
            on_error=on_error,
            on_bad_line=on_bad_line,
            max_errors=max_errors,
            strict_types=strict_types,
            continues=pipe is not None,
        )
        hears = observer or Silent()
        if not follow:
            return run_one(request, opened, base, hears, stop, Counts())
        follower = Follower(
            *(request, opened, base, hears, stop),
            begun=lambda setup: announce(setup, opened, hears, follow=True),
            pipe=pipe,
            rotated=rotated,
        )
        return counted(follower, Counts(), hears)


def _of_name(store: SqliteStore, name: str) -> dict[str, Any]:
    """The reducer and initial state that `name` had last in `store`, if any: its streams are of one kind,
    whatever they are read from. What a fork under the name was tried with counts only where there is
    nothing else."""
    folds = [run for run in store.runs() if run.name == name and run.options.get("kind") == "fold"]
    folds = [run for run in folds if FORK not in run.options] or folds
    names = ("reducer", "initial", "program")
    return {each: folds[-1].options.get(each) for each in names} if folds else {}


def _last_read(
    store: SqliteStore, name: str, keys: list[str] | None
) -> tuple[list[str], list[str] | None]:
    """The inputs and keys of the fold that `store` was last used for, of this name if there is one;
    the sample when it is new. Keys that are given win. Standard input cannot be read again."""
    every = [
        run for run in store.runs() if run.options.get("kind") == "fold" and FORK not in run.options
    ]
    folds = [
        run
        for run in every
        if "-" not in run.options["inputs"] and not run.options.get("continues")
    ]
    if every and not folds:
        raise UsageError(
            f"{store.location} has read only what came through pipes, which is gone",
            "name an input",
        )
    folds = [run for run in folds if run.name == name] or folds
    if not folds:
        return [SAMPLE], keys
    last = folds[-1].options
    return list(last["inputs"]), last["keys"] if keys is None else keys
