"""States as rows of a table: their leaves are columns, named by their paths.

Objects are taken apart, `{"address": {"city": "Oslo"}}` is a column `address.city`; a list stays whole, and
an empty object has no leaf. Columns of our own come first and begin with `_`; a state's own `_id` is the
column `$._id`, so no name stands for two things. A state that is no object is the column `$`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from durproj.codec import MAX_SAFE_INTEGER
from durproj.errors import UsageError
from durproj.history.paths import ABSENT, ROOT, Place, dig, parse_path, show_path

Row = dict[str, Any]
"""Values by the names of their columns; what is absent or null is left out."""

OF_A_PROJECTION = ("_id", "_name", "_key", "_status", "_steps", "_error")
OF_A_STEP = ("_id", "_name", "_key", "_step", "_event_id", "_event_type", "_event_time", "_error")

OF_SOME = ("_kept_from", "_forked_from", "_replaced_by")
"""Columns that are there when a projection has such a thing."""

_OURS = {*OF_A_PROJECTION, *OF_A_STEP, *OF_SOME}
_FIELDS = {"name", "key", "status", "steps", "step", *(name[1:] for name in OF_SOME)}

_BOOLEAN, _INTEGER, _WIDE, _HUGE, _REAL, _TEXT, _LIST, _OBJECT = (1 << bit for bit in range(8))
_FLAGS = {bool: _BOOLEAN, float: _REAL, str: _TEXT, list: _LIST, dict: _OBJECT}
# An integer and a real fit one column as long as the integer is its own double.
_KINDS = {
    0: "text",
    _BOOLEAN: "boolean",
    _INTEGER: "integer",
    _WIDE: "integer",
    _INTEGER | _WIDE: "integer",
    _REAL: "real",
    _INTEGER | _REAL: "real",
    _TEXT: "text",
}


class Column(NamedTuple):
    """A column. kind: `boolean`, `integer` (64 bits, signed), `real`, `text`, or `json` for what is of
    several kinds, or nested; of: of a column of lists (kind `list`) the kind of their elements."""

    name: str
    kind: str
    of: str | None = None


class Columns:
    """Finds out, row by row, which columns there are and what they hold. `names`: those that there are
    in any case; `most`: how many there may be."""

    def __init__(self, names: Sequence[str], most: int, format: str) -> None:
        self._flags = dict.fromkeys(names, 0)
        self._elements: dict[str, int] = {}
        self._most, self._format = most, format

    def see(self, row: Row) -> Row:
        """Take notice of `row`, and give it back. Raises UsageError when there are too many columns."""
        flags = self._flags
        for name, value in row.items():
            flag = _FLAGS.get(type(value)) or _flag(value)
            if flag == _LIST:
                known = self._elements.get(name, 0)
                for element in value:
                    known |= 0 if element is None else _flag(element)
                self._elements[name] = known
            flags[name] = flags.get(name, 0) | flag
        if len(flags) > self._most:
            raise self._too_many()
        return row

    def found(self) -> list[Column]:
        """The columns: ours, then those of the states in the order in which they were met."""
        ours_first = sorted(self._flags.items(), key=lambda column: column[0] not in _OURS)
        return [self._column(name, flags) for name, flags in ours_first]

    def empty(self, names: Iterable[str]) -> list[str]:
        """Those of `names` in which no row has a value."""
        return [name for name in names if not self._flags[name]]

    def _column(self, name: str, flags: int) -> Column:
        if flags == _LIST:
            of = _KINDS.get(self._elements[name])
            return Column(name, "list", of) if of else Column(name, "json")
        return Column(name, _KINDS.get(flags, "json"))

    def _too_many(self) -> UsageError:
        last = ", ".join([*self._flags][-3:])
        return UsageError(
            f"the states have more than {self._most:,} different paths, too many for columns of"
            f" {self._format}; the last ones: {last}",
            "choose columns: --column PATH (an object is one column, as JSON; the whole state is --column '$')\n"
            "or keep the states whole: --format jsonl",
        )


def _flag(value: Any) -> int:
    if type(value) is not int:
        return _FLAGS[type(value)]
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return _INTEGER
    return _WIDE if -(2**63) <= value < 2**63 else _HUGE


def places(paths: Iterable[str]) -> dict[str, Place]:
    """The places that `paths` name, by the names of their columns. Raises UsageError."""
    found = (parse_path(path) for path in paths)
    return {_own(show_path(place)): place for place in found}


def flattener(chosen: dict[str, Place]) -> Callable[[dict[str, Any]], Row]:
    """What makes a row of a record. `chosen`: the only places of the state that become columns; none:
    all of its leaves do."""
    parts: dict[str, str] = {}

    def row_of(record: dict[str, Any]) -> Row:
        row = dict(_ours(record))
        state = record["state"]
        if chosen:
            for name, place in chosen.items():
                value = dig(state, place)
                if value is not None and value is not ABSENT:
                    row[name] = value
        elif type(state) is dict:
            _flatten(state, "", row, parts)
        elif state is not None:
            row[ROOT] = state
        return row

    return row_of


def _flatten(state: dict[str, Any], prefix: str, row: Row, parts: dict[str, str]) -> None:
    for key, value in state.items():
        part = parts.get(key)
        if part is None:
            part = parts[key] = show_path((key,))
        if type(value) is dict:
            _flatten(value, f"{prefix}{part}.", row, parts)
        elif value is not None:
            row[f"{prefix}{part}" if prefix else _own(part)] = value


def _own(name: str) -> str:
    """The column of the path `name`, apart from ours; SQL does not tell `_ID` from `_id`."""
    return f"{ROOT}.{name}" if name[0] == "_" and name.lower() in _OURS else name


def _ours(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "_id", record["id"]
    for name, value in record.items():
        if name in _FIELDS:
            yield f"_{name}", value
    for name, value in record.get("event", {}).items():
        if value is not None:
            yield f"_event_{name}", value
    error = record.get("error") or record.get("skipped")
    if error:
        yield (
            "_error",
            f"{error['kind']}: {error['message']}" if error["message"] else error["kind"],
        )
