"""A life: runs of one store that are killed, one after another, and what is left in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from durproj.crashing.killing import Kill, Plan
from durproj.crashing.left import Left, difference, left_in, remove
from durproj.crashing.prepared import Answer, raised
from durproj.crashing.servers import Servers
from durproj.errors import DurprojError, NotFound, StoreDamaged, StoreError
from durproj.stores.base import Durability
from durproj.stores.sqlite import SqliteStore

KILLED = -9
PATIENCE_S = 3600.0
"""How long one of two runners waits for the other: for as long as the whole is given time."""


@dataclass
class Whole:
    """What a run that is left alone leaves, and how many commits and calls it takes."""

    left: dict[str, Left]
    commits: int
    calls: int


@dataclass
class Lived:
    """How a life went: how many of its processes were killed, and what is wrong in the end, if anything."""

    kills: int = 0
    wrong: dict[str, Any] | None = None


@dataclass
class Lives:
    """Lives of one fold, in `folder`. options: of `fold`, as a task has them; whole: by durability."""

    servers: Servers
    folder: Path
    options: Answer
    whole: dict[Durability, Whole] = field(default_factory=dict)

    def begin(self, durability: Durability) -> Path:
        """Let a run come to its end, and take down what it leaves; its store. Raises what the run raises."""
        store = self.folder / f"whole-{durability}.db"
        answer = self._run(store, durability, None, counting=True)
        if "error" in answer:
            raise raised(answer["error"])
        if answer["code"]:
            raise StoreError(f"a run that nobody kills {_ending(answer)}")
        self.whole[durability] = Whole(left_in(store), answer["commits"], answer["calls"])
        return store

    def live(self, plan: Plan) -> Lived:
        """Live a life. Its store is gone afterwards unless something is wrong."""
        store, lived = self.folder / "life.db", Lived()
        remove(store)
        kills: list[Kill | None] = [*plan.kills, None]
        number = 0
        if plan.race:
            first, number = (
                kills[:2] if len(kills) > 2 else [kills[0], None],
                min(2, len(plan.kills)),
            )
            tasks = [
                (n, self._task(store, plan.durability, kill, again=True))
                for n, kill in enumerate(first)
            ]
            for answer in self.servers.ask_all(tasks):
                self._judge(answer, store, lived)
        while lived.wrong is None and number < len(kills):
            answer = self._run(store, plan.durability, kills[number], server=number)
            self._judge(answer, store, lived)
            number += 1
        if lived.wrong is None:
            lived.wrong = self._compare(store, plan)
        if lived.wrong is None:
            remove(store)
        return lived

    def _judge(self, answer: Answer, store: Path, lived: Lived) -> None:
        """What a process left that was killed, or came to its end."""
        if answer["code"] == KILLED:
            lived.kills += 1
        elif answer["code"] or "error" in answer:
            lived.wrong = {
                "id": None, "differs": f"a run that goes on {_ending(answer)}", "changes": []
            }  # fmt: skip
        lived.wrong = lived.wrong or _unkept(store)

    def _compare(self, store: Path, plan: Plan) -> dict[str, Any] | None:
        try:
            found = left_in(store)
        except DurprojError as error:
            return {"id": None, "differs": error.message, "changes": []}
        wrong = difference(self.whole[plan.durability].left, found)
        if wrong is None and plan.kills[0].at == "backoff" and not plan.race:
            return _unremembered(store, plan.kills[0].number)
        return wrong

    def _run(self, store: Path, durability: Durability, kill: Kill | None, **how: Any) -> Answer:
        server = how.pop("server", 0)
        task = self._task(store, durability, kill, **how)
        return self.servers.ask(server, **task)

    def _task(
        self,
        store: Path,
        durability: Durability,
        kill: Kill | None,
        *,
        counting: bool = False,
        again: bool = False,
    ) -> Answer:
        return {
            "act": "run",
            "store": str(store),
            "durability": durability,
            "kill": list(kill) if kill else None,
            "counting": counting,
            # A failure is planned for runs that are asked for anew, not for those that are resumed.
            "again": again or (kill is not None and kill.at == "backoff"),
            "wait_s": PATIENCE_S,
            "options": self.options,
        }


def _ending(answer: Answer) -> str:
    if "error" in answer:
        error = raised(answer["error"])
        return f"fails: {type(error).__name__}: {error.message}"
    code, said = answer["code"], answer.get("said")
    ending = f"is ended by signal {-code}" if code < 0 else f"ends with exit code {code}"
    return f"fails: {said}" if said else ending


def _unkept(store: Path) -> dict[str, Any] | None:
    """An acknowledged step that is not there, or was acknowledged twice."""
    file = Path(f"{store}.acknowledged")
    if not file.exists():
        return None
    steps: dict[str, int] = {}
    for line in file.read_text().split("\n")[:-1]:
        step, _, id = line.partition(" ")
        if int(step) < steps.get(id, 0):
            return _wrong(id, f"step {step} was executed again, though it was acknowledged")
        steps[id] = int(step) + 1
    try:
        found = left_in(store)
    except NotFound:
        found = {}
    except StoreDamaged as error:
        return _wrong(None, error.message)
    for id, count in steps.items():
        there = found[id].steps if id in found else 0
        if there < count:
            return _wrong(id, f"step {count - 1} was acknowledged, and {there} steps are there")
    return None


def _unremembered(store: Path, step: int) -> dict[str, Any] | None:
    """Whether the attempt that failed before the crash is forgotten, in the first workflow that has it."""
    opened = SqliteStore.open_reader(store)
    try:
        for head in opened.heads():
            if head.steps > step:
                assert head.no is not None
                if len(opened.attempts(head.no, step)) != 1:
                    return _wrong(head.id, f"the failed attempt at step {step} is forgotten")
                return None
    finally:
        opened.close()
    return None


def _wrong(id: str | None, differs: str) -> dict[str, Any]:
    return {"id": id, "differs": differs, "changes": []}
