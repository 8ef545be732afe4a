"""What is folded by those who are killed, and what has to be there of it afterwards."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dying import Died, folded, inputs, journals, stream, trail, write

import durproj
from durproj import codec
from durproj.stores.sqlite import SqliteStore
from proof.children import Ended

MANY = ("a", "b", "c", "d", "e")


class Killed(Died):
    """Whoever would raise it is killed instead."""

    def __init__(self, *_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """The reducer `trail`. With `points` it tells every call on standard output, and passes by two of them;
    slow: it takes long enough to be met in the middle."""

    version = 1
    initial = trail.initial
    __name__ = __qualname__ = "watched"

    def __init__(self, points: Points | None = None, *, slow: bool = False) -> None:
        self.points, self.calls, self._turns = points, [], 3000 if slow else 0

    def __call__(self, state: Any, event: Any) -> Any:
        value = event.body["v"]
        if self.points is None:
            self.calls.append(value)
            return trail(state, event)
        os.write(1, b"called %d\n" % value)
        self.points("before the fold")
        for _ in range(self._turns):
            pass
        state = trail(state, event)
        self.points("after the fold")
        return state


class Points:
    """The points that a process passes by, by name; at one of them, and the how many-th time, it is
    killed. In the process itself only."""

    def __init__(self, at: tuple[str, int] | None) -> None:
        self.at = at
        self.passed: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        here = (name, self.passed[name])
        self.passed[name] += 1
        if here == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class Streams:
    """A log of `steps` events in streams of these keys, in `folder`; the values are 0, 1, 2 …

    reducer: what `trail` is called in a command. whole: what an uninterrupted fold leaves; shown: what is printed of it."""

    def __init__(
        self, folder: Path, steps: int, keys: tuple[str, ...] = ("a",), reducer: str | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log.jsonl"
        self._stores = 0
        # Not in turn, and not equally many.
        self.events = [(keys[at * at % len(keys)], at) for at in range(steps)]
        write(self.log, self.events)
        store = folder / "whole.db"
        durproj.fold(self.log, reducer=reducer or Watched(), store=store)
        self.whole, self.shown = journals(store), printed(store)
        for id, journal in self.whole.items():
            lines = self.lines(id)
            assert inputs(journal) == lines
            assert codec.decode(journal["state"]) == folded(lines)

    @contextmanager
    def store(self) -> Iterator[Path]:
        """The path of a store beside the log, which is removed afterwards."""
        self._stores += 1
        path = self.log.parent / f"{self._stores}.db"
        try:
            yield path
        finally:
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink()

    def lines(self, id: str) -> list[bytes]:
        return stream(self.events, id.partition("/")[2])

    def expect_beginning(
        self, store: Path, acknowledged: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """Of every stream `store` holds a beginning, every step of which is right, and no less than so
        many steps as were acknowledged: how many there are, by id."""
        found = existing(store)
        for id, journal in found.items():
            records = journal["records"]
            expected = self.whole[id]["records"]
            assert records == expected[: len(records)], f"{id}: other steps than without a crash"
            assert journal["steps"] == len(records)
        for id, least in (acknowledged or {}).items():
            steps = len(found[id]["records"]) if id in found else 0
            assert steps >= least, f"{id}: {least} steps were acknowledged, {steps} are there"
        for id, journal in found.items():
            if journal["records"]:
                state = durproj.inspect(id, store=store)["state"]
                assert codec.encode(state) == journal["records"][-1].output
        return {id: len(journal["records"]) for id, journal in found.items()}

    def expect_whole(self, store: Path) -> None:
        """`store` is what an uninterrupted fold leaves, and so is what is printed of it."""
        assert journals(store) == self.whole
        assert printed(store) == self.shown
        left = {path.name for path in store.parent.glob(f"{store.name}*")}
        assert left == {store.name}, left

    def resume(self, store: Path, held: Mapping[str, int], **options: Any) -> None:
        """Go on, here; only what is not held is executed, each event once, and the end is as ever."""
        reducer = Watched()
        counts = durproj.fold(self.log, reducer=reducer, store=store, **options)
        missing = sorted(
            json.loads(line)["v"] for id in self.whole for line in self.lines(id)[held.get(id, 0) :]
        )
        assert sorted(reducer.calls) == missing, (
            "another set of steps than the missing was executed"
        )
        assert (counts.cached, counts.executed) == (sum(held.values()), len(missing))
        self.expect_whole(store)


def expect_printed(ended: Ended, store: Path) -> None:
    """What `--json -v` printed as done before it was killed is in the store."""
    found = {id: journal["steps"] for id, journal in existing(store).items()}
    shown: Counter[str] = Counter()
    for line in map(json.loads, ended.lines):
        if line["type"] == "step":
            shown[line["id"]] = max(shown[line["id"]], line["step"] + 1)
        elif line["type"] in ("projection", "crash"):
            least, steps = line["steps" if "steps" in line else "step"], found.get(line["id"], 0)
            assert steps >= least, f"{line} was printed, and {steps} steps are there"
    lost = {
        id: (steps, found.get(id, 0)) for id, steps in shown.items() if found.get(id, 0) < steps
    }
    assert not lost, f"printed as done, and how many are there: {lost}"


def existing(store: Path) -> dict[str, dict[str, Any]]:
    """What `store` holds; nothing when there is none or it is still empty."""
    try:
        return journals(store)
    except durproj.NotFound:
        return {}


def printed(store: Path) -> bytes:
    """What `inspect`, `log` and `export` print of `store` with `--json --stable`, but for attempts."""
    records: list[Any] = []
    for id in sorted(journals(store)):
        records += [durproj.inspect(id, store=store), *durproj.log(id, store=store)]
    records += durproj.export_records(store=store, journal=True)
    for record in records:
        record.pop("attempts", None)
        record.pop("timing", None)
        record.pop("durability", None)
    return b"\n".join(codec.encode(record) for record in records)


def begun(store: Path) -> bool:
    """Whether `store` knows of a run that could be resumed."""
    try:
        opened = SqliteStore.open_reader(store)
    except durproj.NotFound:
        return False
    try:
        return bool(opened.runs())
    finally:
        opened.close()
