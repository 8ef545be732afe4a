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
from durproj.events.containers.conversion import BadRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# Up to the next mark, strings passed over; a quote begins a string that does not end in what was read.
_MARK = re.compile(rb'[^"\[\]{},]*+(?:' + _STRING + rb'[^"\[\]{},]*+)*+(["\[\]{},])', re.DOTALL)
# The same within an element, where commas part nothing.
_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+(["\[\]{}])', re.DOTALL)
_STRINGS = re.compile(rb"(" + _STRING + rb")", re.DOTALL)
_NAMED = re.compile(rb'(?<!\\)"data"[ \t\r\n]*:[ \t\r\n]*\Z')
_TOKEN = re.compile(_STRING + rb"|[\[\]{}:]", re.DOTALL)
_BLANK = b" \t\r\n"
# A name is looked for so far back: there may be white space around its colon.
_NEAR = 1000
_BOM = b"\xef\xbb\xbf"


def elements(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """See `durproj.events.containers.conversion.json_lines`."""
    cutter = _Cutter(most)
    ended = False
    while not ended:
        block = next(blocks, b"")
        trouble, ended = None, not block
        try:
            if ended:
                cutter.end()
            else:
                cutter.take(block)
        except BadRecord as bad:
            trouble = bad
        if cutter.lines:
            yield b"\n".join(cutter.lines) + b"\n"
            cutter.lines = []
        if trouble:
            raise trouble


class _Cutter:
    """Cuts the elements out of an array that comes in blocks. `lines`: those cut and not yet fetched."""

    def __init__(self, most: int) -> None:
        self.lines: list[bytes] = []
        self._most = most
        self._count = 0
        self._rest = b""
        # What came after _rest and was not yet looked at.
        self._new: list[bytes] = []
        self._held = 0
        # Where in _rest to go on looking, and the depth there.
        self._at = self._depth = 0
        # The depth within the array of events: 0 before it, -1 after it.
        self._level = 0
        # The bracket that the input begins with.
        self._first = b""
        # What was before the array, its bracket included.
        self._before = b""

    def take(self, block: bytes) -> None:
        """Cut what can be cut, given the next block."""
        self._new.append(block)
        self._held += len(block)
        # A long element is looked at anew when it has doubled, so that all looks together take linear time.
        if self._held >= len(self._rest):
            self._look()
        if len(self._rest) + self._held > self._most + len(block):
            why = f"the record is longer than {self._most:,} bytes"
            raise BadRecord(self._count + 1, why, "allow more: --max-line")

    def _look(self) -> None:
        data = b"".join((self._rest, *self._new))
        if not self._first:
            data = data.removeprefix(_BOM)
        self._new, self._held = [], 0
        begin, at = 0, self._at
        while token := (_BRACKET if 0 < self._level < self._depth else _MARK).match(data, at):
            mark, here = token[1], token.end() - 1
            if mark == b'"':
                break
            at = here + 1
            if mark in b"{[":
                if self._opens_events(mark, data, here):
                    self._level = self._depth + 1
                    self._before, begin = data[begin:at], at
                self._depth += 1
            elif self._depth == self._level > 0:
                begin = self._cut(data[begin:here], here, mark)
            elif mark != b",":
                self._depth -= 1
        self._rest, self._at = data[begin:], at - begin

    def end(self) -> None:
        """The input is over. Raises BadRecord unless the array was closed and nothing else follows."""
        self._look()
        if self._level > 0:
            why, hint = "the array ends early (cut off?)", "the records before it are sound"
            raise BadRecord(self._count + 1, why, hint)
        if self._level == 0:
            hint = "one event a line is read without --array"
            raise BadRecord(
                None, "neither a JSON array nor a list object such as {data: […]}", hint
            )
        around = self._before + self._rest
        try:
            decode(around)
        except DecodeError as error:
            raise BadRecord(None, f"not JSON around the array of events ({error.msg})") from None
        if list(_names(around)).count("data") > 1:
            why = (
                'the list object has "data" more than once, where one array of events was expected'
            )
            raise BadRecord(None, why, "keep one of them, or put the events of all in one array")

    def _opens_events(self, mark: bytes, data: bytes, here: int) -> bool:
        """Whether the bracket at `here` opens the array of events."""
        self._first = self._first or mark
        if mark != b"[" or self._level:
            return False
        if self._first == b"[":
            return True
        return self._depth == 1 and _NAMED.search(data, max(0, here - _NEAR), here) is not None

    def _cut(self, element: bytes, here: int, mark: bytes) -> int:
        """Take the element that ends before the mark at `here`; where the next one begins."""
        element, ends = element.strip(_BLANK), mark != b","
        if element or self._count or not ends:
            self._count += 1
            if not element:
                raise BadRecord(self._count, "a comma with nothing before or after it")
            self.lines.append(_line(element))
        if not ends:
            return here + 1
        self._level = -1
        self._depth -= 1
        return here


def _names(text: bytes) -> Iterator[str]:
    """The names of the fields of the JSON object `text`, in their order; those within them left out."""
    depth, last = 0, b""
    for token in _TOKEN.findall(text):
        if token == b":":
            if depth == 1:
                yield decode(last)
        elif token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        else:
            last = token


def _line(element: bytes) -> bytes:
    """The element on one line, without the white space between its parts."""
    if not any(blank in element for blank in (b" ", b"\n", b"\t", b"\r")):
        return element
    try:
        decode(element)
    except DecodeError:
        # It is refused where it is read. A line end within a string stays what it may not hold.
        return element.replace(b"\n", b"\t")
    # Every other part is a string.
    parts = _STRINGS.split(element)
    parts[::2] = [part.translate(None, _BLANK) for part in parts[::2]]
    return b"".join(parts)
