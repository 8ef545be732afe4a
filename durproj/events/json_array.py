"""A JSON array of events, or a list object with its events in `data`, cut into JSON lines.

The elements are found by their brackets and strings and passed on as they are written, but for white
space: an incremental parser would hand over values, and what it makes of a long number or of half a
surrogate pair (ijson's C parser: a question mark) could not be told from what was there. Each element is
judged by what reads the lines.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from durproj.codec import DecodeError, decode
from durproj.events.containers import BadRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# A quote by itself begins a string that does not end in what was read so far.
_TOKEN = re.compile(_STRING + rb'|["\[\]{},]', re.DOTALL)
_SPACE = re.compile(rb"(" + _STRING + rb")|[ \t\r\n]+", re.DOTALL)
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


def elements(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """See `durproj.events.containers.json_lines`."""
    cutter = _Cutter(most)
    for block in blocks:
        trouble = None
        try:
            cutter.take(block)
        except BadRecord as bad:
            trouble = bad
        if cutter.lines:
            yield b"\n".join(cutter.lines) + b"\n"
            cutter.lines = []
        if trouble:
            raise trouble
    cutter.end()


class _Cutter:
    """Cuts the elements out of an array that comes in blocks. `lines`: those cut and not yet fetched."""

    def __init__(self, most: int) -> None:
        self.lines: list[bytes] = []
        self._most = most
        self._count = 0
        self._rest = b""
        # Where in _rest to go on looking, and the depth there.
        self._at = self._depth = 0
        # The depth within the array of events: 0 before it, -1 after it.
        self._level = 0
        # The bracket that the input begins with; the last string directly within it.
        self._first = self._name = b""
        # What was before the array, its bracket included.
        self._before = b""

    def take(self, block: bytes) -> None:
        """Cut what can be cut, given the next block."""
        data = self._rest + block
        if not self._first:
            data = data.removeprefix(_BOM)
        begin = 0
        for token in _TOKEN.finditer(data, self._at):
            mark = token[0]
            if mark == b'"':
                self._at = token.start() - begin
                break
            if mark[:1] == b'"':
                if self._depth == 1:
                    self._name = mark
            elif mark in b"{[":
                if self._opens_events(mark):
                    self._level = self._depth + 1
                    self._before, begin = data[begin : token.end()], token.end()
                self._depth += 1
            elif self._depth == self._level > 0:
                begin = self._cut(data[begin : token.start()], token, mark)
            elif mark != b",":
                self._depth -= 1
        else:
            self._at = len(data) - begin
        self._rest = data[begin:]
        if len(self._rest) > self._most:
            why = f"the record is longer than {self._most:,} bytes"
            raise BadRecord(self._count + 1, why, "allow more: --max-line")

    def end(self) -> None:
        """The input is over. Raises BadRecord unless the array was closed and nothing else follows."""
        if self._level > 0:
            why, hint = "the array ends early (cut off?)", "the records before it are sound"
            raise BadRecord(self._count + 1, why, hint)
        if self._level == 0:
            hint = "one event a line is read without --array"
            raise BadRecord(
                None, "neither a JSON array nor a list object such as {data: […]}", hint
            )
        try:
            decode(self._before + self._rest)
        except DecodeError as error:
            raise BadRecord(None, f"not JSON around the array of events ({error.msg})") from None

    def _opens_events(self, mark: bytes) -> bool:
        """Whether this bracket opens the array of events."""
        self._first = self._first or mark
        if mark != b"[" or self._level:
            return False
        in_list = self._depth == 1 and self._first == b"{" and self._name == b'"data"'
        return self._first == b"[" or in_list

    def _cut(self, element: bytes, token: re.Match[bytes], mark: bytes) -> int:
        """Take the element that ends before `token`; where the next one begins."""
        element, ends = element.strip(_BLANK), mark != b","
        if element or self._count or not ends:
            self._count += 1
            if not element:
                raise BadRecord(self._count, "a comma with nothing before or after it")
            self.lines.append(_line(element))
        if not ends:
            return token.end()
        self._level = -1
        self._depth -= 1
        return token.start()


def _line(element: bytes) -> bytes:
    """The element on one line, without the white space between its parts."""
    if not any(blank in element for blank in (b" ", b"\n", b"\t", b"\r")):
        return element
    try:
        decode(element)
    except DecodeError:
        # It is refused where it is read. A line end within a string stays what it may not hold.
        return element.replace(b"\n", b"\t")
    return _SPACE.sub(rb"\1", element)
