"""Cursor: a place in a log, and a hash over all that is before it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


class PrefixChanged(Exception):
    """The input no longer begins with the bytes that a Cursor was taken over."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the logical sequence: its `bytes` and `lines` so far, and their BLAKE3 in hex."""

    bytes: int
    lines: int
    digest: str

    def to_dict(self) -> dict[str, int | str]:
        """The three values by name, as JSON can carry them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cursor:
        """The Cursor that `to_dict` described."""
        return cls(values["bytes"], values["lines"], values["digest"])
