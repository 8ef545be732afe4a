"""Which lives are lived: before and after every commit, and the rest."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from durproj.crashing.lives.killing import Kill, Plan
from durproj.crashing.lives.life import Whole
from durproj.stores.base import Durability

Kind = Literal["before", "after", "twice", "backoff", "race", "random"]

Wholes = Mapping[Durability, Whole]
"""Of one part of a log."""

FEW = 8
"""So many lives of the kinds that have no end, for each durability."""

MOST_KILLS = 4


class Life(NamedTuple):
    """A life to live: its kind, its seed, what is killed, and the number of the part of the log."""

    kind: Kind
    seed: str
    plan: Plan
    part: int


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


def planned(parts: Sequence[Wholes], seeds: int) -> Iterator[Life]:
    """Every life to live: of the kinds in turn, and each kind of the parts in turn, so that wherever it
    breaks off there were some of each from all over."""
    queues: list[Iterator[Life]] = [(at_random(parts, seed) for seed in range(1, seeds + 1))]
    for durability in parts[0]:
        for kind in ("before", "after", "twice", "backoff", "race"):
            begin = len(queues) % len(parts)
            numbers = [*range(begin, len(parts)), *range(begin)]
            queues.append(
                _in_turn([_of_kind(kind, durability, parts[number], number) for number in numbers])
            )
    return _in_turn(queues)


def _in_turn(queues: Sequence[Iterator[Life]]) -> Iterator[Life]:
    while queues:
        found = [(queue, next(queue, None)) for queue in queues]
        yield from (life for _, life in found if life)
        queues = [queue for queue, life in found if life]


def _of_kind(kind: Kind, durability: Durability, wholes: Wholes, part: int) -> Iterator[Life]:
    one = wholes[durability]
    last, steps = one.commits, max((left.steps for left in one.left.values()), default=0)
    all_over = spread(steps if kind == "backoff" else last)
    for n in all_over if kind in ("before", "after") else islice(all_over, FEW):
        kills = {
            "before": (Kill("before", n),),
            "after": (Kill("after", n),),
            "twice": (Kill("after", n), Kill("after", (last - n) // 3)),
            "backoff": (Kill("backoff", n), Kill("backoff", n)),
            "race": (Kill("before", n), Kill("after", last - 1 - n)),
        }[kind]
        plan = Plan(durability, kills, race=kind == "race")
        yield Life(kind, str(plan), plan, part)


def at_random(parts: Sequence[Wholes], seed: int) -> Life:
    """The life of a seed: up to MOST_KILLS kills at instants that are drawn, some of them in a race."""
    rng = random.Random(f"life {seed}")  # noqa: S311  it has to be the same again
    part = seed % len(parts)
    durability = rng.choice(list(parts[part]))
    one = parts[part][durability]
    kills = []
    left = 1.0
    for _ in range(rng.randint(1, MOST_KILLS)):
        at: Any = rng.choice(("call", "call", "before", "after"))
        total = one.calls if at == "call" else one.commits
        kills.append(Kill(at, int(rng.random() * total * left)))
        left *= 0.7
    plan = Plan(durability, tuple(kills), race=rng.random() < 0.2)
    return Life("random", str(seed), plan, part)


def kind_of(plan: Plan) -> Kind:
    """The kind of a life that was asked for by what it is."""
    if plan.race:
        return "race"
    ats = {kill.at for kill in plan.kills}
    if len(plan.kills) > 1 and ats <= {"before", "after"}:
        return "twice"
    at, *others = ats
    return "random" if others or at == "call" else at
