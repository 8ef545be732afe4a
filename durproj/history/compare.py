"""Comparing two folds of the same events, key by key: where their states part, and at which paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from durproj.errors import UsageError
from durproj.history.changes import changes, changes_of_lines
from durproj.history.folds import Folds
from durproj.history.paths import ABSENT, Place, dig, parse_path
from durproj.history.reading import reading
from durproj.history.timeline import Timeline
from durproj.ids import check_name
from durproj.stores.base import Store
from durproj.stores.stored import stored_value

RESULTS = ("same", "different", "event", "steps", "only_first", "only_second")
"""What a key may come to: the same states at each step; different ones; the same ones until an event that
is another on the other side; the same ones, and more of them on one side; on one side only."""


def compare(
    first: str,
    second: str,
    *,
    ignore: Sequence[str] = (),
    final: bool = False,
    limit: int | None = None,
    equal: bool = False,
    store: str | Path | Store = "durproj.db",
) -> Iterator[dict[str, Any]]:
    """Compare two folds by their names, or two projections by their ids: one record for each key at which
    they differ, and a summary, as `durproj compare --json` prints them.

    ignore: paths that are left out of the states; final: only the latest states are compared; limit: at
    most so many records of differing keys (the summary counts all); equal: records of equal keys, too.

    Where the oldest steps of one are not kept, `compared_from` is the step with which the comparison began;
    None: no step is kept of both, and where both have equally many, the latest states were compared.

    Raises UsageError for a name beside an id, a path that cannot be read and workflows of programs;
    NotFound, StoreError, StoreDamaged.
    """
    if ("/" in first) != ("/" in second):
        raise UsageError(
            f"{first} and {second}: one is an id, the other a name",
            "give two names (projection orders@v2) or two ids (projection/u1 orders@v2/u1)",
        )
    ignored = [_left_out(path) for path in ignore]
    return _records((first, second), ignored, store, final=final, limit=limit, equal=equal)


def _left_out(text: str) -> Place:
    path = parse_path(text)
    if not path:
        raise UsageError(f"--ignore {text}: that is the whole state", "name a part of it")
    return path


def _records(
    names: tuple[str, str],
    ignored: list[Place],
    store: str | Path | Store,
    *,
    final: bool,
    limit: int | None,
    equal: bool,
) -> Iterator[dict[str, Any]]:
    counts = Counter(dict.fromkeys(RESULTS, 0))
    differing = 0
    with reading(store, *(name for name in names if "/" in name)) as opened:
        for key, pair in _pairs(Folds(opened), names):
            record = {"type": "comparison", "key": key, **_compared(pair, ignored, final=final)}
            result = record["result"]
            counts[result] += 1
            differs = result != "same"
            differing += differs
            if (differs and (limit is None or differing <= limit)) or (equal and not differs):
                yield record
    yield {
        "type": "summary",
        "first": names[0],
        "second": names[1],
        "keys": counts.total(),
        **counts,
    }


def _pairs(
    folds: Folds, names: tuple[str, str]
) -> Iterator[tuple[str, tuple[Timeline | None, Timeline | None]]]:
    """The keys, each with its history on both sides."""
    first, second = names
    if "/" in first:
        one = folds.one(first)
        yield one.head.key, (one, folds.one(second))
        return
    listed = folds.members(check_name(first), check_name(second))
    others = {member.key: member for member in listed if member.name == second}
    for member in listed:
        if member.name == first:
            other = others.pop(member.key, None)
            pair = folds.open(member), folds.open(other) if other else None
            # What is dropped meanwhile is left out.
            if any(pair):
                yield member.key, pair
    for key, other in others.items():
        if found := folds.open(other):
            yield key, (None, found)


def _compared(
    pair: tuple[Timeline | None, Timeline | None], ignored: list[Place], *, final: bool
) -> dict[str, Any]:
    """What becomes of one key, but for the key."""
    one, other = pair
    there = [timeline for timeline in pair if timeline is not None]
    standing: dict[str, Any] = {
        "ids": [timeline.id for timeline in there],
        "steps": [timeline.steps for timeline in there],
        "status": [timeline.head.status for timeline in there],
    }
    if any(timeline.first for timeline in there):
        standing["kept_from"] = [timeline.first for timeline in there]
    if one is None or other is None:
        return {"result": "only_second" if one is None else "only_first", **standing}
    if final:
        return _finally(one, other, standing, ignored)
    return _stepwise(one, other, standing, ignored)


def _finally(
    one: Timeline, other: Timeline, standing: dict[str, Any], ignored: list[Place]
) -> dict[str, Any]:
    """What becomes of a key when only the latest states are compared."""
    found = _parted(one.latest, other.latest, ignored)
    return {"result": "different" if found else "same", **standing, **found}


def _stepwise(
    one: Timeline, other: Timeline, standing: dict[str, Any], ignored: list[Place]
) -> dict[str, Any]:
    begin = max(one.first, other.first)
    standing |= {"compared_from": begin} if begin else {}
    if begin and begin >= min(one.steps, other.steps):
        # No step is kept of both.
        standing["compared_from"] = None
        if one.steps == other.steps:
            return _finally(one, other, standing, ignored)
    for left, right in zip(one.forward(begin), other.forward(begin), strict=False):
        step = {"step": left.step}
        if _differs(left.record.input, right.record.input):
            events = [left.record_of_event(), right.record_of_event()]
            return {"result": "event", **standing, **step, "events": events}
        found = _parted(left.record.output, right.record.output, ignored)
        if found:
            parted = _parted(one.latest, other.latest, ignored)
            return {
                "result": "different",
                **standing,
                **step,
                "event": left.record_of_event(),
                **found,
                "final": "different" if parted else "same",
            }
    return {"result": "same" if one.steps == other.steps else "steps", **standing}


def _differs(one: bytes, other: bytes) -> bool:
    """Whether two pieces of JSON differ in more than how they are written."""
    return one != other and bool(changes_of_lines(one, other))


def _parted(one: bytes | None, other: bytes | None, ignored: list[Place]) -> dict[str, Any]:
    """The changes from one state, as stored, to the other but for what is ignored; empty when there are
    none."""
    if one == other:
        return {}
    states = [ABSENT if output is None else stored_value(output) for output in (one, other)]
    for path in ignored:
        for state in states:
            _drop(state, path)
    found = changes(*states)
    return {"changes": [each.record() for each in found]} if found else {}


def _drop(state: Any, path: Place) -> None:
    """Take what is at `path` out of `state`; the other elements of a list keep their places."""
    *way, last = path
    holder = dig(state, tuple(way))
    if dig(holder, (last,)) is ABSENT:
        return
    if isinstance(holder, list):
        holder[int(last)] = None
    else:
        del holder[str(last)]
