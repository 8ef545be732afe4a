"""Event: one line of a log, seen through its envelope; and the one door to msgspec, which decodes a
line straight into one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from msgspec import MsgspecError, Struct, defstruct, field
from msgspec.json import Decoder

from durproj import codec

UNTYPED = "event"
"""The type of an event whose line has none."""

UNCHANGED: Any = object()
"""Stands for a field that is not replaced, where None would be a value of it."""

IRREGULAR = (MsgspecError, ValueError, RecursionError)
"""What a decoder raises for a line that is no event, or an event only for those who look closely."""

_KINDS = {"key": str | int | None, "type": str, "id": str | int | None, "time": Any, "data": Any}
_HIDDEN = ("line", "_body")


class Event(Struct, gc=False, eq=False):
    """One event. Reducers read it; nothing they do to it reaches the log or the journal.

    key: the stream it belongs to; type, id, time: from the envelope (`id` and `time` may be None,
    `time` as the log has it: text or number); data: the payload; line: the line's bytes, as recorded
    in the journal.
    """

    key: str
    type: str = UNTYPED
    id: str | int | None = None
    time: Any = None
    data: Any = field(default_factory=dict)
    line: bytes = b""
    _body: Any = None

    @property
    def body(self) -> dict[str, Any]:
        """The whole line, decoded."""
        if self._body is None:
            self._body = codec.decode(self.line)
        body: dict[str, Any] = self._body
        return body

    def replace(
        self,
        *,
        type: str = UNCHANGED,
        id: str | int | None = UNCHANGED,
        time: Any = UNCHANGED,
        data: Any = UNCHANGED,
    ) -> Event:
        """A copy with other fields, for an upcast. `key`, `line` and `body` stay as the log has them."""
        return Event(
            self.key,
            self.type if type is UNCHANGED else type,
            self.id if id is UNCHANGED else id,
            self.time if time is UNCHANGED else time,
            self.data if data is UNCHANGED else data,
            self.line,
            self._body,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # As what it is to its users: a decoder's own type is found nowhere by its name.
        return Event, (self.key, self.type, self.id, self.time, self.data, self.line)

    def __repr__(self) -> str:
        return f"Event(key={self.key!r}, type={self.type!r}, id={self.id!r}, time={self.time!r})"


def decoder(names: dict[str, str | None], wanted: Iterable[str]) -> Callable[[bytes], Any] | None:
    """A function that decodes the `wanted` fields of a line into an Event, the rest unlooked at.

    names: what a line calls each field; None when it has none. All of key, type, id, time and data
    give an Event, whose `key` is what the line holds (an integer, maybe, or None), whose `data` may be
    None, and whose `line` is for the caller to fill in; fewer give an object with just these.

    The function raises one of IRREGULAR for what is not plainly an event: no object, a key that is
    neither a string nor an integer, a type that is no string. What it does not look at it does not
    check for valid UTF-8, nor for numbers beyond 64 bits (see `lines.Chunk`). None when the names
    cannot be told apart in that way.
    """
    whole = set(wanted) == set(_KINDS)
    fields = [_field(name, names[name]) for name in wanted]
    fields += [_field(name, None) for name in _HIDDEN if whole]
    bases = (Event,) if whole else (Struct,)
    try:
        made = defstruct("Event", fields, bases=bases, gc=False, eq=False)
        return Decoder(made).decode
    except (ValueError, TypeError):  # two fields of one name, or a name with a quote in it
        return None


def _field(name: str, found_as: str | None) -> tuple[str, Any, Any]:
    """One field of a decoder's type. What a line cannot have takes only what stands for nothing: a
    line that has the stand-in name all the same is irregular, so nothing passes for what it is not."""
    nothing = UNTYPED if name == "type" else None
    if found_as is None:
        kind = Literal[UNTYPED] if name == "type" else None
        return name, kind, field(default=nothing, name=f" {name}")
    return name, _KINDS[name], field(default=nothing, name=found_as)
