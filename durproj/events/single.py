"""One stream of a log, in one pass."""

from __future__ import annotations

from durproj.errors import BadEvent
from durproj.events.envelope import Envelope, keyed, look_closely
from durproj.events.event import IRREGULAR, Event
from durproj.events.leftout import LeftOut
from durproj.events.lines import Chunk, bad_event

MOST_OTHERS = 10
"""How many of the keys that were not asked for are remembered."""


class SingleStream:
    """Picks the events of one stream from a log, chunk by chunk.

    key: its key; every line belongs to it when `envelope` knows of no key. no_key: what becomes of a
    line without one: `error`, `skip`, or the key to use instead. left_out: takes bad lines in, if they are
    to be left out. others: some of the other keys.
    """

    def __init__(
        self, envelope: Envelope, key: str, no_key: str, left_out: LeftOut | None = None
    ) -> None:
        self._envelope = envelope
        self._key = key
        self._no_key = no_key
        self._left_out = left_out
        self._all = envelope.mapping.key is None
        self.others: set[str] = set()

    def take(self, chunk: Chunk) -> tuple[list[bytes], list[Event], int, BadEvent | None]:
        """The stream's lines in `chunk` and the events on them, up to the first bad line; how many
        lines were looked at; and the error for the bad one."""
        key, everything, examine = self._key, self._all, self._envelope.examine
        decode = look_closely if chunk.odd else self._envelope.decode
        lines: list[bytes] = []
        events: list[Event] = []
        for number, line in enumerate(chunk.lines):
            try:
                try:
                    event = decode(line)
                    if event.data is None:
                        event.data = {}
                except IRREGULAR:
                    examined = examine(line, chunk.odd)
                    if examined is None:
                        continue
                    event = examined
                if not everything and event.key != key and not self._is_ours(event.key):
                    continue
            except ValueError as error:
                bad = bad_event(chunk, number, error)
                if self._left_out is None:
                    return lines, events, number, bad
                self._left_out.add(bad)
                continue
            event.key = key
            event.line = line
            lines.append(line)
            events.append(event)
        return lines, events, len(chunk.lines), None

    def _is_ours(self, found: str | int | tuple[str, ...] | None) -> bool:
        key = keyed(found, self._no_key)
        for name in key if type(key) is tuple else (key,):
            if name == self._key:
                return True
            if name is not None and len(self.others) < MOST_OTHERS:
                self.others.add(name)
        return False
