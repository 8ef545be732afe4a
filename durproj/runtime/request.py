"""What a fold is asked for, and the form in which the store keeps it so that `resume` can ask again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from blake3 import blake3

from durproj import codec, events
from durproj.errors import UsageError
from durproj.events.formats.mapping import Mapping
from durproj.events.reader import MAX_LINE
from durproj.events.sequence.order import Order
from durproj.events.spool import kept
from durproj.projections.reducer import Reducer, load
from durproj.runtime.retry import DEFAULT, RetryPolicy, from_options, to_options
from durproj.stores.base import Durability, Run
from durproj.stores.stored import expect_fold

OnError = Literal["stop", "park", "skip"]
"""What becomes of a stream whose step failed for good: it ends the run; it waits, parked; it goes on
without that event."""

OnBadLine = Literal["stop", "skip"]
"""What becomes of a line that is no event: it ends the run; it is left out."""

SAMPLE = "durproj:sample"
"""Stands for the packaged 8-event log."""

SAMPLE_KEY = "u1"
WHOLE_LOG = "all"
"""The key of a log in which no line has one."""

Dedupe = Literal["none", "id"]
"""Whether events that come again are dropped, and what they are told by."""

SELECTION = {"order": "file", "dedupe": "none"}
"""Options that say what is taken of a log and in which order; in stores that are older than they are,
they are these."""

FORK = "fork"
"""Option of a run: its workflow was forked from another (`history.fork` says what is in it), and is no
stream of the input that its events came from."""

REPLACED_BY = "replaced_by"
"""Option of a run: the name that took the place of its workflows. They stay as they are until `gc`."""


@dataclass
class Request:
    """One fold. Times are in seconds, `max_line` in bytes.

    keys None: every stream. mapping: given paths only, the rest is found. no_key: `error`, `skip`, or
    a key for lines without one. order: by what the events of a stream are ordered; dedupe: what is dropped
    of what comes again. max_errors: how many events may be parked or skipped. strict_types: an event of a
    type that the reducer does not know fails. release: the streams of `only` are parked, and go on from
    the parked event (retry) or after it (drop), whoever's the other streams are. crash: the step at which
    the process dies, by `crash_with`. fail: a
    step and how often its attempt fails. resumed: it was asked for before; only: of these keys alone,
    in a resumed run of more. continues: the inputs are what came through a pipe, after whatever is
    recorded. onward: it was folded before by this process, and what was recorded then has been shown.
    """

    inputs: list[str]
    reducer: Reducer
    keys: list[str] | None = None
    initial: str | None = None
    name: str = "projection"
    mapping: Mapping = field(default_factory=Mapping)
    no_key: str = "error"
    order: Order = "file"
    dedupe: Dedupe = "none"
    durability: Durability = "step"
    retry: RetryPolicy = DEFAULT
    max_line: int = MAX_LINE
    crash: int | None = None
    crash_with: Literal["EXIT", "KILL"] = "EXIT"
    fail: tuple[int, int] | None = None
    accept_reducer: bool = False
    restart: bool = False
    on_error: OnError = "stop"
    on_bad_line: OnBadLine = "stop"
    max_errors: int | None = None
    strict_types: bool = False
    release: Literal["retry", "drop"] | None = None
    resumed: bool = False
    only: frozenset[str] | None = None
    continues: bool = False
    onward: bool = False

    def identity(self) -> str:
        """Tells this fold from others of its name."""
        return identity(self.inputs, self.keys)

    def shown_input(self) -> str:
        """The inputs in one line."""
        return " ".join(self.inputs)

    def options(self, mapping: Mapping) -> dict[str, Any]:
        """What `from_run` needs, and what the guard compares."""
        return {
            "kind": "fold",
            "inputs": self.inputs,
            "keys": self.keys,
            "reducer": self.reducer.ref,
            "fingerprint": self.reducer.fingerprint,
            "initial": self.initial,
            "initial_source": self.reducer.initial_source,
            "mapping": mapping.to_dict(),
            "given": self.mapping.to_dict(),
            "no_key": self.no_key,
            "order": self.order,
            "dedupe": self.dedupe,
            "durability": self.durability,
            "retry": to_options(self.retry),
            "max_line": self.max_line,
            "on_error": self.on_error,
            "on_bad_line": self.on_bad_line,
            "max_errors": self.max_errors,
            "strict_types": self.strict_types,
            **({"program": True} if self.reducer.program else {}),
            **({"continues": True} if self.continues else {}),
        }

    @classmethod
    def from_run(
        cls,
        run: Run,
        base: Path,
        only: frozenset[str] | None = None,
        reducer: Reducer | None = None,
    ) -> Request:
        """The fold that `run` stands for. `base` is the store's folder, from which paths count;
        `reducer`: not the run's own."""
        options = SELECTION | expect_fold(run.options)
        return cls(
            inputs=options["inputs"],
            reducer=reducer or load(options["reducer"], options["initial"], base),
            keys=options["keys"],
            initial=options["initial"],
            name=run.name,
            mapping=Mapping.from_dict(options["given"]),
            no_key=options["no_key"],
            order=options["order"],
            dedupe=options["dedupe"],
            durability=options["durability"],
            retry=from_options(options["retry"]),
            max_line=options["max_line"],
            # Stores of the first version do not say.
            on_error=options.get("on_error", "stop"),
            on_bad_line=options.get("on_bad_line", "stop"),
            max_errors=options.get("max_errors"),
            strict_types=options.get("strict_types", False),
            resumed=True,
            only=only,
            continues=options.get("continues", False),
        )


