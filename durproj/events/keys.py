"""The keys of a log's lines, chunk by chunk."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from durproj.events.envelope import keyed, look_closely
from durproj.events.event import IRREGULAR
from durproj.events.lines import bad_event
from durproj.events.single import MOST_OTHERS

if TYPE_CHECKING:
    from durproj.errors import BadEvent
    from durproj.events.envelope import Envelope
    from durproj.events.leftout import LeftOut
    from durproj.events.lines import Chunk


class LineKeys:
    """Finds the keys of lines.

    keys: these only (None: all). on_missing_key: as in `keyed`. left_out: takes bad lines in, if they are
    to be left out. skipped: lines left out for want of a key. others: up to ten of the keys that were
    there but not asked for. error: the one for the bad line that it stopped at.
    """

    def __init__(
        self,
        envelope: Envelope,
        keys: frozenset[str] | None,
        on_missing_key: str,
        left_out: LeftOut | None,
    ) -> None:
        self.skipped = 0
        self.others: list[str] = []
        self.error: BadEvent | None = None
        self._envelope, self._keys = envelope, keys
        self._on_missing_key, self._left_out = on_missing_key, left_out

    def of(self, chunk: Chunk) -> tuple[list[Any], int | None]:
        """The keys of the lines of `chunk`, None for a line to leave out, up to the first bad one; and
        that one's number, if there is one. A line with several keys has a tuple."""
        names, stopped = self._found(chunk)
        if self._keys is not None:
            names = [self._if_asked(name, self._keys) for name in names]
        return names, stopped

    def _found(self, chunk: Chunk) -> tuple[list[Any], int | None]:
        decode = look_closely if chunk.odd else self._envelope.decode_key
        with suppress(*IRREGULAR):
            names: list[Any] = [decode(line).key for line in chunk.lines]
            if set(map(type, names)) != {str}:
                names = [keyed(name, self._on_missing_key) for name in names]
                self.skipped += names.count(None)
            return names, None
        return self._found_closely(chunk)

    def _found_closely(self, chunk: Chunk) -> tuple[list[Any], int | None]:
        """Something in it is irregular: line by line, to tell what and where."""
        names: list[Any] = []
        for number, line in enumerate(chunk.lines):
            try:
                event = self._envelope.examine(line, chunk.odd)
                names.append(event and keyed(event.key, self._on_missing_key))
                self.skipped += event is not None and names[-1] is None
            except ValueError as error:
                bad = bad_event(chunk, number, error)
                if self._left_out is None:
                    self.error = bad
                    return names, number
                self._left_out.add(bad)
                names.append(None)
        return names, None

    def _if_asked(self, name: Any, keys: frozenset[str]) -> Any:
        """`name`, if it is one of `keys`; of several names those that are."""
        if name is None or name in keys:
            return name
        if type(name) is tuple:
            return tuple(each for each in name if self._if_asked(each, keys) is not None) or None
        if len(self.others) < MOST_OTHERS and name not in self.others:
            self.others.append(name)
        return None
