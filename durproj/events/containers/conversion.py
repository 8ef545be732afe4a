"""Containers: files that hold events in another form than JSON lines, turned into JSON lines as they are
read, block by block.

Everything after this station, what is stored included, is of the lines: the same input gives the same
lines, byte for byte, and an input to which records are added gives the same lines and more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class BadRecord(Exception):
    """The input is not what it should be. number: the record, from 1; None when it is the file as a whole;
    why: what was met; hint: what to do, may be empty."""

    def __init__(self, number: int | None, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.number = number
        self.why = why
        self.hint = hint


def json_lines(container: str, blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """The records in `blocks`, each as one line of JSON, in blocks of whole lines; a byte order mark is
    passed over. container: `array`, `csv` or `xes`; most: bytes that a record may have.

    Raises BadRecord once everything before it has been yielded.
    """
    if container == "array":
        from durproj.events.containers.json_array import elements

        return elements(blocks, most)
    if container == "csv":
        from durproj.events.containers.csv_rows import rows

        return rows(blocks, most)
    from durproj.events.containers.xes import events

    return events(blocks, most)