def events_key(options: dict[str, Any], key: str) -> str:
    """The key that the events of the workflow `key` have in the log, given its run's options: a fork may
    have another one than they."""
    return str(options.get(FORK, {}).get("key", key))


def identity(inputs: list[str], keys: list[str] | None) -> str:
    """What tells folds of one name apart: what they read, and which streams of it."""
    return codec.encode({"inputs": inputs, "keys": sorted(keys) if keys else None}).decode()


def check_on_error(on_error: str, max_errors: int | None, on_bad_line: str = "stop") -> None:
    """Raise UsageError for what is no way to go on after an error, or no number of them."""
    if on_bad_line not in get_args(OnBadLine):
        ways = ", ".join(get_args(OnBadLine))
        raise UsageError(f"on_bad_line is {on_bad_line!r}", f"take one of {ways}")
    if on_error not in get_args(OnError):
        raise UsageError(f"on_error is {on_error!r}", "take one of " + ", ".join(get_args(OnError)))
    if max_errors is not None and max_errors < 0:
        raise UsageError(f"max_errors is {max_errors}", "take 0 or more")


def stored_path(path: str, base: Path) -> str:
    """`path` (relative to the present folder) as the store keeps it: relative to the store's folder
    `base` when inside it, so that the folder can move; absolute otherwise."""
    if path in ("-", SAMPLE):
        return path
    here = os.getcwd()
    written = _before(here, path)
    absolute = os.path.normpath(os.path.join(written(here), path))
    relative = os.path.relpath(absolute, written(str(base)))
    try:
        absolute.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the path {absolute!a} is not UTF-8", "rename it, or give it as standard input: -"
        ) from None
    return absolute if relative.startswith("..") else relative


def opened_path(path: str, base: Path) -> str:
    """Where an input that the store keeps is to be found now."""
    if path == SAMPLE:
        return os.path.join(os.path.dirname(events.__file__), "sample.jsonl")
    if path == "-":
        return path
    written = _before(str(base), path)
    found = os.path.normpath(os.path.join(written(str(base)), path))
    shorter = os.path.relpath(found, written(os.getcwd()))
    return found if shorter.startswith("..") else shorter


def spool_path(location: str, run: int, path: str) -> str:
    """Where a store at `location` keeps a copy of the pipe `path` for a run."""
    of = "" if path == "-" else f"-{blake3(path.encode()).hexdigest(4)}"
    return f"{location}.input-{run}{of}"


def is_gone(run: Run, location: str) -> bool:
    """Whether the input of `run`, in a store at `location`, was standard input and left no copy. Raises StoreDamaged
    when it is the run of no fold."""
    return "-" in expect_fold(run.options)["inputs"] and not kept(
        spool_path(location, run.no or 0, "-")
    )


def _before(folder: str, path: str) -> Callable[[str], str]:
    """How `folder` is to be written before `path`: brackets in it are no part of a glob."""
    from glob import escape, has_magic

    is_glob = has_magic(path) and not os.path.exists(os.path.join(folder, path))
    return escape if is_glob else str
