"""Which lives are lived: before and after every commit, and the rest."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from durproj.crashing.killing import Kill, Plan
from durproj.crashing.life import Whole
from durproj.stores.base import Durability

Kind = Literal["before", "after", "twice", "backoff", "race", "random"]

FEW = 8
"""So many lives of the kinds that have no end, for each durability."""

MOST_KILLS = 4


def spread(count: int) -> Iterator[int]:
    """0 … count - 1, the first and the last first, then between them evenly: wherever it breaks off, they
    are from all over."""
    if count:
        yield 0
    if count > 1:
        yield count - 1
    seen = {0, count - 1}
    parts = 2
    while len(seen) < count:
        for part in range(1, parts, 2):
            at = part * (count - 1) // parts
            if at not in seen:
                seen.add(at)
                yield at
        if parts > 2 * count:
            yield from (at for at in range(count) if at not in seen)
            return
        parts *= 2


def planned(whole: dict[Durability, Whole], seeds: int) -> Iterator[tuple[Kind, str, Plan]]:
    """Every life to live, as (kind, its seed, plan), of the kinds in turn, so that wherever it breaks off
    there were some of each."""
    queues: list[Iterator[tuple[Kind, str, Plan]]] = [
        (("random", str(seed), drawn(whole, seed)) for seed in range(1, seeds + 1))
    ]
    for durability, one in whole.items():
        steps = max((left.steps for left in one.left.values()), default=0)
        last = one.commits
        few = list(spread(last))[:FEW]
        queues += [
            _named("before", [Plan(durability, (Kill("before", n),)) for n in spread(last)]),
            _named("after", [Plan(durability, (Kill("after", n),)) for n in spread(last)]),
            _named("twice", [
                Plan(durability, (Kill("after", n), Kill("after", (last - n) // 3))) for n in few
            ]),
            _named("backoff", [
                Plan(durability, (Kill("backoff", n), Kill("backoff", n))) for n in list(spread(steps))[:FEW]
            ]),
            _named("race", [
                Plan(durability, (Kill("before", n), Kill("after", last - 1 - n)), race=True) for n in few
            ]),
        ]  # fmt: skip
    while queues:
        for queue in list(queues):
            found = next(queue, None)
            if found is None:
                queues.remove(queue)
            else:
                yield found


def _named(kind: Kind, plans: Sequence[Plan]) -> Iterator[tuple[Kind, str, Plan]]:
    return ((kind, str(plan), plan) for plan in plans)


def drawn(whole: dict[Durability, Whole], seed: int) -> Plan:
    """The life of a seed: up to MOST_KILLS kills at instants that are drawn, some of them in a race."""
    rng = random.Random(f"life {seed}")  # noqa: S311  it has to be the same again
    durability = rng.choice(list(whole))
    one = whole[durability]
    kills = []
    left = 1.0
    for _ in range(rng.randint(1, MOST_KILLS)):
        at: Any = rng.choice(("call", "call", "before", "after"))
        total = one.calls if at == "call" else one.commits
        kills.append(Kill(at, int(rng.random() * total * left)))
        left *= 0.7
    return Plan(durability, tuple(kills), race=rng.random() < 0.2)


def kind_of(plan: Plan) -> Kind:
    """The kind of a life that was asked for by what it is."""
    if plan.race:
        return "race"
    ats = {kill.at for kill in plan.kills}
    if len(plan.kills) > 1 and ats <= {"before", "after"}:
        return "twice"
    at, *others = ats
    return "random" if others or at == "call" else at
