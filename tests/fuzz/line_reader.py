"""Whatever a file holds, every way of reading it hands out the events that a plain reader finds up to the
first bad line, value for value, and names that line's number and first byte.

An input's first byte says how the log is packed, how long a block is, and where events keep their payload;
the log follows.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from proof.reading import MAPPINGS, Reading, by_the_book, compare

from durproj import zstd
from fuzz.fuzzing import fuzz

PACKINGS = (bytes, bytes, gzip.compress, zstd.compress)
BLOCKS = (1, 2, 7, 16, 64, 255, 4096, 1 << 16)
# What the first bytes of a file give away, and what that is refused with, is a matter of its own.
_PACKED = (
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60)),
)


def check(data: bytes, judge: Callable[..., Reading] = by_the_book) -> None:
    """One input. Raises AssertionError, or whatever else the reader raised, when the invariant is broken."""
    if not data or data[1:].startswith(_PACKED):
        return
    how, log = data[0], data[1:]
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".jsonl") as file:
        file.write(PACKINGS[how & 3](log))
        file.flush()
        judged = judge(log, MAPPINGS[how >> 2 & 1])
        compare(Path(file.name), BLOCKS[how >> 3 & 7], MAPPINGS[how >> 2 & 1], lambda *_: judged)


if __name__ == "__main__":
    fuzz("fuzz.line_reader", "durproj.events", "durproj.codec")
