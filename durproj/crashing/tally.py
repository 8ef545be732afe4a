"""How many lives of each kind were lived, and which kinds of crash have not struck yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from durproj.crashing.lives.life import Lived
from durproj.crashing.lives.plans import Kind, Life

_NAMES = ("planned", "lives", "kills", "survived", "unstruck")


class Tally:
    """The lives of one crash test. missing: kinds of crash, at a level each, that have not struck as planned."""

    def __init__(self) -> None:
        self._counts: dict[Kind, Counter[str]] = {}
        self.missing: dict[str, None] = {}

    def plan(self, todo: Sequence[Life]) -> None:
        """These are to be lived."""
        for life in todo:
            self._counts.setdefault(life.kind, Counter())["planned"] += 1
            self.missing[_cell(life)] = None

    def count(self, life: Life, lived: Lived) -> None:
        """This one was lived."""
        counts = self._counts[life.kind]
        counts["lives"] += 1
        counts["kills"] += lived.kills
        if lived.wrong is None:
            counts["survived" if lived.kills else "unstruck"] += 1
        drawn = life.seed != str(life.plan)  # its last kills may come too late by chance
        if lived.kills == len(life.plan.kills) or (drawn and lived.kills):
            self.missing.pop(_cell(life), None)

    def total(self) -> Counter[str]:
        """The counts of all kinds together."""
        return sum(self._counts.values(), Counter())

    def records(self) -> Iterator[dict[str, Any]]:
        """A record of each kind."""
        for kind in get_args(Kind):
            if counts := self._counts.get(kind):
                yield {"type": "crashes", "kind": kind, **{name: counts[name] for name in _NAMES}}


def _cell(life: Life) -> str:
    """What is to be struck once: a kind of crash at a level; those at random draw the level, too."""
    return life.kind if life.kind == "random" else f"{life.kind} ({life.plan.durability})"
