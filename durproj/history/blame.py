"""Which step last set each value of a state, and the whole life of one value."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durproj.errors import NotFound
from durproj.history.changes import Change, aligned, changes, same
from durproj.history.log import refuse_program, step_record
from durproj.history.paths import ABSENT, Place, dig, index_of, parse_path, show_path
from durproj.history.reading import reading
from durproj.history.timeline import Checkpoint, Timeline, Transition
from durproj.ids import split_step
from durproj.stores.base import Store


def blame(
    id: str, path: str | None = None, *, store: str | Path | Store = "durproj.db"
) -> Iterator[dict[str, Any]]:
    """What `durproj blame` prints: of the state of workflow `id`, or after a step of it (`id#5`), a
    `blame` record for each leaf, in the state's order: its `path`, `value`, and the `step` and `event`
    that last set it, None for what has been there since the initial state. Where the states before some step
    are not known, what is as old as that has `at_latest`, the last step that may have set it.

    A leaf is what holds no other value: a scalar, an empty list, an empty object. An element of a list
    that moved because others came or went has not been set by that.

    path: the life of the value there instead, oldest first: a `step` record for each step that changed
    it, with its `changes`; the first with `step` None when it was there in the initial state (or, with
    `at_latest`, in the oldest one that is known). The value is followed from the newest state back, through
    the places that it had in lists.

    Raises UsageError, NotFound, StoreError, and StoreDamaged when what is stored is not what was
    written.
    """
    id, step = split_step(id)
    with reading(store, id) as opened:
        timeline = Timeline.open(opened, id)
        refuse_program(timeline, "value to follow through them")
        if step is not None:
            timeline.state_after(step)
        stop = timeline.steps if step is None else step + 1
        if path is None:
            yield from _blamed(timeline, stop)
        else:
            yield from _lived(timeline, stop, parse_path(path))


# -- the leaves of a state


@dataclass(slots=True)
class _Leaf:
    """A value of the newest state; `step` and `event` are those that last set it, once that is known."""

    path: Place
    value: Any
    step: int | None = None
    event: dict[str, Any] | None = None


_Node = _Leaf | dict[str | int, "_Node"]
"""The leaves that are not blamed yet, by their place in a state; an index is a name among others."""


def _blamed(timeline: Timeline, stop: int) -> Iterator[dict[str, Any]]:
    state = _newest(timeline, stop)
    if state is ABSENT:
        return
    leaves: list[_Leaf] = []
    _walk(timeline, stop, _planted(state, (), leaves))
    for leaf in leaves:
        record = {
            "type": "blame",
            "id": timeline.id,
            "path": show_path(leaf.path),
            "value": leaf.value,
            "step": leaf.step,
            "event": leaf.event,
        }
        yield record | _beginning_of(timeline) if leaf.step is None else record


def _newest(timeline: Timeline, stop: int) -> Any:
    return timeline.state_after(stop - 1 if stop else None)


def _beginning_of(timeline: Timeline) -> dict[str, int]:
    """What a record says of a value that is as old as the history, where its beginning is not known."""
    first = timeline.first
    if first:
        return {"at_latest": first - (first == timeline.steps), "kept_from": first}
    return {"at_latest": 0} if timeline.initial is ABSENT else {}


def _walk(timeline: Timeline, stop: int, root: _Node) -> None:
    """Go back from the newest step until every leaf under `root` is blamed."""
    pending = root
    for transition in timeline.transitions(stop=stop, newest_first=True):
        if transition.is_idle or transition.is_cut:
            continue
        left = _older(pending, transition.old, transition.new, transition.checkpoint)
        if left is None:
            return
        pending = left


def _planted(value: Any, path: Place, leaves: list[_Leaf]) -> _Node:
    """The node of `value`, its leaves added to `leaves`."""
    if value and isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: _planted(item, (*path, name), leaves) for name, item in items}
    leaf = _Leaf(path, value)
    leaves.append(leaf)
    return leaf


def _older(node: _Node, old: Any, new: Any, step: Checkpoint) -> _Node | None:
    """Blame on `step`, which made `new` of `old`, the leaves of `node` that it set; the others by their
    places in `old`, None when there are none."""
    if same(old, new):
        return node
    if isinstance(node, _Leaf):
        node.step, node.event = step.step, step.record_of_event()
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        _take_names(node, old, new, step)
        return node or None
    before = _places_before(old, new)
    left: dict[str | int, _Node] = {}
    for place, child in node.items():
        earlier = before(place)
        kept = _older(child, ABSENT if earlier is None else old[earlier], new[place], step)
        if earlier is not None and kept is not None:
            left[earlier] = kept
    return left or None


def _take_names(node: dict[str | int, _Node], old: Any, new: Any, step: Checkpoint) -> None:
    """The same for the names of an object, in place: of most of them a step changes few."""
    changed = [name for name in node if not same(old.get(name, ABSENT), new[name])]
    for name in changed:
        kept = _older(node[name], old.get(name, ABSENT), new[name], step)
        if kept is None:
            del node[name]
        else:
            node[name] = kept


def _places_before(old: Any, new: Any) -> Callable[[str | int], str | int | None]:
    """Which index in the list `old` what is at an index of the list `new` had; None when it had none, when `new`
    has no such index, or when they are not both lists."""
    if isinstance(old, list) and isinstance(new, list):
        before = {after: was for was, after in aligned(old, new)}
        return before.get  # type: ignore[return-value]
    return lambda _: None


# -- the life of one value


def _lived(timeline: Timeline, stop: int, place: Place) -> Iterator[dict[str, Any]]:
    none = True
    for record in _life(timeline, stop, place):
        none = False
        yield record
    if none and (oldest := _beginning_of(timeline)):
        raise NotFound(
            f"{show_path(place)}: {timeline.id} has not had it since step {oldest['at_latest']}, and what was"
            " before that is not known",
            f"durproj blame {shlex.quote(timeline.id)} shows what it has",
        )
    if none:
        raise NotFound(
            f"{show_path(place)}: {timeline.id} has never had it",
            f"durproj blame {shlex.quote(timeline.id)} shows what it has",
        )


def _life(timeline: Timeline, stop: int, place: Place) -> Iterator[dict[str, Any]]:
    place = _checked(timeline, stop, place)
    # Where the value was before a step that moved it, newest first: the last one is its beginning.
    moves: list[tuple[int, Place | None]] = []
    if any(index_of(part) is not None for part in place):
        moves += _moves(timeline, stop, place)
    before = moves[-1][1] if moves else place
    first = timeline.first
    if before is None:
        first = moves[-1][0]
    else:
        yield from _beginning(timeline, stop, before)
    for transition in timeline.transitions(first, stop):
        after = before
        if moves and moves[-1][0] == transition.checkpoint.step:
            moves.pop()
            after = moves[-1][1] if moves else place
        if found := _changed(transition, before, after):
            yield step_record(timeline.id, transition.checkpoint, found)
        before = after


def _checked(timeline: Timeline, stop: int, place: Place) -> Place:
    """`place`, the indices in it as such. A place in a list that the newest state does not have is refused:
    whose life that would be is open."""
    found: list[str | int] = []
    holder = _newest(timeline, stop)
    for part in place:
        value = dig(holder, (part,))
        index = index_of(part) if isinstance(holder, list) else None
        if value is ABSENT and (isinstance(holder, list) or isinstance(part, int)):
            where = f"after step {stop - 1}" if stop else "before the first step"
            raise NotFound(
                f"{show_path(place)}: there is no such element in the state of {timeline.id} {where}",
                "what became of removed elements: durproj log ID --path of their list",
            )
        found.append(part if index is None else index)
        holder = value
    return tuple(found)


def _moves(timeline: Timeline, stop: int, place: Place) -> Iterator[tuple[int, Place | None]]:
    for transition in timeline.transitions(stop=stop, newest_first=True):
        if transition.is_idle or transition.is_cut:
            continue
        earlier = _place_before(transition.old, transition.new, place)
        if earlier != place:
            yield transition.checkpoint.step, earlier
        if earlier is None:
            return
        place = earlier


def _place_before(old: Any, new: Any, place: Place) -> Place | None:
    """Where what is at `place` in `new` was in `old`; None when an element on the way there is new."""
    found: list[str | int] = []
    for part in place:
        earlier = part
        index = index_of(part)
        if isinstance(new, list) and index is not None:
            was = _places_before(old, new)(index)
            if was is None:
                return None
            earlier = was
        elif isinstance(old, list) and isinstance(new, dict):
            return None  # the names of an object are not the indices of the list before it
        found.append(earlier)
        old, new = dig(old, (earlier,)), dig(new, (part,))
    return tuple(found)


def _changed(transition: Transition, before: Place | None, after: Place | None) -> list[Change]:
    if transition.is_idle or transition.is_cut or after is None:
        return []
    old = ABSENT if before is None else dig(transition.old, before)
    return changes(old, dig(transition.new, after), after)


def _beginning(timeline: Timeline, stop: int, place: Place) -> Iterator[dict[str, Any]]:
    """A record of the value with which the history begins, if it begins with one."""
    at_latest = _beginning_of(timeline).get("at_latest")
    oldest = ABSENT if at_latest == 0 == stop else timeline.state_after(at_latest)
    value = dig(oldest, place)
    if value is not ABSENT and stop >= timeline.first:
        yield {
            "type": "step",
            "id": timeline.id,
            "step": None,
            "event": None,
            "changes": [Change(place, ABSENT, value).record()],
            **_beginning_of(timeline),
        }
