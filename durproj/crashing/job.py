"""One crash test, from the first run to the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from durproj.crashing.cause import cause, first_difference
from durproj.crashing.faults import Faults
from durproj.crashing.killing import Plan
from durproj.crashing.left import remove
from durproj.crashing.life import Lived, Lives
from durproj.crashing.plans import Kind, drawn, kind_of, planned
from durproj.crashing.prepared import Answer, raised
from durproj.crashing.sample import fitting
from durproj.crashing.servers import Servers, TimeUp
from durproj.crashing.shrinking import Again, Shrinking, Smallest
from durproj.errors import StoreDamaged
from durproj.stores.base import Durability

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Told how many lives more were lived, and of how many in all."""

Life = tuple[Kind, str, Plan]

MORE = "give it more time: --seconds"


class Job:
    """A crash test. again: how it is done again; told: of lives. wrong: whether anything was."""

    def __init__(
        self, servers: Servers, again: Again, options: Answer, told: Progress | None
    ) -> None:
        self._servers, self._again, self._options, self._told = servers, again, options, told
        self._lives = Lives(servers, again.folder, options)
        self._counts: dict[Kind, Counter[str]] = {}
        self._missing: dict[str, None] = {}
        self._uncovered: list[str] = []
        self._enough = True
        self._stores: list[Path] = []
        self._events = self._probed = self._faults_found = 0
        self.wrong = False

    def records(
        self, levels: Sequence[Durability], seeds: int, only: Plan | int | None
    ) -> Iterator[Record]:
        """All of it."""
        try:
            first = self._begin(levels)
            unsound = self._unsound()
            if only is None:
                self._servers.begin()
                yield from self._faults(first)
            if unsound and not self.wrong:
                self.wrong = True
                yield self._unlike(unsound)
                yield self._again.record(Smallest(self._options))
        except TimeUp:
            self._lack(f"the time was over before anything could be crashed: {MORE}")
        else:
            if not self.wrong:
                yield from self._crash(seeds, only)
        yield self._summary()

    def _begin(self, levels: Sequence[Durability]) -> Path:
        """Let runs come to their ends that nobody kills, of as much of the log as fits into the time; the
        store of the first, which may be of more."""
        first, answer = self._lives.first(levels[0], self._servers.left() / 10)
        self._events = answer["of"]
        options = fitting(answer, first, self._options, self._again.folder, self._servers.left())
        if options is not self._options:
            self._lives.options = self._options = options
        self._stores = [self._lives.begin(level) for level in levels]
        return first if options is not self._options or answer["partial"] else self._stores[0]

    def _unsound(self) -> Record | None:
        """What differs between a run that nobody kills and what the log folds to, at any level."""
        for number, store in enumerate(self._stores):
            answer = self._servers.ask(number, act="verify", store=str(store))
            if "error" in answer:
                raise raised(answer["error"])
            for record in answer.get("records", ()):
                if record["status"] == "damaged":
                    raise StoreDamaged(record["error"])
                return dict(record)
        return None

    def _faults(self, store: Path) -> Iterator[Record]:
        """What is wrong with the reducer, each as it is found; and the first of it again, with less."""
        faults = Faults(self._servers, store, mutation=self._again.mutation)
        first = None
        try:
            for record in faults.found():
                if record["type"] == "fault":
                    self.wrong = True
                    self._faults_found += 1
                    first = first or record
                yield record
        except TimeUp:
            if not first:
                raise
            self._lack(f"the time was over before all was looked for in the reducer: {MORE}")
        self._probed = faults.seen
        for lack in faults.lacks:
            self._lack(lack)
        if first:
            shrinking = Shrinking(self._servers, store, self._options, self._again.folder)
            smallest = Smallest(self._options)
            with suppress(TimeUp):
                smallest = shrinking.of_fault(first, mutation=self._again.mutation)
            yield self._again.record(smallest)

    def _unlike(self, record: Record) -> Record:
        """A run that was left alone is not what the log folds to."""
        found = (record.get("differences") or [{}])[0]
        why = record.get("reason") or found.get("reason") or "it is another state"
        return {
            "type": "failure",
            "kind": "fold",
            "seed": None,
            "id": record["id"],
            "differs": f"a run that nobody kills is not what the log folds to: {why}",
            "changes": found.get("changes", []),
            **cause(self._servers, self._stores[0], record["id"], found.get("step")),
        }

    def _crash(self, seeds: int, only: Plan | int | None) -> Iterator[Record]:
        """Live the lives, as far as there is time, until one fails, and tell of them."""
        whole = self._lives.whole
        if isinstance(only, int):
            todo: list[Life] = [("random", str(only), drawn(whole, only))]
        elif only:
            todo = [(kind_of(only), str(only), only)]
        else:
            todo = list(planned(whole, seeds))
        for kind, _, plan in todo:
            self._counts.setdefault(kind, Counter())["planned"] += 1
            self._missing[_cell(kind, plan)] = None
        failed = None
        with suppress(TimeUp):
            failed = self._live(todo)
        names = ("planned", "lives", "kills", "survived", "unstruck")
        for of in get_args(Kind):
            if counts := self._counts.get(of):
                yield {"type": "crashes", "kind": of, **{name: counts[name] for name in names}}
        if failed:
            self.wrong = True
            yield from self._failure(*failed)
        else:
            self._look_for_gaps(only)

    def _live(self, todo: Sequence[Life]) -> tuple[Life, Record] | None:
        for life in todo:
            self._servers.check()
            lived = self._lives.live(life[2])
            self._count(life, lived)
            if self._told:
                self._told(1, len(todo))
            if lived.wrong:
                return life, lived.wrong
        return None

    def _count(self, life: Life, lived: Lived) -> None:
        kind, _, plan = life
        counts = self._counts[kind]
        counts["lives"] += 1
        counts["kills"] += lived.kills
        if lived.wrong is None:
            counts["survived" if lived.kills else "unstruck"] += 1
        if lived.kills:
            self._missing.pop(_cell(kind, plan), None)

    def _look_for_gaps(self, only: Plan | int | None) -> None:
        """Note what was not crashed."""
        counts = sum(self._counts.values(), Counter())
        if isinstance(only, Plan) and counts["unstruck"]:
            one = self._lives.whole[only.durability]
            self._lack(
                f"nothing was killed: {only} names no instant of this run, which has {one.commits} commits and"
                f" {one.calls} calls, counted from 0"
            )
        elif self._missing and counts["lives"] < counts["planned"]:
            kinds = ", ".join(self._missing)
            self._lack(
                f"the time was over before these kinds of crash struck once: {kinds}; {MORE}"
            )
        elif self._missing and not counts["survived"] and counts["unstruck"]:
            self._lack("nothing was killed")
        elif left := counts["planned"] - counts["lives"]:
            self._uncovered.append(f"the time was over before {left:,} more lives")

    def _failure(self, life: Life, wrong: Record) -> Iterator[Record]:
        kind, seed, plan = life
        broken, left = self._again.folder / "life.db", self._again.folder / "failed.db"
        remove(left)
        for file in self._again.folder.glob(f"{broken.name}*"):
            file.rename(f"{left}{file.name.removeprefix(broken.name)}")
        store, id = self._stores[list(self._lives.whole).index(plan.durability)], wrong["id"]
        with suppress(TimeUp):
            wrong |= cause(self._servers, store, id, first_difference(store, left, id))
        yield {"type": "failure", "kind": kind, "seed": seed, "life": str(plan), **wrong}
        shrinking = Shrinking(self._servers, store, self._options, self._again.folder)
        smallest = Smallest(self._options, plan)
        with suppress(TimeUp):
            smallest = shrinking.of_life(self._lives, plan, id)
        yield self._again.record(smallest)

    def _lack(self, what: str) -> None:
        """Note that so little was done that it proves nothing."""
        self._enough = False
        self._uncovered.append(what)

    def _summary(self) -> Record:
        counts = sum(self._counts.values(), Counter())
        left = next((whole.left for whole in self._lives.whole.values()), {})
        events = sum(one.steps for one in left.values())
        parked = sum(one.status == "parked" for one in left.values())
        if events + parked < self._events:
            self._uncovered.append(
                f"{events:,} of {self._events:,} events were taken: more do not fit into the time"
            )
        return {
            "type": "summary",
            "projections": len(left),
            "events": events,
            "of": max(events, self._events),
            "probed": self._probed,
            "lives": counts["lives"],
            "crashes": counts["kills"],
            "survived": counts["survived"],
            "unstruck": counts["unstruck"],
            "planned": counts["planned"],
            "faults": self._faults_found,
            "wrong": self.wrong,
            "complete": not self._uncovered and not self.wrong,
            "uncovered": self._uncovered,
            "exit": int(self.wrong or not self._enough),
        }


def _cell(kind: Kind, plan: Plan) -> str:
    """What is to be struck once: a kind of crash at a level; those at random draw the level, too."""
    return kind if kind == "random" else f"{kind} ({plan.durability})"
