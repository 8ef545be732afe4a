"""Event: one line of a log, seen through its envelope."""

from __future__ import annotations

from typing import Any


class Event:
    """One event. Reducers read it; nothing they do to it reaches the log or the journal.

    key: the stream it belongs to; type, id, time: from the envelope (`id` and `time` may be None,
    `time` as the log has it: text or number); data: the payload; body: the whole line, decoded;
    line: the line's bytes, as recorded in the journal.
    """

    __slots__ = ("body", "data", "id", "key", "line", "time", "type")

    def __init__(
        self,
        key: str,
        type: str,
        id: str | int | None,
        time: Any,
        data: Any,
        body: dict[str, Any],
        line: bytes,
    ) -> None:
        self.key = key
        self.type = type
        self.id = id
        self.time = time
        self.data = data
        self.body = body
        self.line = line

    def __repr__(self) -> str:
        return f"Event(key={self.key!r}, type={self.type!r}, id={self.id!r}, time={self.time!r})"
