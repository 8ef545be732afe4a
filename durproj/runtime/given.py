"""What a caller gave, checked and in the form in which the store keeps it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from durproj import codec
from durproj.errors import Unstorable, UsageError
from durproj.events.formats.mapping import Layers, Mapping
from durproj.events.formats.paths import alternatives
from durproj.events.inputs import expand
from durproj.events.sequence.order import Order
from durproj.projections.reducer import JQ, Reducer, from_function, load
from durproj.runtime.request import Dedupe, opened_path, stored_path


def given_inputs(
    events: str | Path | Sequence[str | Path] | None, base: Path, *, follow: bool = False
) -> list[str] | None:
    """The inputs that were named, as the store keeps them; None when none was. `follow`: there is to
    be one, and it may come into being later."""
    if events is None:
        return None
    paths = [events] if isinstance(events, str | Path) else events
    if not paths:
        raise UsageError("no input was named", "give a path, a glob or - for standard input")
    stored = [stored_path(str(path), base) for path in paths]
    if follow and len(stored) > 1:
        raise UsageError(
            f"{len(stored)} inputs cannot be followed", "name one file, or - for a pipe"
        )
    if not follow or os.path.exists(opened_path(stored[0], base)):
        expand([opened_path(path, base) for path in stored])
    return stored


def given_initial(value: Any) -> str:
    """An initial state as JSON text."""
    try:
        return codec.settle(value)[0].decode()
    except Unstorable as error:
        raise UsageError(f"the initial state cannot be stored: {error}") from None


def given_names(what: str, texts: Iterable[str] | None) -> list[str] | None:
    """The keys or ids that were named, each once; None when all are meant."""
    if texts is None:
        return None
    if isinstance(texts, str):
        raise UsageError(f"{what} is the text {texts!r}, not a list", f"write {what}=[{texts!r}]")
    named: list[Any] = [*texts]
    if others := [each for each in named if not isinstance(each, str)]:
        raise UsageError(
            f"{what} must be text, not {others!r}", f"write {what}=[{str(others[0])!r}]"
        )
    if not named:
        raise UsageError(f"{what} is empty: it names nothing", f"leave {what} out to take all")
    return list(dict.fromkeys(named))


def given_selection(order: Order | None, dedupe: Dedupe | None) -> dict[str, str]:
    """The options of what is taken of a log that were given."""
    given = {"order": (order, get_args(Order)), "dedupe": (dedupe, get_args(Dedupe))}
    for name, (value, known) in given.items():
        if value is not None and value not in known:
            raise UsageError(f"{name} is {value!r}", f"it is one of {', '.join(known)}")
    return {name: value for name, (value, _) in given.items() if value is not None}


def given_reducer(reducer: str | Any, initial: str | None, base: Path) -> Reducer:
    """The reducer, its reference as the store keeps it."""
    loaded = (
        load(reducer, initial, Path.cwd())
        if isinstance(reducer, str)
        else from_function(reducer)
        if initial is None
        else from_function(reducer, codec.decode(initial.encode()))
    )
    if loaded.ref.startswith(JQ):
        return loaded
    file, colon, function = loaded.ref.rpartition(":")
    if not colon or not file.endswith(".py"):
        return loaded
    return replace(loaded, ref=f"{stored_path(file, base)}:{function}")


def given_mapping(mapping: Mapping | None) -> Mapping:
    """What is known of the envelope. Raises UsageError for a path that cannot be read and for an unknown
    format."""
    given = mapping or Mapping()
    Layers.parse(given.format)
    for path in given.paths().values():
        if path:
            alternatives(path)
    return given
