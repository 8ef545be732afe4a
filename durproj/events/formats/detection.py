"""Formats: what the lines of a log are, told by their fields; and where such a line keeps what.

A format's name is what it is made of, from the outside in, such as `csv`, `kcat+debezium` or
`array+cloudevents`: a container that is turned into JSON lines (array, csv, xes), Kafka records as
kcat prints them, and the convention that the events follow (see `durproj.events.formats.conventions`).
Plain JSON lines, of no convention, have no format.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from durproj.errors import UsageError
from durproj.events.formats.candidates import infrequent_keys, named_fields
from durproj.events.formats.kafka import from_kafka, in_kafka, is_kafka, payload_of
from durproj.events.formats.mapping import DEBEZIUM, PLAIN, Layers, Mapping
from durproj.events.formats.paths import alternatives, plain, reader, split_path, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durproj.events.formats.conventions import Convention

    Body = dict[str, Any]

__all__ = ["Mapping", "detect", "infrequent_keys", "leads_nowhere", "split_path"]


def detect(bodies: Sequence[Body], given: Mapping | None = None) -> Mapping:
    """The mapping that fits every sampled line of `bodies`; what is in `given` always wins.

    Raises UsageError when two or more fields could be the key or the format has none of its own, when
    a given path cannot be read, or for an unknown format.
    """
    given = given or Mapping()
    layers = _layers(bodies, Layers.parse(given.format))
    shaped = _shaped(bodies, layers)
    for name, path in given.paths().items():
        if path:
            _refuse_unescaped(name, path, shaped)
    found = _found(shaped, layers, given)
    chosen = {name: path or None for name, path in given.paths().items()}
    return replace(found, **chosen, format=layers.name)


def leads_nowhere(path: str, bodies: Sequence[Body], mapping: Mapping) -> bool:
    """Whether there are events among the sampled lines `bodies`, read by `mapping`, but none has a value at
    `path`."""
    shaped = _shaped(bodies, Layers.parse(mapping.format).resolved())
    return bool(shaped) and not _is_anywhere(path, shaped)


def _layers(bodies: Sequence[Body], asked: Layers) -> Layers:
    """What the lines are, as far as it was not said."""
    if asked.convention is not None:
        return asked
    from durproj.events.formats.conventions import CONVENTIONS

    kafka = asked.kafka or (bool(bodies) and all(map(is_kafka, bodies)))
    # Kafka's tombstones tell nothing.
    inner = (
        [payload_of(body) for body in bodies if body.get("payload") is not None]
        if kafka
        else bodies
    )
    fitting = (
        name
        for name, convention in CONVENTIONS.items()
        if convention.told and inner and all(convention.holds(value) for value in inner)
    )
    return Layers(asked.container, kafka, next(fitting, PLAIN))


def _shaped(bodies: Sequence[Body], layers: Layers) -> list[Body]:
    """The bodies in which paths are read; without those that reading the log will refuse, with their
    place, or pass over."""
    if layers.as_they_are:
        return list(bodies)
    from durproj.events.formats.conventions import shape_of

    shape = shape_of(layers)
    if shape is None:
        return list(bodies)
    found = []
    for body in bodies:
        try:
            shaped = shape(body)
        except ValueError:
            continue
        if shaped is not None:
            found.append(shaped)
    return found


def _found(shaped: Sequence[Body], layers: Layers, given: Mapping) -> Mapping:
    """The mapping of the format, without a key that is nowhere."""
    inner = [body["payload"] for body in shaped] if layers.kafka else shaped
    own_key = layers.kafka and (not shaped or _is_anywhere("key", shaped))
    known = given.key is not None or own_key
    convention = _convention(layers)
    if convention is not None:
        mapping = convention.mapping
    elif inner and all(type(value) is dict for value in inner):
        mapping = named_fields(inner, keyed=known)
    else:
        mapping = Mapping()
    if layers.convention == DEBEZIUM and shaped and not known:
        key = "after.id|before.id"
        raise UsageError(
            f"{layers.name}: a row does not say which of its columns is the primary key",
            f"say it, as with: --key '{in_kafka(key) if layers.kafka else key}'",
        )
    if mapping.key is not None and shaped and not _is_anywhere(mapping.key, inner):
        mapping = replace(mapping, key=None)
    return from_kafka(mapping, own_key=own_key) if layers.kafka else mapping


def _convention(layers: Layers) -> Convention | None:
    name = layers.convention or PLAIN
    if name == PLAIN:
        return None
    from durproj.events.formats.conventions import CONVENTIONS

    return CONVENTIONS[name]


def _is_anywhere(path: str, bodies: Sequence[Body]) -> bool:
    read = reader(path)
    return any(read(body) is not None for body in bodies)


def _refuse_unescaped(name: str, path: str, bodies: Sequence[Body]) -> None:
    """A path that leads nowhere, while a field has exactly that text as its name."""
    names = alternatives(path)
    if names == ((path,),) or not any(path in body for body in bodies):
        return
    if not _is_anywhere(path, bodies):
        raise UsageError(
            f"--{name} {plain(path)} leads nowhere, but a field has that very name",
            f"write --{name} '{plain(written(path))}'",
        )
