"""One crash test, from the first run to the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from durproj.crashing.again import Again
from durproj.crashing.lives.killing import Plan
from durproj.crashing.lives.left import remove
from durproj.crashing.lives.life import Lives, Whole, ending
from durproj.crashing.lives.plans import Life, at_random, kind_of, planned
from durproj.crashing.prepared import Answer, raised
from durproj.crashing.purity.cause import cause, first_difference
from durproj.crashing.purity.faults import Faults
from durproj.crashing.sample import Part, events_of, most_events, parts_of
from durproj.crashing.servers import Servers, TimeUp
from durproj.crashing.shrinking import Shrinking, Smallest
from durproj.crashing.tally import Tally
from durproj.crashing.unchanged import Unchanged
from durproj.errors import DurprojError, Interrupted, StoreDamaged
from durproj.stores.base import Durability
from durproj.wording import number

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Told how many lives more were lived, and of how many in all."""

MORE = "give it more time: --seconds"
NO_EVENTS = "there are no events in the log"
NOTHING_DONE = "no event of the log could be applied"


class Job:
    """A crash test. again: how it is done again; told: of lives. wrong: whether anything was."""

    def __init__(
        self, servers: Servers, again: Again, options: Answer, told: Progress | None
    ) -> None:
        self._servers, self._again, self._options, self._told = servers, again, options, told
        self._reducer = Unchanged((), options["reducer"])
        self._sample: list[Part] = []
        self._beyond = False
        self._parts: list[Lives] = []
        self._tally = Tally()
        self._uncovered: list[str] = []
        self._enough = True
        self._events = self._probed = self._faults_found = 0
        self.wrong = False

    def records(
        self, levels: Sequence[Durability], seeds: int, only: Plan | int | None
    ) -> Iterator[Record]:
        """All of it. Raises StoreDamaged when what a run leaves that nobody kills is damaged, Rewritten when
        something is wrong and may be so because a file changed that is read anew in each life."""
        try:
            yield from self._records(levels, seeds, only)
        except StoreDamaged as error:
            self.wrong = True
            raise StoreDamaged(
                f"a run that was not killed left this: {error.message}",
                "something other than durproj wrote to that store, which belongs to this test: the reducer?\n"
                f"kept: {self._again.folder}",
            ) from None
        except DurprojError as error:
            if not isinstance(error, Interrupted):
                for unchanged in (self._reducer, *(lives.unchanged for lives in self._parts)):
                    unchanged.check()
            raise

    def _records(
        self, levels: Sequence[Durability], seeds: int, only: Plan | int | None
    ) -> Iterator[Record]:
        try:
            first = self._begin(levels)
            if not self._steps():
                self._lack(NOTHING_DONE if any(one.left for one in self._wholes()) else NO_EVENTS)
                yield self._summary()
                return
            unsound = self._unsound()
            if only is None:
                self._servers.begin()
                yield from self._faults(first)
            if self._sample and not self.wrong:
                yield self._sampled()
            if unsound and not self.wrong:
                _, part, level = unsound
                self._found_wrong(self._parts[part].unchanged)
                yield self._unlike(*unsound)
                smallest = Smallest(self._parts[part].options, durability=level)
                yield self._again.record(smallest)
        except TimeUp as up:
            self._lack(f"{str(up) or 'time ran out before anything could be crashed'}: {MORE}")
        else:
            if not self.wrong:
                yield from self._crash(seeds, only)
        yield self._summary()

    def _begin(self, levels: Sequence[Durability]) -> Path:
        """Let runs come to their ends that nobody kills, of parts of the log if it does not fit into the time;
        the store of one that went as far as there was time."""
        lives = Lives(self._servers, self._again.folder, self._options)
        self._parts = [lives]
        first, answer = lives.first(levels[0], self._servers.left() / 10)
        self._events = answer["of"]
        most = most_events(answer, self._servers.left())
        if most is not None:
            if answer["partial"]:
                _, answer = lives.first("batch", self._servers.left() / 4)
                self._beyond = answer["partial"]
            self._sample = parts_of(first, most, self._options, self._again.folder)
            if not self._sample:
                raise TimeUp
            self._events = events_of(first)
            self._parts = [self._lives_of(part, number) for number, part in enumerate(self._sample)]
        for each in self._parts:
            for level in levels:
                each.begin(level)
        return first if self._sample else lives.store(levels[0])

    def _lives_of(self, part: Part, number: int) -> Lives:
        folder = self._again.folder / f"part-{number}"
        folder.mkdir()
        return Lives(self._servers, folder, part.options)

    def _sampled(self) -> Record:
        """What was taken of a log that is too long: some `events`, in `parts`, `of` as many as there was time
        to come to; `beyond`: whether there are more."""
        return {
            "type": "sample",
            "events": sum(part.events for part in self._sample),
            "of": self._events,
            "beyond": self._beyond,
            "parts": [part.record() for part in self._sample],
        }

    def _unsound(self) -> tuple[Record, int, Durability] | None:
        """What differs between a run that nobody kills and what the log folds to, in which part, at which
        level."""
        for part, lives in enumerate(self._parts):
            for server, level in enumerate(lives.whole, 2):
                answer = self._servers.ask(server, act="verify", store=str(lives.store(level)))
                if "error" in answer:
                    raise raised(answer["error"])
                if answer["code"]:
                    self._lack(
                        "a run could not be compared with what the log folds to: the fold without a store"
                        f" {ending(answer)}"
                    )
                for record in answer.get("records", ()):
                    if record["status"] == "damaged":
                        raise StoreDamaged(record["error"])
                    return record, part, level
        return None

    def _faults(self, store: Path) -> Iterator[Record]:
        """What is wrong with the reducer, each as it is found; and the first of it again, with less."""
        faults = Faults(self._servers, store, mutation=self._again.mutation)
        first = None
        try:
            for record in faults.found():
                if record["type"] == "fault":
                    self._found_wrong(self._reducer)
                    self._faults_found += 1
                    first = first or record
                yield record
        except TimeUp:
            if not first:
                raise
            self._lack(f"time ran out before the reducer was fully examined: {MORE}")
        self._probed = faults.seen
        self._uncovered += faults.uncovered
        for lack in faults.lacks:
            self._lack(lack)
        if first:
            shrinking = Shrinking(self._servers, store, self._options, self._again.folder)
            smallest = Smallest(self._options)
            with suppress(TimeUp):
                smallest = shrinking.of_fault(first, mutation=self._again.mutation)
            yield self._again.record(smallest)

    def _unlike(self, record: Record, part: int, level: Durability) -> Record:
        """A run that was left alone is not what the log folds to."""
        found = (record.get("differences") or [{}])[0]
        why = record.get("reason") or found.get("reason") or "it is another state"
        store = self._parts[part].store(level)
        return {
            "type": "failure",
            "kind": "fold",
            "seed": None,
            "id": record["id"],
            "differs": f"even without a crash, the run is not what the log folds to: {why}",
            "changes": found.get("changes", []),
            **self._place(part),
            **cause(self._servers, store, record["id"], found.get("step")),
        }

    def _place(self, part: int) -> Record:
        """Of a failure: in which part of the log it is, if that was not crashed as a whole."""
        return {"part": self._sample[part].record()} if self._sample else {}

    def _crash(self, seeds: int, only: Plan | int | None) -> Iterator[Record]:
        """Live the lives, as far as there is time, until one fails, and tell of them."""
        wholes = [lives.whole for lives in self._parts]
        if isinstance(only, int):
            todo = [at_random(wholes, only)]
        elif only:
            todo = [Life(kind_of(only), str(only), only, part) for part in range(len(wholes))]
        else:
            todo = list(planned(wholes, seeds))
        self._tally.plan(todo)
        failed = None
        with suppress(TimeUp):
            failed = self._live(todo)
        yield from self._tally.records()
        if failed:
            yield from self._failure(*failed)
        else:
            self._look_for_gaps(only)

    def _live(self, todo: Sequence[Life]) -> tuple[Life, Record] | None:
        for life in todo:
            self._servers.check()
            lived = self._parts[life.part].live(life.plan)
            self._tally.count(life, lived)
            if self._told:
                self._told(1, len(todo))
            if lived.wrong:
                self._found_wrong(self._parts[life.part].unchanged)
                return life, lived.wrong
        return None

    def _found_wrong(self, unchanged: Unchanged) -> None:
        """Something is wrong. Raises Rewritten when what was read is not what it was."""
        unchanged.check()
        self.wrong = True

    def _look_for_gaps(self, only: Plan | int | None) -> None:
        """Note what was not crashed."""
        counts, kinds = self._tally.total(), ", ".join(self._tally.missing)
        if isinstance(only, Plan) and counts["unstruck"] and not counts["survived"]:
            wholes = [lives.whole[only.durability] for lives in self._parts]
            commits, calls = max(one.commits for one in wholes), max(one.calls for one in wholes)
            self._lack(
                f"nothing was killed: {only} is not a moment of this run, which has {number(commits, 'commit')}"
                f" and {number(calls, 'call')}, counted from 0"
            )
        elif kinds and counts["lives"] < counts["planned"]:
            self._lack(
                f"time ran out before these kinds of crash happened even once: {kinds}; {MORE}"
            )
        elif kinds:
            self._lack(f"these kinds of crash never happened as planned: {kinds}")
        elif left := counts["planned"] - counts["lives"]:
            self._uncovered.append(f"time ran out before {number(left, 'more crash run')}")

    def _failure(self, life: Life, wrong: Record) -> Iterator[Record]:
        kind, seed, plan, part = life
        lives = self._parts[part]
        broken, left = lives.folder / "life.db", self._again.folder / "failed.db"
        remove(left)
        for file in broken.parent.glob(f"{broken.name}*"):
            file.rename(f"{left}{file.name.removeprefix(broken.name)}")
        store, id = lives.store(plan.durability), wrong["id"]
        with suppress(TimeUp):
            wrong |= cause(self._servers, store, id, first_difference(store, left, id))
        place = self._place(part)
        yield {"type": "failure", "kind": kind, "seed": seed, "life": str(plan), **place, **wrong}
        shrinking = Shrinking(self._servers, store, lives.options, self._again.folder)
        smallest = Smallest(lives.options, plan)
        with suppress(TimeUp):
            smallest = shrinking.of_life(lives, plan, id)
        yield self._again.record(smallest)

    def _lack(self, what: str) -> None:
        """Note that so little was done that it proves nothing."""
        self._enough = False
        self._uncovered.append(what)

    def _summary(self) -> Record:
        counts, events = self._tally.total(), self._steps()
        if self._sample and not self._faults_found:
            of = f"{'the first ' if self._beyond else ''}{self._events:,}"
            self._uncovered.append(
                f"{events:,} of {of} events were tested: there was no time for more"
            )
        return {
            "type": "summary",
            "projections": len({id for whole in self._wholes() for id in whole.left}),
            "events": events,
            "of": max(events, self._events),
            "beyond": self._beyond,
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

    def _wholes(self) -> list[Whole]:
        """What a run left of each part, at the first level."""
        return [next(iter(lives.whole.values())) for lives in self._parts if lives.whole]

    def _steps(self) -> int:
        """How many steps the parts have."""
        return sum(left.steps for whole in self._wholes() for left in whole.left.values())
