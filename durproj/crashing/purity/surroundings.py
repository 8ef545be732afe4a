"""What a reducer may look at besides its state and event, held still: the clock, random numbers, the time
zone, the environment. Only for processes that end afterwards."""

from __future__ import annotations

import ctypes
import datetime as dt
import gc
import os
import random
import selectors
import time
from collections.abc import Callable
from typing import Any, Literal

TICK_NS = 1000
"""So much later is it whenever the time is asked for, until the next step."""
TICKS, DOUBLINGS = 64, 20
"""After so many times it is twice as much each time, so often: what asks until a time has come goes on."""

Environment = Literal["kept", "without", "other"]
"""Of most variables: as they are, without them, or with other values."""
_KEPT = ("PATH", "HOME", "TMPDIR", "TZ", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_")


class Surroundings:
    """clock: the time at which the reducer is imported, in seconds since 1970 (None: the real clock, which is
    not held); later: how many more it is when its steps are executed; tick_ns: how much later it is at least
    whenever it is asked for. seed: of `random`. zone: as the variable TZ has it (None: this machine's)."""

    def __init__(
        self,
        *,
        clock: int | None,
        later: int,
        tick_ns: int,
        seed: int,
        zone: str | None,
        environment: Environment,
    ) -> None:
        self._clock, self._later, self._tick_ns = clock, later, tick_ns
        self._seed, self._zone, self._environment = seed, zone, environment
        self._now_ns = (clock or 0) * 10**9
        self._asked = 0

    def begin(self) -> None:
        """Make this process's surroundings so."""
        if self._zone is not None:
            os.environ["TZ"] = self._zone
            time.tzset()
        if self._environment != "kept":
            for name in set(os.environ) - {*_KEPT}:
                if not name.startswith(_KEPT_PREFIXES):
                    value = os.environ.pop(name)
                    if self._environment == "other":
                        os.environ[name] = f"{value}1"  # of a number, another one
        if self._clock is not None:
            _replace_clocks(self._tick)
            _replace_methods(self._tick)
            _replace_waits(self._waited)
        random.seed(self._seed)

    def again(self, step: str) -> None:
        """A step begins, known by its name: for every one of them it is the same time, and each has random
        numbers of its own, which are the same whenever it is executed."""
        self._now_ns = ((self._clock or 0) + self._later) * 10**9
        self._asked = 0
        random.seed(f"{self._seed} {step}")

    def _tick(self) -> int:
        self._now_ns += max(self._tick_ns, TICK_NS << min(self._asked // TICKS, DOUBLINGS))
        self._asked += 1
        return self._now_ns

    def _waited(self, seconds: float) -> None:
        self._now_ns += int(seconds * 10**9)


def _replace_clocks(now_ns: Callable[[], int]) -> None:
    """Let all that tells the time tell it by `now_ns`."""
    told: Any = time
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(told, name, lambda: now_ns() / 10**9)
        setattr(told, f"{name}_ns", now_ns)
    told.clock_gettime = lambda _: now_ns() / 10**9
    told.clock_gettime_ns = lambda _: now_ns()
    for name in ("localtime", "gmtime", "ctime"):
        setattr(told, name, _by_default(getattr(time, name), now_ns))
    asctime, strftime, localtime = time.asctime, time.strftime, time.localtime
    told.asctime = lambda moment=None: asctime(localtime() if moment is None else moment)
    told.strftime = lambda form, moment=None: strftime(
        form, localtime() if moment is None else moment
    )


def _replace_methods(now_ns: Callable[[], int]) -> None:
    """Let datetime.datetime and datetime.date tell the time by `now_ns`. They stay the types that they are:
    programs and libraries ask for just these, and not for classes derived from them."""

    def now(cls: type[dt.datetime], tz: dt.tzinfo | None = None) -> dt.datetime:
        return cls.fromtimestamp(now_ns() / 10**9, tz)

    def utcnow(cls: type[dt.datetime]) -> dt.datetime:
        return cls.fromtimestamp(now_ns() / 10**9, dt.UTC).replace(tzinfo=None)

    def today(cls: type[dt.date]) -> dt.date:
        return cls.fromtimestamp(now_ns() / 10**9)

    methods: dict[type, tuple[Callable[..., Any], ...]] = {
        dt.datetime: (now, utcnow),
        dt.date: (today,),
    }
    for kind, replaced in methods.items():
        # They are written in C, and take no new attributes: only the table that they are looked up in does.
        (table,) = gc.get_referents(vars(kind))
        table |= {method.__name__: classmethod(method) for method in replaced}
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _replace_waits(waited: Callable[[float], None]) -> None:
    """Let the clock that is held go on by what is waited: event loops ask it whether they have."""
    told: Any = time
    sleep = time.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        waited(seconds)

    told.sleep = slept
    for kind in vars(selectors).values():
        if isinstance(kind, type) and issubclass(kind, selectors.BaseSelector):
            own: Any = kind
            if "select" in vars(own):
                own.select = _selecting(own.select, waited)


def _selecting(select: Callable[..., Any], waited: Callable[[float], None]) -> Callable[..., Any]:
    def selected(selector: Any, timeout: float | None = None) -> Any:
        ready = select(selector, timeout)
        if not ready and timeout is not None and timeout > 0:
            waited(timeout)
        return ready

    return selected


def _by_default(function: Callable[..., Any], now_ns: Callable[[], int]) -> Callable[..., Any]:
    return lambda seconds=None: function(now_ns() / 10**9 if seconds is None else seconds)
