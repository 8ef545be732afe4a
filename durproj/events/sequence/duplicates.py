"""Events that come twice: told by their ids, within one stream."""

from __future__ import annotations

from array import array
from typing import Any


class Conflict(ValueError):
    """An event has the id of another one, but is not the same. `index`: which of the events given;
    `first`: where the other one is, as it was added."""

    def __init__(self, index: int, first: int) -> None:
        super().__init__()
        self.index = index
        self.first = first


class Duplicates:
    """The ids of a stream's events, and with each what its line held and where that was.

    Ids and lines are kept as hashes of 64 bits, salted anew in every process, so that no log can be made
    to meet them. An event is dropped only when both agree, which for different events has a chance of
    one in 2^128. Ids alone agree by chance once in ten million streams of a million events each: that is
    refused, not dropped, and is gone at the next try.
    """

    def __init__(self) -> None:
        self._entries: dict[int, int] = {}
        self._contents = array("q")
        self._places = array("q")
        self.dropped = 0

    def add(self, id: Any, line: bytes, place: int = 0, index: int = 0) -> bool:
        """Whether the event `id` on `line` is new. An id of None is always new. Raises Conflict, for
        `index`, when the id was there with another line."""
        if id is None:
            return True
        # The number 1 and the string "1" are two ids; their reprs are, too.
        entry = self._entries.setdefault(hash(repr(id)), len(self._contents))
        content = hash(line)
        if entry == len(self._contents):
            self._contents.append(content)
            self._places.append(place)
            return True
        if self._contents[entry] != content:
            raise Conflict(index, self._places[entry])
        self.dropped += 1
        return False
