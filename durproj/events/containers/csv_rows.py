"""CSV (RFC 4180) as JSON lines: the first row names the fields, and every value is text.

The fields are separated by whatever of comma, semicolon and tab parts the first row into the most. A
quoted field may hold line ends. Blank lines are passed over.
"""

from __future__ import annotations

import codecs
import csv
from itertools import chain
from typing import TYPE_CHECKING

from durproj import codec
from durproj.errors import Unstorable
from durproj.events.containers.conversion import BadRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

_DELIMITERS = ",;\t"
_BATCH = 1024


def rows(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """See `durproj.events.containers.conversion.json_lines`."""
    # The limit is the process's; a lower one is somebody else's.
    csv.field_size_limit(max(csv.field_size_limit(), most))
    lines = _Lines(blocks)
    first = next((line for line in lines if line.strip()), "")
    if not first:
        return
    table = csv.reader(chain([first], lines), delimiter=_delimiter(first), strict=True)
    header = _header(table)
    batch: list[bytes] = []
    count = 0
    while True:
        trouble, row = None, None
        try:
            row = next(table, None)
            if row:
                batch.append(_line(header, row))
                count += 1
        except (csv.Error, ValueError) as error:
            where = f"the row that ends on line {table.line_num} of the file"
            trouble = BadRecord(count + 1, f"{error} (in {where})")
        if batch and (trouble or row is None or len(batch) >= _BATCH or lines.waiting):
            yield b"".join(batch)
            batch = []
        if trouble:
            raise trouble
        if row is None:
            return


class _Lines:
    """The lines of blocks of UTF-8, with their ends. `waiting`: the next one needs another block."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        # Bytes that are not UTF-8 come to light in their row.
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape").decode
        self._ready: list[str] = []
        self._rest = ""
        self._ended = False

    @property
    def waiting(self) -> bool:
        return not self._ready

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        while not self._ready:
            if self._ended:
                raise StopIteration
            self._fill()
        return self._ready.pop()

    def _fill(self) -> None:
        block = next(self._blocks, b"")
        self._ended = not block
        text = self._rest + self._decode(block, self._ended)
        lines = text.split("\n")
        self._rest = lines.pop()
        self._ready = [line + "\n" for line in reversed(lines)]
        if self._ended and self._rest:
            self._ready.insert(0, self._rest)


def _delimiter(first: str) -> str:
    def parts(delimiter: str) -> int:
        return len(next(csv.reader([first], delimiter=delimiter), []))

    return max(_DELIMITERS, key=parts)


def _header(table: Iterator[list[str]]) -> list[str]:
    try:
        header = next(table)
        _encoded(header)
    except (csv.Error, ValueError) as error:
        raise BadRecord(None, f"the first row, which names the fields: {error}") from None
    again = next((name for name in header if header.count(name) > 1), None)
    if again is not None:
        why = f"the first row names two fields {codec.to_json(again)}"
        raise BadRecord(None, why, "the first row of a CSV file gives the fields their names")
    return header


def _line(header: list[str], row: list[str]) -> bytes:
    if len(row) != len(header):
        fields = f"{len(row)} field{'s' if len(row) != 1 else ''}"
        raise ValueError(f"{fields}, where the first row has {len(header)}")
    return _encoded(dict(zip(header, row, strict=True))) + b"\n"


def _encoded(value: object) -> bytes:
    try:
        return codec.encode(value)
    except Unstorable:
        raise ValueError("invalid UTF-8") from None
