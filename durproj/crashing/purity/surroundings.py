"""What a reducer may look at besides its state and event, held still: the clock, random numbers, the time
zone, the environment. Only for processes that end afterwards."""

from __future__ import annotations

import copyreg
import datetime as dt
import os
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

TICK_NS = 1000
"""So much later is it whenever the time is asked for, until the next step: what waits for it goes on."""

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_")


class Surroundings:
    """clock: the time at which the reducer is imported, in seconds since 1970; later: how many more it is
    when its steps are executed. seed: of `random`. zone: as the variable TZ has it (None: this machine's).
    bare: without most of the environment."""

    def __init__(self, *, clock: int, later: int, seed: int, zone: str | None, bare: bool) -> None:
        self._clock, self._later, self._seed = clock, later, seed
        self._zone, self._bare = zone, bare
        self._now_ns = clock * 10**9

    def begin(self) -> None:
        """Make this process's surroundings so."""
        if self._zone is not None:
            os.environ["TZ"] = self._zone
            time.tzset()
        if self._bare:
            for name in set(os.environ) - {*_KEPT}:
                if not name.startswith(_KEPT_PREFIXES):
                    del os.environ[name]
        _replace_clocks(self._tick)
        random.seed(self._seed)

    def again(self, step: str) -> None:
        """A step begins, known by its name: for every one of them it is the same time, and each has random
        numbers of its own, which are the same whenever it is executed."""
        self._now_ns = (self._clock + self._later) * 10**9
        random.seed(f"{self._seed} {step}")

    def _tick(self) -> int:
        self._now_ns += TICK_NS
        return self._now_ns


def _replace_clocks(now_ns: Callable[[], int]) -> None:
    """Let all that tells the time tell it by `now_ns`."""
    told: Any = time
    for name in ("time", "monotonic", "perf_counter"):
        setattr(told, name, lambda: now_ns() / 10**9)
        setattr(told, f"{name}_ns", now_ns)
    for name in ("localtime", "gmtime", "ctime"):
        setattr(told, name, _by_default(getattr(time, name), now_ns))
    asctime, strftime, localtime = time.asctime, time.strftime, time.localtime
    told.asctime = lambda moment=None: asctime(localtime() if moment is None else moment)
    told.strftime = lambda form, moment=None: strftime(
        form, localtime() if moment is None else moment
    )
    days: Any = dt
    days.datetime, days.date = _replaced_types(now_ns)


def _by_default(function: Callable[..., Any], now_ns: Callable[[], int]) -> Callable[..., Any]:
    return lambda seconds=None: function(now_ns() / 10**9 if seconds is None else seconds)


def _replaced_types(now_ns: Callable[[], int]) -> tuple[type, type]:
    """Stand-ins for datetime.datetime and datetime.date, of which the real ones are instances, too."""
    moment: Any = dt.datetime
    day: Any = dt.date

    stand_ins: dict[type, Any] = {}

    class StandIn(type):
        """Of the stand-ins and of the classes that a program derives from them."""

        def __instancecheck__(cls, value: object) -> bool:
            return type.__instancecheck__(stand_ins.get(cls, cls), value)

        def __subclasscheck__(cls, kind: type) -> bool:
            return type.__subclasscheck__(stand_ins.get(cls, cls), kind)

    class Moment(moment, metaclass=StandIn):  # type: ignore[misc]
        def __new__(cls, *args: Any, **how: Any) -> Any:
            # What is made is real, so that whoever asks for the exact type, as JSON encoders do, meets that.
            return moment.__new__(stand_ins.get(cls, cls), *args, **how)

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(now_ns() / 10**9, tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(now_ns() / 10**9, dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    class Day(day, metaclass=StandIn):  # type: ignore[misc]
        def __new__(cls, *args: Any, **how: Any) -> Any:
            return day.__new__(stand_ins.get(cls, cls), *args, **how)

        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(now_ns() / 10**9)

    for stand_in, real in ((Moment, moment), (Day, day)):
        stand_ins[stand_in] = real
        stand_in.__module__, stand_in.__name__ = real.__module__, real.__name__
        stand_in.__qualname__ = real.__qualname__
        # Pickle looks a class up by its name, and finds the stand-in there.
        copyreg.pickle(real, partial(_reduced, stand_in))
    return Moment, Day


def _reduced(stand_in: type, value: Any) -> tuple[Any, ...]:
    return (stand_in, *value.__reduce__()[1:])
