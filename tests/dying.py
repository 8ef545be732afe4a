"""A store that dies at its k-th write, logs to fold over it, and what is left behind to compare."""

from __future__ import annotations

import functools
import inspect
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from durproj.history import changing
from durproj.runtime import folding
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore


class Died(BaseException):
    """The process is gone: nothing may catch this."""


class Dying(SqliteStore):
    """Raises `error` just before, and if it gets by, just after its writes number `at` // 2; dead from
    then on. With `mends`, one write is refused and the later ones are not: an I/O error that passed."""

    at: int | None = None
    error: type[BaseException] = Died
    mends = False
    points = 0
    inside = False

    @classmethod
    def arm(cls, at: int | None, error: type[BaseException] = Died, *, mends: bool = False) -> None:
        cls.at, cls.error, cls.mends, cls.points = at, error, mends, 0

    def _point(self) -> None:
        point = type(self).points
        type(self).points += 1
        if self.at is not None and (point == self.at or (point > self.at and not self.mends)):
            raise self.error("at a write")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        outermost, self.inside = not self.inside, True
        try:
            with super().transaction():
                yield
                if outermost:
                    self._point()
        finally:
            self.inside = not outermost
        if outermost:
            self._point()


def _verb(name: str) -> Callable[..., Any]:
    plain = getattr(SqliteStore, name)

    @functools.wraps(plain)
    def verb(self: Dying, *args: Any) -> Any:
        self._point()
        done = plain(self, *args)
        self._point()
        return done

    return verb


for _name in (
    "save_head", "drop_workflow", "add_row", "add_segment", "drop_steps", "add_attempt",
    "drop_attempts", "add_crash", "save_run", "drop_run", "save_past", "drop_steps_before",
):  # fmt: skip
    setattr(Dying, _name, _verb(_name))


@contextmanager
def dying(
    at: int | None,
    error: type[BaseException] = Died,
    *,
    mends: bool = False,
    store: type[Dying] = Dying,
) -> Iterator[type[Dying]]:
    """Let whatever writes to a store write to one, a `store`, that dies at point `at`."""
    store.arm(at, error, mends=mends)
    try:
        _let_write_to(store)
        yield store
    finally:
        _let_write_to(SqliteStore)
        store.arm(None)


def _let_write_to(store: type[SqliteStore]) -> None:
    for module in (folding, changing):
        module.SqliteStore = store


def trail(state: Any, event: Any) -> Any:
    """A reducer that tells every order, gap and repetition of events apart."""
    value = event.body["v"]
    return {"n": state["n"] + 1, "trail": (state["trail"] * 31 + value) % 1_000_003, "v": value}


trail.initial = {"n": 0, "trail": 7}


def write_trail(folder: Path) -> None:
    """A trail.py there, with the reducer."""
    source = f"{inspect.getsource(trail)}\n\ntrail.initial = {trail.initial}\n"
    (folder / "trail.py").write_text(f"from typing import Any\n\n{source}")


def line(key: str, value: int) -> str:
    return json.dumps({"key": key, "type": "T", "v": value})


def write(path: Path, events: list[tuple[str, int]], end: str = "\n") -> None:
    path.write_text("\n".join(line(*event) for event in events) + (end if events else ""))


def stream(events: list[tuple[str, int]], key: str) -> list[bytes]:
    return [line(*event).encode() for event in events if event[0] == key]


def folded(lines: list[bytes]) -> Any:
    """What `trail` makes of `lines`, by functools.reduce and nothing of durproj's."""

    def step(state: Any, raw: bytes) -> Any:
        value = json.loads(raw)["v"]
        return {"n": state["n"] + 1, "trail": (state["trail"] * 31 + value) % 1_000_003, "v": value}

    return functools.reduce(step, lines, {"n": 0, "trail": 7})


def journals(store: Path) -> dict[str, dict[str, Any]]:
    """All that a store says of its workflows, but for times and attempts, also while it is written to. Every
    hash is verified."""
    opened = SqliteStore.open_reader(store)
    try:
        return {
            journal.head.id: {
                "status": journal.head.status,
                "steps": journal.steps,
                "state": journal.head.state,
                "error": journal.head.error,
                "hash": journal.head.hash,
                "records": [record for _, records in journal.blocks() for record in records],
            }
            for head in list(opened.heads())
            if (journal := Journal.open(opened, head.id))
        }
    finally:
        opened.close()


def inputs(journal: dict[str, Any]) -> list[bytes]:
    """The lines that one of `journals` holds."""
    return [record.input for record in journal["records"]]


def tables(store: Path) -> dict[str, list[Any]]:
    """Every row of a store, by table, but for the time at which a run was looked at and the seal over that."""
    columns = {
        "run": "no, name, identity, options, cursor, complete",
        **dict.fromkeys(("workflow", "step", "segment", "attempt", "crash", "past"), "*"),
    }
    conn = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return {
            table: conn.execute(f"SELECT {what} FROM {table} ORDER BY 1, 2").fetchall()
            for table, what in columns.items()
        }
    finally:
        conn.close()
