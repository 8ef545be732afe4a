"""A store whose whole past is known, and everything that can be asked of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import durproj
from durproj.stores.examine import examine
from durproj.stores.sqlite import SqliteStore
from proof.children import run

LONG, OPEN = 280, 20
"""Steps of the long workflows, more than a block, and of the one that is not finished."""

IDS = (
    "projection/long", "projection/few", "other/long", "parked/p", "tried/few", "open/late",
)  # fmt: skip

PARKS = [
    {"userId": "p", "type": type, "name": "P", "email": "p@p"}
    for type in ("UserRegistered", "NeverHeardOf", "NameChanged")
]


def write_log(path: Path, keys: list[str]) -> None:
    """A log in which every event is told from every other by its data."""
    events = (
        {"key": key, "type": "TU"[n % 2], "id": f"e{n}", "data": {"n": n, f"f{n % 7}": n}}
        for n, key in enumerate(keys)
    )
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def lay_out(folder: Path) -> Path:
    """Logs in `folder` and a store over them as a killed process leaves it, some of it in its WAL. There is
    every kind of row in it, and workflows that are resolved, pending and parked."""
    write_log(folder / "log.jsonl", ["long"] * LONG + ["late"] * (OPEN + 5) + ["few"] * 3)
    (folder / "parks.jsonl").write_text("".join(json.dumps(event) + "\n" for event in PARKS))
    store = {"store": "s.db"}

    def fill() -> None:
        again = durproj.Constant(retries=1, delay_s=0.0)
        durproj.fold("log.jsonl", keys=["long", "few"], reducer="merge", **store)
        durproj.fold("log.jsonl", keys=["long"], reducer="counts", name="other", **store)
        durproj.fold("log.jsonl", keys=["few"], name="tried", reducer="merge", fail=(1, 1),
                     retry=again, **store)  # fmt: skip
        durproj.fold("parks.jsonl", name="parked", reducer="account", strict_types=True,
                     on_error="park", **store)  # fmt: skip
        durproj.fold("log.jsonl", keys=["late"], name="open", reducer="merge", crash=OPEN, **store)

    ended = run(fill, folder)
    assert ended.code == 3, ended.err
    return folder / "s.db"


def put_together(path: Path) -> None:
    """Let the store at `path` be one file, as after a run that ended well."""
    SqliteStore.open_writer(path).close()
    assert not Path(f"{path}-wal").exists()


def _report(path: Path) -> Any:
    page = path.parent / "report.html"
    durproj.report(["projection/long", "open/late"], page, store=path, last=5)
    return page.read_text(encoding="utf-8").partition('<script type="application/json"')[2]


def _backup(path: Path) -> Any:
    copy = path.parent / "copy.db"
    durproj.backup(copy, store=path, force=True)
    return list(durproj.export_records(store=copy, journal=True))


def _looked_over(path: Path) -> Any:
    found = examine(path).record()
    return {name: found[name] for name in ("workflows", "unfinished", "error")}


QUESTIONS: Mapping[str, Callable[[Path], Any]] = {
    **{f"inspect {id}": lambda path, of=id: durproj.inspect(of, store=path) for id in IDS},
    **{
        f"inspect {id}#{step}": lambda path, of=id, step=step: durproj.inspect(of, step, store=path)
        for id, step in (
            *(("projection/long", step) for step in (0, 100, 255, 256, LONG - 1)),
            *(("other/long", 200), ("tried/few", 1), ("parked/p", 0), ("open/late", 9)),
        )
    },
    **{
        f"journal of {id}": lambda path, of=id: list(
            durproj.export_records([of], store=path, journal=True)
        )
        for id in IDS
    },
    "list": lambda path: list(durproj.workflows(store=path)),
    "log": lambda path: list(durproj.log("projection/long", store=path)),
    "diff": lambda path: durproj.diff("projection/long#3", "projection/long#270", store=path),
    "blame": lambda path: list(durproj.blame("open/late", store=path)),
    "find": lambda path: list(
        durproj.find(None, "has(state.n) && state.n == 290", which="all", store=path)
    ),
    "find --bisect": lambda path: list(
        durproj.find("projection/long", "state.n > 270", bisect=True, store=path)
    ),
    "export": lambda path: list(durproj.export_records(store=path)),
    "report": _report,
    "compare": lambda path: list(durproj.compare("projection", "other", store=path)),
    "parked list": lambda path: durproj.parked(store=path),
    "parked show": lambda path: durproj.inspect_parked("parked/p", store=path),
    "backup": _backup,
}
"""By command: what it finds in the store at a path."""

VERDICTS: Mapping[str, Callable[[Path], Any]] = {
    "verify": lambda path: list(durproj.verify(store=path)),
    "doctor": _looked_over,
}
"""Those whose answer may be that there is damage."""


@dataclass(frozen=True)
class Answer:
    """What came of a question: `text`, or the error in its place."""

    text: str
    error: durproj.DurprojError | None = None

    @property
    def code(self) -> int:
        """What the command would exit with."""
        return self.error.exit_code if self.error else 0


def ask(question: str, path: Path) -> Answer:
    """The answer to one of QUESTIONS or VERDICTS by the store at `path`. An exception that is none of
    durproj's own is raised."""
    asking = QUESTIONS.get(question) or VERDICTS[question]
    try:
        return Answer(json.dumps(asking(path), ensure_ascii=False))
    except durproj.DurprojError as error:
        return Answer("", error)


def finds_damage(path: Path) -> bool:
    """Whether `verify` finds anything wrong with the store, or it cannot be opened."""
    answer = ask("verify", path)
    return answer.error is not None or json.loads(answer.text)[-1]["exit"] == 1


class Truth:
    """The answers of the sound store at `path`, which no one changes, as they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[tuple[str, int], str] = {}

    def answer(self, question: str) -> str:
        """The answer of the whole store."""
        return self._at(question, OPEN)

    def has(self, question: str, text: str) -> bool:
        """Whether `text` is the answer of the store or of the same one at an earlier moment: of a journal
        that is not finished, steps may be gone at the end, which are made again."""
        return any(self._at(question, steps) == text for steps in range(OPEN, -1, -1))

    def _at(self, question: str, steps: int) -> str:
        key = (question, steps)
        if key not in self._known:
            answer = ask(question, self._cut(steps))
            self._known[key] = f"{answer.code}" if answer.error else answer.text
        return self._known[key]

    def _cut(self, steps: int) -> Path:
        if steps == OPEN:
            return self.path
        earlier = self.path.with_name(f"{steps}.db")
        if not earlier.exists():
            earlier.write_bytes(self.path.read_bytes())
            with closing(sqlite3.connect(earlier, isolation_level=None)) as conn:
                conn.execute(
                    "DELETE FROM step WHERE step >= ? AND workflow ="
                    " (SELECT no FROM workflow WHERE id = 'open/late')",
                    (steps,),
                )
        return earlier
