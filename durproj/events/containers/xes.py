"""XES, the process mining logs of IEEE 1849, as JSON lines: an event a line, its case's attributes before
its own, under the names that pm4py gives them when it flattens a log.

    {"case:concept:name":"A-17","concept:name":"register","time:timestamp":"2026-01-31T09:00:00+01:00"}

int, float and boolean are JSON's; string, date and id are text; so are floats that JSON has no number for
(NaN, INF). A list is an array of one object for each of its values, a container an object. What an
attribute has for attributes of its own follows it, as `concept:name:origin`. What the log says of itself
is passed over.

XML is read by expat. Document type declarations are refused, and with them every entity: neither can one
grow beyond measure, nor lead to another file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# Only a document type declaration makes expat unsafe, and there is none.
from xml.parsers.expat import ExpatError, ParserCreate

from durproj import codec
from durproj.events.containers.conversion import BadRecord

_KINDS = ("string", "date", "int", "float", "boolean", "id", "list", "container")
_DEEPEST = 100
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_INTEGER = re.compile("[+-]?[0-9]{1,19}")


def events(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """See `durproj.events.containers.conversion.json_lines`."""
    log = _Log(most)
    ended = False
    while not ended:
        block = next(blocks, b"")
        trouble, ended = None, not block
        try:
            log.parser.Parse(block, ended)
        except BadRecord as bad:
            trouble = bad
        except ExpatError as error:
            trouble = BadRecord(log.count + 1, f"broken XML: {error}")
        if log.lines:
            yield b"".join(log.lines)
            log.lines = []
        if trouble:
            raise trouble


class _Log:
    """What expat tells of an XES document, made into lines. `count`: events so far; `lines`: those not
    yet fetched."""

    def __init__(self, most: int) -> None:
        self.parser = ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._refuse_declaration
        self.lines: list[bytes] = []
        self.count = 0
        self._most = most
        self._size = 0
        self._names: list[str] = []
        self._case: dict[str, Any] = {}
        self._event: dict[str, Any] | None = None
        self._open: list[_Attribute] = []

    def _refuse_declaration(self, *_: object) -> None:
        raise BadRecord(
            None,
            "a document type declaration (<!DOCTYPE …>), which an XES log has no need of",
            "it can make a small file grow without end, or read others; take it out",
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not self._names and name != "log":
            raise BadRecord(
                None, f"XML, but no XES log: it begins with <{codec.to_json(tag)[1:-1]}>"
            )
        if len(self._names) >= _DEEPEST:
            raise BadRecord(self.count + 1, f"elements nested deeper than {_DEEPEST} levels")
        self._names.append(name)
        if name == "trace":
            self._case, self._size = {}, 0
        elif name == "event":
            self._event = dict(self._case)
        elif name in _KINDS:
            self._begin(name, attributes)

    def _end(self, _tag: str) -> None:
        name = self._names.pop()
        if name in _KINDS:
            self._finish()
        elif name == "event" and self._event is not None:
            self.lines.append(codec.encode(self._event) + b"\n")
            self._event = None
            self._size = 0
            self.count += 1
        elif name == "trace":
            self._case = {}

    def _begin(self, kind: str, attributes: dict[str, str]) -> None:
        key, text = attributes.get("key"), attributes.get("value", "")
        if key is None:
            raise BadRecord(self.count + 1, f"a <{kind}> without a key")
        self._size += len(key) + len(text)
        if self._size > self._most:
            why = f"attributes of more than {self._most:,} characters"
            raise BadRecord(self.count + 1, why, "allow more: --max-line")
        try:
            self._open.append(_Attribute(kind, key, _value(kind, text), []))
        except ValueError:
            shown = f"the {kind} {codec.to_json(key)} is {codec.to_json(text[:60])}"
            raise BadRecord(self.count + 1, shown) from None

    def _finish(self) -> None:
        attribute = self._open.pop()
        parent = self._names[-1]
        try:
            for key, value in attribute.settled():
                if self._open:
                    self._open[-1].inner.append((key, value))
                elif parent == "event" and self._event is not None:
                    _put(self._event, key, value)
                elif parent == "trace":
                    _put(self._case, f"case:{key}", value)
        except ValueError as error:
            raise BadRecord(self.count + 1, str(error)) from None


class _Attribute(NamedTuple):
    """An attribute whose end is not there yet; `inner`: those within it."""

    kind: str
    key: str
    value: Any
    inner: list[tuple[str, Any]]

    def settled(self) -> list[tuple[str, Any]]:
        """The attribute as JSON has it, with those that follow it."""
        if self.kind == "list":
            return [(self.key, [{key: value} for key, value in self.inner])]
        if self.kind == "container":
            content: dict[str, Any] = {}
            for key, value in self.inner:
                _put(content, key, value)
            return [(self.key, content)]
        return [
            (self.key, self.value),
            *((f"{self.key}:{key}", value) for key, value in self.inner),
        ]


def _put(home: dict[str, Any], key: str, value: Any) -> None:
    if key in home:
        raise ValueError(f"two attributes {codec.to_json(key)}")
    home[key] = value


def _value(kind: str, text: str) -> Any:
    """The value of an attribute; ValueError when it is none of its kind."""
    if kind == "int":
        number = int(text) if _INTEGER.fullmatch(text.strip()) else None
        if number is None or not -(2**63) <= number < 2**63:
            raise ValueError
        return number
    if kind == "float":
        value = float(text)
        return value if math.isfinite(value) else text
    if kind == "boolean":
        if text.strip().lower() not in _BOOLEANS:
            raise ValueError
        return _BOOLEANS[text.strip().lower()]
    return text
