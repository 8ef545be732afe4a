"""Cursors: places in the logical sequence of all inputs, and the inputs as parts of it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any


class PrefixChanged(Exception):
    """The input no longer begins with the bytes that a Cursor was taken over."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the logical sequence: its `bytes` and `lines` so far, and their BLAKE3 in hex.

    origin: the place at which the present input begins, of which lines and digest count; what came
    before was in inputs that are gone (rotated away, see `live`). file: device and inode of an input
    that is followed.
    """

    bytes: int
    lines: int
    digest: str
    origin: int = 0
    file: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The values by name, as JSON can carry them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cursor:
        """The Cursor that `to_dict` described; other names in `values` are passed over."""
        file: Any = values.get("file")
        return cls(
            *(values["bytes"], values["lines"], values["digest"], values.get("origin", 0)),
            file=tuple(file) if file else None,
        )


@dataclass(slots=True)
class Part:
    """One input within the sequence: where it begins, and the file's stat once it was read."""

    path: str
    base: int
    status: os.stat_result | None = None


def same_file(path: str, then: os.stat_result) -> bool:
    """Whether the file `path` is still the one of which `then` was the status, and unchanged."""
    try:
        now = os.stat(path)
    except OSError:
        return False
    fields = ("st_dev", "st_ino", "st_size", "st_mtime_ns")
    return all(getattr(now, name) == getattr(then, name) for name in fields)
