"""`crashtest`: whether a log and its reducer survive crashes, wherever they strike."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Self, get_args

from durproj.crashing.again import SECONDS, Again
from durproj.crashing.copying import readable_again
from durproj.crashing.job import Job, Progress, Record
from durproj.crashing.lives.killing import Plan
from durproj.crashing.prepared import Answer
from durproj.crashing.servers import Servers
from durproj.errors import OutputFailed, UsageError
from durproj.events.formats.mapping import Mapping
from durproj.events.reader import MAX_LINE
from durproj.events.sequence.order import Order
from durproj.projections.reducer import MISSING, from_function
from durproj.runtime.given import given_initial, given_mapping, given_names, given_selection
from durproj.runtime.observer import Stop
from durproj.runtime.request import SAMPLE, Dedupe, OnBadLine, OnError, check_on_error
from durproj.stores.base import Durability

SEEDS = 20
LEVELS: tuple[Durability, ...] = ("step", "batch")
"""Where no durability is asked for: `fsync` differs from `step` only where the power fails."""

FOR_EVER = 1e9
"""More seconds than these are not told from each other: 30 years, which every timer can be set to."""

DIGITS = 18
"""So many digits has the number of a life at most."""


def crashtest(
    events: str | Path | Sequence[str | Path] | None = None,
    *,
    reducer: str | Any = "account",
    initial: Any = MISSING,
    keys: Sequence[str] | None = None,
    mapping: Mapping | None = None,
    no_key: str | None = None,
    order: Order | None = None,
    dedupe: Dedupe | None = None,
    on_error: OnError = "stop",
    on_bad_line: OnBadLine = "stop",
    max_line: int = MAX_LINE,
    strict_types: bool = False,
    durability: Durability | Sequence[Durability] | None = None,
    seeds: int = SEEDS,
    seed: int | str | None = None,
    seconds: float = SECONDS,
    allow_mutation: bool = False,
    keep: str | Path | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Iterator[Record]:
    """Crash folds of a log wherever they may crash, resume them, and compare what is left with a fold that
    was left alone, and that with a fold of the log without any store.

    events: paths, globs or `-`, which is copied first, as any pipe is; None: the packaged sample. reducer: what
    `--reducer` takes, or a function that another process can import. durability: the level or levels to crash at
    (None: LEVELS, or that of a `seed` that names a life; another than that is refused).
    seeds: how many lives are drawn at random, besides those that are killed before and after every commit, in back-off,
    twice in a row and with two runners. seed: this life only, and the reducer is not looked into: a number, or
    what a failure named, such as `step:before@3`. seconds: how long it may take. Lives that are left out then
    are from all over; of a log that is too long for it, parts from all over are crashed, each as a log of
    its own that begins with the state that was there; a life that was named is lived in each.
    allow_mutation: the reducer may change the state that it is given. keep: where the folder is made that
    holds the stores (None: among what is temporary). The rest is as in `fold`. progress: told of lives;
    stop: ends it.

    The processes are forks, at most two at a time, that end by SIGKILL; their stores are in a folder of
    their own, which stays when something is wrong. The reducer is executed many times: what it does besides
    giving a state, it does again and again.

    Yields a `sample` if parts of the log are crashed; a `warning` when the reducer does something besides
    giving a state; a `fault` for whatever is wrong with it (and crashes nothing then); else a record of the
    `crashes` of each kind and a `failure` if there was one; behind the first fault or failure a
    `reproduction`, as small as there was time for; and a `summary` in the end, whose `exit` is 0 only when
    nothing was wrong and the reducer was looked into and every kind of crash struck, at every level, at least
    once: `uncovered` says in words what was left out. Raises UsageError at once; while it yields, what a fold of
    the log raises, Interrupted, and Rewritten when a file that it reads changed, so that nothing can be said of it.
    """
    if seeds < 0:
        raise UsageError("--seeds must be 0 or more", "0 leaves the random crash runs out")
    if not seconds > 0:
        raise UsageError("--seconds must be more than 0", f"leave it out for {SECONDS:g} seconds")
    only = None if seed is None else _life_of(seed)
    levels = _levels(durability, only)
    check_on_error(on_error, None, on_bad_line)
    options: Answer = {
        "events": _named(events),
        "keys": given_names("keys", keys),
        "reducer": reducer if isinstance(reducer, str) else _reference(reducer),
        "initial": None if initial is MISSING else given_initial(initial),
        "mapping": given_mapping(mapping).to_dict(),
        "no_key": no_key,
        "order": None,
        "dedupe": None,
        **given_selection(order, dedupe),
        "on_error": on_error,
        "on_bad_line": on_bad_line,
        "max_line": max_line,
        "strict_types": strict_types,
    }
    stops = stop or Stop()

    def records() -> Iterator[Record]:
        until = time.monotonic() + min(seconds, FOR_EVER)
        with ExitStack() as opened:
            folder = _made(keep)
            kept = opened.enter_context(_Folder(folder))
            events = readable_again(options["events"], folder, stops, until)
            temporary = TemporaryDirectory(dir=folder, ignore_cleanup_errors=True)
            path = Path(opened.enter_context(temporary))
            servers = opened.enter_context(Servers(stops, until, path))
            again = Again(folder, mutation=not allow_mutation, seconds=seconds)
            job = Job(servers, again, options | {"events": events}, told=progress)
            try:
                yield from job.records(levels, seeds, only)
            finally:
                kept.keep = job.wrong

    return records()


class _Folder:
    """The folder of one crash test: removed in the end, unless it is to be kept."""

    def __init__(self, path: Path) -> None:
        self._path, self.keep = path, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.keep:
            shutil.rmtree(self._path, ignore_errors=True)


def _made(keep: str | Path | None) -> Path:
    """A new folder, in `keep` if that is given. Raises OutputFailed."""
    try:
        if keep is not None:
            Path(keep).mkdir(parents=True, exist_ok=True)
        # Up to Python 3.11 it is relative where `keep` is.
        return Path(mkdtemp(prefix="durproj-crashtest-", dir=keep)).absolute()
    except OSError as error:
        what = keep or "a temporary folder"
        raise OutputFailed(f"{what}: cannot be created: {error.strerror}") from None


def _levels(
    asked: Durability | Sequence[Durability] | None, only: Plan | int | None
) -> list[Durability]:
    """The levels to crash at: those that are `asked` for, and of a life that is written out its own. Raises
    UsageError."""
    given = [asked] if isinstance(asked, str) else asked
    levels = list(dict.fromkeys(LEVELS if given is None else given))
    unknown = [str(level) for level in levels if level not in get_args(Durability)]
    if unknown or not levels:
        known = ", ".join(get_args(Durability))
        raise UsageError(f"no such durability: {', '.join(unknown)}", f"name some of {known}")
    if not isinstance(only, Plan):
        return levels
    if asked is not None and only.durability not in levels:
        raise UsageError(
            f"--durability {', '.join(levels)} does not go with --seed {only}, which is at the level"
            f" {only.durability}",
            "leave --durability out, or name that level",
        )
    return [only.durability]


def _life_of(seed: int | str) -> Plan | int:
    """The number of a life that is drawn, or the life that was written out. Raises UsageError."""
    if isinstance(seed, str) and not (seed.isascii() and seed.isdecimal()):
        return Plan.parse(seed)
    if isinstance(seed, str) and len(seed) <= DIGITS:
        seed = int(seed)
    if isinstance(seed, str) or not 0 <= seed < 10**DIGITS:
        raise UsageError(f"--seed must be a number of at most {DIGITS} digits, such as 4")
    return seed


def _named(events: str | Path | Sequence[str | Path] | None) -> list[str]:
    if events is None:
        return [SAMPLE]
    paths = [events] if isinstance(events, str | Path) else events
    return [str(path) for path in paths]


def _reference(reducer: Any) -> str:
    """How another process finds a reducer that is at hand. Raises UsageError when it cannot."""
    found = from_function(reducer)
    if found.program:
        raise UsageError(
            f"{found.ref} is this program's own: no other process can import it",
            "define it in a module, at the top level, and name it: reducer='module:function'",
        )
    return found.ref
