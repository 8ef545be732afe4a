"""The guard of the past: a cached step is served only to the input it was recorded for.

Compares what the journal holds with what is there now, and says in one message what differs first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durproj import codec
from durproj.errors import PastChanged


def compare_inputs(
    id: str, first: int, recorded: Sequence[bytes], present: Sequence[bytes]
) -> None:
    """Raise PastChanged at the first step, from `first` on, whose recorded input is not the one that
    is there now. `present` may be shorter: its end is not the end of the log."""
    if recorded == present:
        return
    for step, (was, now) in enumerate(zip(recorded, present, strict=False), first):
        if was != now:
            raise PastChanged(id, step, *difference(was, now), way_on(step))


def changed_parked(
    id: str, step: int, recorded: bytes, present: bytes, *, mended: bool
) -> PastChanged:
    """The error for a stream that is parked at `step`, where its log has another event now. `mended`:
    by its id it is the same event, with other content."""
    ways = way_on(step)
    if mended:
        ways = f"take the event as it is now:  durproj parked retry …\n{ways}"
    return PastChanged(id, step, *difference(recorded, present), ways)


def past_the_end(id: str, step: int, recorded: bytes) -> PastChanged:
    """The error for a log that ends before the event which `step` was recorded for."""
    return PastChanged(id, step, show(recorded), "the log ends before this event", way_on(step))


def changed_dropped(id: str, dropped: int, present: str) -> PastChanged:
    """The error for a log in which the events of the first `dropped` steps, which are no longer kept, are
    not what they were. Which of them differs cannot be told any more."""
    recorded = f"its first {dropped:,} events, by a digest (durproj gc dropped their steps)"
    ways = (
        "put the log back as it was, or",
        "fold again from the start:  durproj run --restart …",
        "keep both:  durproj run --name OTHER …",
    )
    return PastChanged(id, None, recorded, present, "\n".join(ways))


def other_input(name: str, size: int) -> PastChanged:
    """The error for an input that was rotated before, and is now neither the file of which `size` bytes
    were read last nor known to follow on it."""
    ways = (
        "put the file back, under its name or a rotated one: its rest is read, then the new one",
        "or, if all of it was read: durproj run --follow --rotated …",
        "or, if the file was edited: without --follow every event is compared",
        "or fold again from the start of what is there: --restart",
    )
    recorded = f"{size:,} bytes of the input, by their hash" if size else "the file by its inode"
    return PastChanged(name, None, recorded, "it is another file", "\n".join(ways))


def late_event(changed: PastChanged, order: str) -> PastChanged:
    """`changed` for a log in which the recorded event still is, after one that has come late: both are
    shown whole, for they are two."""
    assert changed.step is not None
    recorded, present = (side.partition("\n")[0] for side in (changed.recorded, changed.present))
    present += f"\n            it came late: by --order {order} it is before the recorded event"
    ways = way_on(changed.step).split("\n")[1:]
    return PastChanged(changed.id, changed.step, recorded, present, "\n".join(ways))


def changed_option(id: str, what: str, recorded: str, present: str, flag: str) -> PastChanged:
    """The error for a reducer, initial state or envelope that is not the recorded one. `flag`: what
    accepts the change, or empty when only starting over can."""
    ways = [f"accept it for new steps: {flag}"] if flag else []
    ways += ["fold again from the start: --restart", "keep both: another --name"]
    return PastChanged(id, 0, f"{what} {recorded}", f"{what} {present}", "\n".join(ways))


def way_on(step: int) -> str:
    """What to do about a past that changed at `step`. In words: an id in a command would have to be
    quoted for a shell, and the store be named."""
    ways = ["put the log back as it was, or"]
    if step > 0:
        ways.append(f"drop the steps from {step} on with rewind, and run again")
    ways.append("fold again from the start:  durproj run --restart …")
    ways.append("keep both:  durproj run --name OTHER …")
    return "\n".join(ways)


def show(blob: bytes, limit: int = 100) -> str:
    """A recorded input in one short line."""
    text = blob.decode(errors="replace")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def difference(was: bytes, now: bytes) -> tuple[str, str]:
    """Both sides of a changed input, in short; where both are JSON objects of one shape, the first path
    that differs."""
    try:
        sides = codec.decode(was), codec.decode(now)
    except codec.DecodeError:
        return show(was), show(now)
    if codec.is_deep(was, sides[0]) or codec.is_deep(now, sides[1]):
        return contrast(was.decode(), now.decode())
    path, old, new = _first_path(*sides, "")
    if not path:
        return show(was), show(now)
    return (
        f"{show(was)}\n            {path} = {_leaf(old)}",
        f"{show(now)}\n            {path} = {_leaf(new)}",
    )


def contrast(was: str, now: str, limit: int = 100) -> tuple[str, str]:
    """Two texts that differ, each in one short line; long ones from shortly before the difference on."""
    start = 0
    if max(len(was), len(now)) > limit:
        pairs = enumerate(zip(was, now, strict=False))
        differs = next((at for at, (one, two) in pairs if one != two), min(len(was), len(now)))
        start = max(0, differs - 40)
    first, second = (
        ("…" if start else "") + text[start:].replace("\n", "\\n") for text in (was, now)
    )
    return show(first.encode(), limit), show(second.encode(), limit)


_ABSENT = object()


def _first_path(was: Any, now: Any, path: str) -> tuple[str, Any, Any]:
    """The first path at which two decoded values differ, with both values there."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            old, new = was.get(key, _ABSENT), now.get(key, _ABSENT)
            if old != new:
                return _first_path(old, new, f"{path}.{key}" if path else key)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (old, new) in enumerate(zip(was, now, strict=True)):
            if old != new:
                return _first_path(old, new, f"{path}[{index}]")
    return path, was, now


def _leaf(value: Any) -> str:
    return "(absent)" if value is _ABSENT else show(codec.encode(value), 60)
