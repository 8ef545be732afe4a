"""What a fold is asked for, and the form in which the store keeps it so that `resume` can ask again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from durproj import codec, events
from durproj.errors import UsageError
from durproj.events.mapping import Mapping
from durproj.events.order import Order
from durproj.events.reader import MAX_LINE
from durproj.projections.reducer import Reducer, load
from durproj.runtime.retry import DEFAULT, RetryPolicy, from_options, to_options
from durproj.stores.base import Durability, Run

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


@dataclass
class Request:
    """One fold. Times are in seconds, `max_line` in bytes.

    keys None: every stream. mapping: given paths only, the rest is found. no_key: `error`, `skip`, or
    a key for lines without one. order: by what the events of a stream are ordered; dedupe: what is dropped
    of what comes again. crash: the step at which the process dies, by `crash_with`. fail: a
    step and how often its attempt fails. resumed: it was asked for before; only: of these keys alone,
    in a resumed run of more.
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
    resumed: bool = False
    only: frozenset[str] | None = None

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
            **({"program": True} if self.reducer.program else {}),
        }

    @classmethod
    def from_run(cls, run: Run, base: Path, only: frozenset[str] | None = None) -> Request:
        """The fold that `run` stands for. `base` is the store's folder, from which paths count."""
        options = SELECTION | run.options
        return cls(
            inputs=options["inputs"],
            reducer=load(options["reducer"], options["initial"], base),
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
            resumed=True,
            only=only,
        )


def identity(inputs: list[str], keys: list[str] | None) -> str:
    """What tells folds of one name apart: what they read, and which streams of it."""
    return codec.encode({"inputs": inputs, "keys": sorted(keys) if keys else None}).decode()


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


def _before(folder: str, path: str) -> Callable[[str], str]:
    """How `folder` is to be written before `path`: brackets in it are no part of a glob."""
    from glob import escape, has_magic

    is_glob = has_magic(path) and not os.path.exists(os.path.join(folder, path))
    return escape if is_glob else str
