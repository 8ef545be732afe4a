"""The surroundings that steps are executed in, and what is wrong with a reducer to which they matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from durproj.crashing.servers import SEEDS

_DAY_S = 86_400
NOW = 1_780_000_000
"""The time at which steps are executed, in seconds since 1970: 28 May 2026, always, so that it is found again."""

LONG_TICK_NS = 10**9
"""So long does everything take where the clock runs: whoever measures it gets another number."""

CLOCK = "it goes by the clock: at another time it gives another state"
TIME = "take the event's own time: event.time"
MADE_ONCE = "take such values from the event: they are made once, when it is written"


@dataclass(frozen=True)
class Probe:
    """Surroundings that differ in one thing from those of the first execution.

    kind: what matters; asks: whether what is the case; says, advice: what is wrong with a reducer of which it is,
    and what to do. variants: what is changed, in each execution. servers: of Servers, that each is asked of.
    backwards: the last step first. instead: other variants where these cannot be executed.
    """

    kind: str
    asks: str
    says: str
    advice: str
    variants: tuple[dict[str, Any], ...] = ({},)
    servers: tuple[int, ...] = (0,)
    backwards: bool = False
    instead: tuple[dict[str, Any], ...] = ()

    @property
    def executions(self) -> int:
        """How many there are, if nothing differs."""
        return len(self.variants) * len(self.servers)


OUTSIDE = Probe(
    "outside",
    "it gives another state when nothing has changed",
    "it gives another state though nothing has changed that can be held still: it makes ids of its own (uuid,"
    " os.urandom), or goes by the number of the process, by a file, or by something else outside",
    MADE_ONCE,
)
"""The first execution once more. It is made only where another probe found something."""


PROBES = (
    Probe(
        "process",
        "it gives another state in another process",
        "it gives another state in another process, where the clock, the random seed, the hash seed and the"
        " environment are the same: it goes by where things lie in memory, as id() does and the repr of an"
        " object that has none of its own",
        MADE_ONCE,
        servers=(1,),
    ),
    Probe(
        "memory",
        "it remembers other calls",
        "it gives another state when other calls came before: it remembers something outside of the state,"
        " such as a global counter, a cache or a default argument",
        "keep what it has to remember in the state",
        backwards=True,
    ),
    Probe(
        "random",
        "it depends on random numbers",
        "it goes by random numbers",
        "draw them when the event is made, and put them into the event",
        variants=tuple({"seed": seed} for seed in range(1, 6)),
    ),
    Probe(
        "clock",
        "it depends on the clock",
        CLOCK,
        TIME,
        variants=(
            {"clock": NOW - 9_999 * _DAY_S - 4_321, "later": 5_000},
            {"clock": NOW + 8_888 * _DAY_S + 54_321},
            # Half a year, a day, an hour and a minute on, to a weekend in the first days of a month.
            {"clock": NOW + 190 * _DAY_S + 12 * 3600 + 30 * 60 + 30},
            {"tick_ns": LONG_TICK_NS},
        ),
    ),
    Probe(
        "order",
        "it depends on the order of a set",
        "it goes by the order of a set, or by hash(), which are others in every process",
        "sort what comes out of a set: sorted(…), or use a dict or a list",
        servers=tuple(range(2, len(SEEDS))),
    ),
    Probe(
        "zone",
        "it depends on the time zone of the machine",
        "it goes by the time zone of the machine",
        "say which zone is meant: datetime.fromtimestamp(seconds, UTC)",
        variants=({"zone": "XXX-05:45"},),
    ),
    Probe(
        "environment",
        "it depends on environment variables",
        "it goes by environment variables",
        "put what they say into --initial, or into the events",
        variants=({"environment": "without"},),
        instead=({"environment": "other"},),
    ),
)
