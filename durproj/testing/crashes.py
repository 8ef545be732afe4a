"""Crashing at every step of a fold, in processes that really die, and comparing what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from durproj import codec
from durproj.crashing.lives.left import Left, difference, left_in, remove
from durproj.crashing.process import in_a_child
from durproj.events.formats.detection import Mapping
from durproj.history.paths import ABSENT
from durproj.projections.reducer import MISSING
from durproj.render import safe
from durproj.runtime.project import fold
from durproj.runtime.retry import Never
from durproj.testing.differences import show_both
from durproj.testing.folding import AnyReducer, prepare
from durproj.testing.streams import exactly, flatten, make_stream

_CRASHED = 3


def crash_everywhere(
    events: str | Path | Iterable[Any],
    reducer: AnyReducer,
    folder: str | Path,
    *,
    initial: Any = MISSING,
    key: str | None = None,
    mapping: Mapping | None = None,
) -> dict[str, Any]:
    """Assert that a fold which dies before any of its steps, and is run again, ends as one that does not.

    events: the path of a log, all of whose streams are folded (key: that one only), or events as
    `given` takes them. reducer, initial: as in `Scenario.using`. folder: where stores and logs are
    put; those of what went well are removed.

    For every step of every stream a process of its own dies by `os._exit` before it, with only the
    steps before committed, and another goes on; then state, number of steps and hash of every journal
    have to be those of a fold that was left alone. Takes some ten milliseconds for each step. The
    processes are forks and share their hash seed: what goes by the order of a set is not found so.

    Gives the states, by key. Raises AssertionError, naming the step and what differs, when they are not
    the same or a fold fails.
    """
    __tracebackhide__ = True
    within = Path(mkdtemp(prefix="crashes-", dir=folder))
    prepared = prepare(reducer, initial)
    if isinstance(events, str | Path):
        log, keys, asked = Path(events), None if key is None else [key], mapping
    else:
        stream = make_stream(list(flatten(events)), [], key, mapping)
        log, keys, asked = within / "events.jsonl", [stream.key], exactly(stream.mapping)
        log.write_bytes(b"".join(event.line + b"\n" for event in stream.events))

    def folding(store: Path, crash: int | None) -> Callable[[], object]:
        return lambda: fold(
            log, keys=keys, reducer=prepared, mapping=asked, store=store, retry=Never(), crash=crash
        )

    left_alone = within / "left-alone.db"
    _expect_done(in_a_child(folding(left_alone, None)), "without any crash")
    whole = left_in(left_alone)
    for step in range(max((left.steps for left in whole.values()), default=0)):
        store = within / f"crash-{step}.db"
        _expect_done(
            _until_done(folding(store, step), len(whole)), f"after a crash before step {step}"
        )
        _compare(step, whole, left_in(store), store)
        remove(store)
    remove(left_alone)
    return {left.key: codec.decode(left.state) for left in whole.values() if left.state}


def _until_done(act: Callable[[], object], crashes: int) -> tuple[int, str]:
    """How a fold ended that may crash so many times: each stream that has the step dies there once."""
    for _ in range(crashes):
        ended = in_a_child(act)
        if ended[0] != _CRASHED:
            return ended
    return in_a_child(act)


def _expect_done(ended: tuple[int, str], when: str) -> None:
    __tracebackhide__ = True
    code, said = ended
    if code:
        why = said or f"its process ended with exit code {code}"
        lines = [safe(line) for line in why.split("\n")]
        raise AssertionError("\n  ".join([f"the fold failed {when}:", *lines]))


def _compare(step: int, whole: dict[str, Left], found: dict[str, Left], store: Path) -> None:
    __tracebackhide__ = True
    wrong = difference(whole, found)
    if wrong:
        lines = [
            f"{safe(wrong['id'])} ends otherwise after a crash before step {step}: {wrong['differs']}",
            *(f"  {_shown(change)}" for change in wrong["changes"]),
            f"the store is kept: {store}",
            "a reducer may go by the state and the event only: no clock, no random number, nothing that",
            "it remembers",
        ]
        raise AssertionError("\n".join(lines))


def _shown(change: dict[str, Any]) -> str:
    without, crashed = show_both(change.get("old", ABSENT), change.get("new", ABSENT))
    return f"{safe(change['path'])}: {without} without, {crashed} with the crash"
