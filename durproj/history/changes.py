"""What changed from one state to the next, path by path, lists by element."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Literal

from durproj import codec
from durproj.history.paths import ABSENT, Place, meets, show_path
from durproj.stores.stored import stored_line

MOST_ALIGNED = 1000
"""Of longer stretches of two lists, elements are not matched by content but by position: matching takes
time by the product of their lengths."""

_ID = re.compile(r"(?:^|_)(?:id|key|sku|uuid)$|[a-z](?:Id|ID|Key|Sku|SKU|Uuid|UUID)$")
_EQUAL_IS_SAME = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Change:
    """One path at which two states differ. `old` is ABSENT where it was added, `new` where it was removed.
    An index in `path` counts in the new list; where the element was removed, in the old one."""

    path: Place
    old: Any
    new: Any

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """Which of the three it is."""
        return "added" if self.old is ABSENT else "removed" if self.new is ABSENT else "changed"

    def record(self) -> dict[str, Any]:
        """As JSON can carry it: `path`, `kind`, and those of `old` and `new` that there are."""
        sides = {"old": self.old, "new": self.new}
        return {
            "path": show_path(self.path),
            "kind": self.kind,
            **{name: value for name, value in sides.items() if value is not ABSENT},
        }


def changes(old: Any, new: Any, path: Place = ()) -> list[Change]:
    """What differs between two values of decoded JSON, in the order of the newer one. An element that
    was put into a list or taken out of it is one change, and moves no other. 1, 1.0 and true differ;
    the order of an object's names does not matter. Either may be ABSENT: beside nothing, a whole state
    (`path` is empty) is one change for each of its names or elements."""
    if same(old, new):
        return []
    if not path:
        old, new = _emptied(old, new), _emptied(new, old)
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*new, *(name for name in old if name not in new)]
        found: list[Change] = []
        for name in names:
            found += changes(old.get(name, ABSENT), new.get(name, ABSENT), (*path, name))
        return found
    if isinstance(old, list) and isinstance(new, list):
        found = []
        for before, after in aligned(old, new):
            index = before if after is None else after
            assert index is not None
            first = ABSENT if before is None else old[before]
            second = ABSENT if after is None else new[after]
            found += changes(first, second, (*path, index))
        return found
    return [Change(path, old, new)]


def changes_of_lines(old: bytes, new: bytes) -> list[Change]:
    """What differs between two recorded lines. Where one is nested more deeply than a state can be, no paths
    are told: they differ as a whole. Raises StoreDamaged for what is no JSON."""
    lines = (old, new)
    one, other = sides = [stored_line(line) for line in lines]
    if not any(map(codec.is_deep, lines, sides)):
        return changes(one, other)
    return [] if codec.to_json(one) == codec.to_json(other) else [Change((), one, other)]


def changes_at(old: Any, new: Any, asked: Place) -> list[Change]:
    """Those of `changes(old, new)` that touch the value at `asked`: it, what is within it, or what holds
    it. An object that came or went with it counts only for what of it was asked."""
    path: list[str | int] = []
    for part in asked:
        if not (_may_hold_names(old) and _may_hold_names(new)):
            break
        name = str(part)
        old = old if old is ABSENT else old.get(name, ABSENT)
        new = new if new is ABSENT else new.get(name, ABSENT)
        path.append(name)
    return [each for each in changes(old, new, tuple(path)) if meets(each.path, asked)]


def _may_hold_names(side: Any) -> bool:
    return side is ABSENT or isinstance(side, dict)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; of two objects whose names come in another order it may
    say no."""
    kind = type(one)
    # In Python 1 == 1.0 == True.
    if kind is not type(other) or one != other:
        return False
    return one is other or kind in _EQUAL_IS_SAME or codec.encode(one) == codec.encode(other)


def _emptied(side: Any, other: Any) -> Any:
    """`side`, but for nothing the empty value of the kind of `other`, if that is not empty itself."""
    return type(other)() if side is ABSENT and other and isinstance(other, dict | list) else side


def aligned(old: list[Any], new: list[Any]) -> Iterator[tuple[int | None, int | None]]:
    """The elements of two lists side by side, by index: (in the old one, in the new one), None where
    an element has no counterpart. Objects that have ids are matched by these, other elements by what they
    are."""
    first = _common(old, new)
    last = _common(old[first:][::-1], new[first:][::-1])
    yield from zip(range(first), range(first), strict=True)
    yield from _matched(old, new, range(first, len(old) - last), range(first, len(new) - last))
    tail = range(len(old) - last, len(old)), range(len(new) - last, len(new))
    yield from zip(*tail, strict=True)


def _common(old: list[Any], new: list[Any]) -> int:
    """How many elements from the first on are the same."""
    count = 0
    for one, other in zip(old, new, strict=False):
        if not same(one, other):
            break
        count += 1
    return count


def _matched(
    old: list[Any], new: list[Any], olds: range, news: range
) -> Iterator[tuple[int | None, int | None]]:
    if not olds or not news or max(len(olds), len(news)) > MOST_ALIGNED:
        yield from zip_longest(olds, news)
        return
    name = _identity([old[n] for n in olds], [new[n] for n in news])
    was, now = (
        [codec.encode(side[n] if name is None else side[n][name]) for n in places]
        for side, places in ((old, olds), (new, news))
    )
    matcher = SequenceMatcher(None, was, now, autojunk=False)
    for tag, start, stop, begin, end in matcher.get_opcodes():
        gone, come = olds[start:stop], news[begin:end]
        if tag == "replace" and name is not None:
            yield from ((index, None) for index in gone)
            yield from ((None, index) for index in come)
        else:
            # Elements that gave way to others are paired: what is within them may have changed.
            yield from zip_longest(gone, come)


def _identity(*lists: list[Any]) -> str | None:
    """The name by which the objects of two lists can be told apart: one that is written like an id, and
    under which all of them have a text or a whole number, no two of a list the same."""
    elements = [each for elements in lists for each in elements]
    if not all(isinstance(each, dict) for each in elements):
        return None
    names = sorted(filter(_ID.search, elements[0]), key=len)
    return next((name for name in names if _tells_apart(name, lists)), None)


def _tells_apart(name: str, lists: Iterable[list[dict[str, Any]]]) -> bool:
    for elements in lists:
        values = [each.get(name) for each in elements]
        if not all(type(value) in (str, int) for value in values):
            return False
        if len(set(values)) < len(values):
            return False
    return True
