"""A state as the lines of indented JSON, and a step as an edit of them.

The page shows only these lines: it reads no number, so 64-bit integers and 1.0 stay what they are, and it
need not know how lists are aligned. A line that an edit keeps keeps its blame, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from durproj import codec
from durproj.history.changes import aligned, same
from durproj.history.paths import ABSENT
from durproj.render import safe_json, shortened

WIDEST_VALUE = 2_000
"""Longer values are cut, in characters: the page is for people."""


class Line(NamedTuple):
    """depth: how far it is indented; name: as a JSON string (in a list, and of the state itself: empty);
    text: the value as JSON, or the bracket that opens or closes it."""

    depth: int
    name: str
    text: str

    @property
    def is_leaf(self) -> bool:
        """Whether it is a value, and no bracket; an empty list or object is one."""
        return self.text not in _BRACKETS


_BRACKETS = frozenset("{}[]")

Edit = list[int | tuple[int, list[Line]]]
"""From the first line on: so many lines are kept (a number), or so many give way to others."""


def in_short(value: Any) -> str:
    """A value as JSON on one line, cut where it is long."""
    return shortened(safe_json(codec.to_json(value)), WIDEST_VALUE)


def lines_of(value: Any, depth: int = 0, name: str = "") -> Iterator[Line]:
    """The lines of a value; none when it is ABSENT."""
    if value is ABSENT:
        return
    if not _is_full(value):
        yield Line(depth, name, in_short(value))
        return
    yield Line(depth, name, "{" if isinstance(value, dict) else "[")
    for label, part in _parts(value):
        yield from lines_of(part, depth + 1, label)
    yield Line(depth, "", "}" if isinstance(value, dict) else "]")


class Sheet:
    """The lines of a state that changes, and the step that last set each; None: before any step.

    An object's names stay in the order in which they were first shown.
    """

    def __init__(self, state: Any, step: int | None) -> None:
        self._state = state
        self.lines = list(lines_of(state))
        self.blame: list[int | None] = [step] * len(self.lines)

    def turn(self, state: Any, step: int) -> Edit:
        """Make it show `state`, which `step` returned; the edit that does it."""
        writing = _Writing()
        self._state = writing.edit(self._state, state, 0, "")
        self._apply(writing.edits, step)
        return writing.edits

    def _apply(self, edits: Edit, step: int) -> None:
        at = 0
        for part in edits:
            if isinstance(part, int):
                at += part
                continue
            gone, lines = part
            self.lines[at : at + gone] = lines
            self.blame[at : at + gone] = [step] * len(lines)
            at += len(lines)


class _Writing:
    """An edit as it is written, from the first line to the last."""

    def __init__(self) -> None:
        self.edits: Edit = []
        self._kept = 0

    def edit(self, old: Any, new: Any, depth: int, name: str) -> Any:
        """Go from the lines of `old` to those of `new`; gives `new` with its names in the order shown."""
        if old is not ABSENT and same(old, new):
            self._keep(_height(old))
            return old
        if not (_is_full(old) and type(old) is type(new) and _is_full(new)):
            self._replace(_height(old), list(lines_of(new, depth, name)))
            return new
        change = self._edit_object if isinstance(old, dict) else self._edit_list
        self._keep(1)
        shown = change(old, new, depth)
        self._keep(1)
        return shown

    def _edit_object(self, old: Any, new: Any, depth: int) -> Any:
        shown = {}
        for name in _merged(old, new):
            value = self.edit(old.get(name, ABSENT), new.get(name, ABSENT), depth + 1, _label(name))
            if value is not ABSENT:
                shown[name] = value
        return shown

    def _edit_list(self, old: Any, new: Any, depth: int) -> Any:
        shown = []
        for before, after in aligned(old, new):
            first = ABSENT if before is None else old[before]
            second = ABSENT if after is None else new[after]
            value = self.edit(first, second, depth + 1, "")
            if value is not ABSENT:
                shown.append(value)
        return shown

    def _keep(self, count: int) -> None:
        self._kept += count

    def _replace(self, gone: int, lines: list[Line]) -> None:
        if self._kept:
            self.edits.append(self._kept)
            self._kept = 0
        self.edits.append((gone, lines))


def _merged(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """The names of both: those of the older one in its order, each new one behind the one that it follows
    in the newer."""
    follows: dict[str | None, list[str]] = {}
    last = None
    for name in new:
        if name in old:
            last = name
        else:
            follows.setdefault(last, []).append(name)
    yield from follows.get(None, ())
    for name in old:
        yield name
        yield from follows.get(name, ())


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((_label(name), part) for name, part in value.items())
    else:
        yield from (("", part) for part in value)


def _is_full(value: Any) -> bool:
    """Whether it is a list or an object with something in it: its lines are more than one."""
    return isinstance(value, dict | list) and bool(value)


def _label(name: str) -> str:
    return safe_json(codec.to_json(name))


def _height(value: Any) -> int:
    """How many lines a value has."""
    if value is ABSENT:
        return 0
    if not _is_full(value):
        return 1
    parts = value.values() if isinstance(value, dict) else value
    return 2 + sum(map(_height, parts))
