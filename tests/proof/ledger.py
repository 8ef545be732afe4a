"""What a store is to hold, in plain Python: a dictionary of streams, each a tuple of events and a few numbers.

Nothing in here is durproj's: the states are folded by `step`, the chain of hashes is made as the text at the
top of `stores/packing.py` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from blake3 import blake3

BAD = 13
"""The value of an event that the reducer cannot bear while BROKEN holds it."""

BROKEN: set[int] = set()

BLOCK = 8
"""Steps of a block: so few that short logs have several."""

Event = tuple[str, int, Any]
"""Key, value, payload."""


def line(event: Event) -> bytes:
    """The event's line in the log."""
    key, value, payload = event
    body = {"key": key, "type": "T", "v": value, "p": payload}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def log_of(events: Iterable[Event], end: bytes = b"\n") -> bytes:
    """The log that holds `events`."""
    lines = [line(event) for event in events]
    return b"\n".join(lines) + (end if lines else b"")


def of_key(events: Iterable[Event], key: str) -> tuple[Event, ...]:
    """The stream of one key."""
    return tuple(event for event in events if event[0] == key)


def step(state: dict[str, Any], value: int, payload: Any) -> dict[str, Any]:
    """The next state: it tells every order, gap and repetition of events apart, and carries the payload."""
    trail = (state["trail"] * 31 + value) % 1_000_003
    return {"n": state["n"] + 1, "trail": trail, "last": payload}


def moody(state: dict[str, Any], event: Any) -> dict[str, Any]:
    """The reducer that durproj is given. It spoils the state it was given before it fails."""
    body = event.body
    if body["v"] in BROKEN:
        state["n"] = -1
        raise ValueError("unlucky")
    return step(state, body["v"], body["p"])


INITIAL: dict[str, Any] = {"n": 0, "trail": 7, "last": None}
moody.initial = INITIAL
moody.version = 1  # mended or not, it counts as the same


@dataclass(frozen=True)
class Stream:
    """One workflow. skipped: the steps that are skips of their events; dropped: how many of its oldest steps
    `gc` took; origin: the id that it was begun under; anew: what there was under its id is dropped for it."""

    origin: str
    events: tuple[Event, ...] = ()
    skipped: frozenset[int] = field(default_factory=frozenset)
    dropped: int = 0
    status: str = "pending"
    anew: bool = False

    def __len__(self) -> int:
        return len(self.events)

    @property
    def key(self) -> str:
        return self.origin.partition("/")[2]

    def states(self) -> list[dict[str, Any]]:
        """The state after each step."""
        state, found = INITIAL, []
        for number, (_, value, payload) in enumerate(self.events):
            if number not in self.skipped:
                state = step(state, value, payload)
            found.append(state)
        return found

    def upto(self, steps: int, status: str) -> Stream:
        """The first `steps` steps of it."""
        skipped = frozenset(number for number in self.skipped if number < steps)
        return replace(self, events=self.events[:steps], skipped=skipped, status=status)

    def fed(self, events: Sequence[Event], on_error: str) -> Stream:
        """What a fold makes of it, given all events of its key."""
        if self.status == "parked":
            return self
        skipped = set(self.skipped)
        for number in range(len(self), len(events)):
            if events[number][1] in BROKEN:
                if on_error != "skip":
                    status = "parked" if on_error == "park" else "rejected"
                    return replace(
                        self,
                        events=tuple(events[:number]),
                        skipped=frozenset(skipped),
                        status=status,
                    )
                skipped.add(number)
        return replace(
            self, events=tuple(events), skipped=frozenset(skipped), status="resolved"
        )  # fmt: skip


def chained(origin: str, records: Sequence[Sequence[bytes]]) -> bytes:
    """The hash of the last of a workflow's records (meta, input, output), none of which was dropped."""
    digest = bytes(16)
    for start in range(0, len(records), BLOCK):
        columns = zip(*records[start : start + BLOCK], strict=True)
        hashes = [
            blake3(b"".join(piece + b"\n" for piece in column)).digest() for column in columns
        ]
        head = digest + f"{start} {origin}\n".encode()
        digest = blake3(head + b"".join(hashes)).digest(16)
    return digest
