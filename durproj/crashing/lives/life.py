"""A life: runs of one store that are killed, one after another, and what is left in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from durproj.crashing.lives.judging import (
    Steps,
    forgotten,
    misremembered,
    standing,
    steps_of,
    unkept,
    wrong,
)
from durproj.crashing.lives.killing import WAIT_S, Kill, Plan
from durproj.crashing.lives.left import Left, difference, left_in, remove
from durproj.crashing.prepared import Answer, raised
from durproj.crashing.servers import Servers, TimeUp
from durproj.crashing.unchanged import Unchanged
from durproj.errors import DurprojError, StoreError
from durproj.stores.base import Durability

KILLED = -9
PATIENCE_S = 3600.0
"""How long one of two runners waits for the other: for as long as the whole is given time."""


@dataclass
class Whole:
    """What a run that is left alone leaves, and how many commits and calls it takes."""

    left: dict[str, Left]
    commits: int
    calls: int
    steps: Steps = field(default_factory=dict)


@dataclass
class Lived:
    """How a life went: how many of its processes were killed, and what is wrong in the end, if anything."""

    kills: int = 0
    wrong: dict[str, Any] | None = None


@dataclass
class Lives:
    """Lives of one fold, in `folder`. options: of `fold`, as a task has them; whole: by durability; unchanged:
    what each of them reads."""

    servers: Servers
    folder: Path
    options: Answer
    whole: dict[Durability, Whole] = field(default_factory=dict)
    unchanged: Unchanged = field(init=False)

    def __post_init__(self) -> None:
        self.unchanged = Unchanged(self.options["events"], self.options["reducer"])

    def first(self, durability: Durability, most_s: float) -> tuple[Path, Answer]:
        """The store of a run that is stopped after so many seconds, and what it says: whether it is
        `partial`, how many events it has `done`, `of` how many, in how many `seconds`. Where it was stopped,
        it goes on. Raises what it raises, and TimeUp, which says at which step it stands, if at one."""
        store = self.folder / "first.db"
        try:
            task = self._task(store, durability, None) | {"most_s": most_s}
            return store, self._expect_end(task)
        except TimeUp:
            where = standing(store)
            raise TimeUp(*[f"{where} did not end"] if where else ()) from None

    def begin(self, durability: Durability) -> Path:
        """Let a run come to its end, and take down what it leaves; its store. Raises what the run raises."""
        store = self.store(durability)
        answer = self._expect_end(self._task(store, durability, None) | {"counting": True})
        self.whole[durability] = Whole(
            left_in(store), answer["commits"], answer["calls"], steps_of(store)
        )
        return store

    def store(self, durability: Durability) -> Path:
        """The store of the run that came to its end."""
        return self.folder / f"whole-{durability}.db"

    def _expect_end(self, task: Answer) -> Answer:
        answer = self.servers.ask(0, **task)
        if "error" in answer:
            raise raised(answer["error"])
        if answer["code"]:
            raise StoreError(f"a run that was not killed {ending(answer)}")
        return answer

    def live(self, plan: Plan) -> Lived:
        """Live a life. Its store is gone afterwards unless something is wrong. Each of its
        processes has a hash seed of its own."""
        store, lived = self.folder / "life.db", Lived()
        remove(store)
        kills: list[Kill | None] = [*plan.kills, None]
        number = 0
        if plan.race:
            first, number = kills[:2], min(2, len(plan.kills))
            tasks = [
                (n + 1, self._task(store, plan.durability, kill) | {"again": True})
                for n, kill in enumerate(first)
            ]
            for answer, (_, task) in zip(self.servers.ask_all(tasks), tasks, strict=True):
                self._judge(answer, task, lived)
        while lived.wrong is None and number < len(kills):
            kill = kills[number]
            task = self._task(store, plan.durability, kill)
            answer = self.servers.ask(number + 1, **task, **_backoff(plan, number))
            self._judge(answer, task, lived, waited=kill is not None and kill.at == "backoff")
            number += 1
        if lived.wrong is None:
            lived.wrong = self._compare(store, plan)
        if lived.wrong is None:
            remove(store)
        return lived

    def _judge(self, answer: Answer, task: Answer, lived: Lived, *, waited: bool = False) -> None:
        """What a process left that was killed (waited: in back-off), or came to its end. What was wrong
        before stays: of two that ran beside each other either may be wrong."""
        store, steps = Path(task["store"]), self.whole[task["durability"]].steps
        struck = answer["code"] == KILLED and answer["struck"]
        found: dict[str, Any] | None
        if not struck and (answer["code"] or "error" in answer):
            found = wrong(None, f"a run that goes on {ending(answer)}")
        else:
            found = unkept(store, steps) or (forgotten(store) if struck and waited else None)
        lived.kills += struck
        lived.wrong = lived.wrong or found

    def _compare(self, store: Path, plan: Plan) -> dict[str, Any] | None:
        try:
            different = difference(self.whole[plan.durability].left, left_in(store))
            if different is None and plan.in_backoff is not None and not plan.race:
                return misremembered(store, plan.in_backoff)
        except DurprojError as error:
            return wrong(None, error.message)
        return different

    def _task(self, store: Path, durability: Durability, kill: Kill | None) -> Answer:
        return {
            "act": "run",
            "store": str(store),
            "durability": durability,
            "kill": list(kill) if kill else None,
            "wait_s": PATIENCE_S,
            "options": self.options,
        }


def _backoff(plan: Plan, number: int) -> Answer:
    """What the process `number` of a life is told besides when some are killed in back-off: at which step
    attempts are to fail, and how much later than it is it has to be. That is planned for runs that are
    asked for anew; where the wait is killed once more, the run is resumed."""
    step = next((kill.number for kill in plan.kills if kill.at == "backoff"), None)
    if step is None:
        return {}
    kills = [*plan.kills, None]
    once_more = number > 0 and {kill and kill.at for kill in kills[number - 1 : number + 1]} == {
        "backoff"
    }
    later_s = WAIT_S * number / len(kills)
    return {"again": not once_more, "backoff": {"step": step, "later_s": later_s}}


def ending(answer: Answer) -> str:
    """How a process ended that did not do what it was asked for."""
    if "error" in answer:
        error = raised(answer["error"])
        return f"fails: {type(error).__name__}: {error.message}"
    code, said = answer["code"], answer.get("said")
    how = f"is ended by signal {-code}" if code < 0 else f"ends with exit code {code}"
    if code == KILLED:
        how = f"{how} from elsewhere (out of memory, or the reducer?)"
    return f"fails: {said}" if said else how
