"""Where a process is to be killed, and what kills it there: SIGKILL, from within, at that very instant."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple, get_args

from durproj import codec
from durproj.errors import UsageError
from durproj.events.event import Event
from durproj.runtime.observer import Stop
from durproj.runtime.retry import TRANSIENT, Linear
from durproj.stores.base import Durability, Head
from durproj.stores.lock import Lock
from durproj.stores.packing import Record
from durproj.stores.sqlite import SqliteStore

Instant = Literal["before", "after", "call", "backoff"]
"""Before or after a commit; at a call of a function, Python's or C's; waiting after step's failure."""

WAIT_S = 3600.0
BACKOFF = Linear(retries=4, delay_s=WAIT_S, on=TRANSIENT)
"""Where processes are killed in back-off: long enough that a wait that is skipped or begun anew shows, and
each is longer than the one before, so that a budget that begins anew does. Nobody waits: see LaterClock."""
FAILURES_PLANNED = 3

STRUCK = b"struck"
"""What a process says that is killed as planned, and not by something else."""

_PLAN = re.compile(r"(step|fsync|batch):(race:)?([a-z]+@[0-9]{1,9}(?:\+[a-z]+@[0-9]{1,9})*)")
_HOW = "give a number, or what a failure named, such as step:before@3"


class Kill(NamedTuple):
    """One kill: at which commit, call (from 0) or step."""

    at: Instant
    number: int

    def __str__(self) -> str:
        return f"{self.at}@{self.number}"


class Plan(NamedTuple):
    """A life: processes that are killed one after another, and one that is left alone in the end. race: the
    first two begin at the same time."""

    durability: Durability
    kills: tuple[Kill, ...]
    race: bool = False

    @property
    def in_backoff(self) -> int | None:
        """The step in whose back-off all of them are killed, if so."""
        first = self.kills[0]
        alike = first.at == "backoff" and all(kill == first for kill in self.kills)
        return first.number if alike else None

    def __str__(self) -> str:
        kills = "+".join(map(str, self.kills))
        return f"{self.durability}:{'race:' if self.race else ''}{kills}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        """The plan that was written as `text`. Raises UsageError."""
        match = _PLAN.fullmatch(text)
        kills = [each.split("@") for each in match[3].split("+")] if match else []
        if match is None or any(at not in get_args(Instant) for at, _ in kills):
            raise UsageError(f"{text!r} is not a valid --seed", _HOW)
        durability: Any = match[1]
        made: Any = tuple(Kill(at, int(number)) for at, number in kills)  # type: ignore[arg-type]
        return cls(durability, made, race=match[2] is not None)


Reduce = Callable[[Any, Event], Any]


class MortalStore(SqliteStore):
    """A store that counts its commits, and whose process dies before or after one of them. Every step that
    it says is there it writes down, into a file beside it that outlives its process: `+` (recorded) or `=`
    (reached), the number of the step, a blank, the workflow's number."""

    commits = 0
    kill: Kill | None = None
    die: Callable[[], None]

    def __init__(self, conn: Any, path: Path, lock: Lock | None) -> None:
        super().__init__(conn, path, lock)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._acknowledged = os.open(acknowledged(path), flags, 0o600)
        self._waiting: list[str] = []

    def close(self) -> None:
        """Close it."""
        super().close()
        os.close(self._acknowledged)

    def add_row(self, no: int, step: int, record: Record, hash: bytes) -> None:
        """Record a step."""
        super().add_row(no, step, record, hash)
        self._acknowledge(f"+{step} {no}\n")

    def save_head(self, head: Head) -> None:
        """Move a head."""
        super().save_head(head)
        if head.steps:
            self._acknowledge(f"={head.steps - 1} {head.no}\n")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done in it is acknowledged at its end."""
        with super().transaction():
            yield
        self._acknowledge()

    def _acknowledge(self, *lines: str) -> None:
        self._waiting += lines
        if self._waiting and not self._open:
            # What was recorded in a transaction before how far that reached: the head moves first.
            ordered = sorted(self._waiting, key=itemgetter(0))
            os.write(self._acknowledged, "".join(ordered).encode())
            self._waiting = []

    def _write(self, sql: str, values: Sequence[Any] = ()) -> Any:
        # Outside of a transaction every statement is one.
        commits = sql == "COMMIT" or not (self._open or sql.startswith("BEGIN"))
        if not commits:
            return super()._write(sql, values)
        self._die_if("before")
        done = super()._write(sql, values)
        self._die_if("after")
        self.commits += 1
        return done

    def _die_if(self, at: Instant) -> None:
        if self.kill == (at, self.commits):
            self.die()


def noting_executions(store: Path, applied: Callable[..., Reduce]) -> Callable[..., Reduce]:
    """As `applied`, which makes what takes a state over an event; that writes each event down, too, into the
    file where steps are acknowledged: `x`, a step_digest, a blank, its key."""
    file = os.open(
        acknowledged(store), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )

    def noted(*args: Any, **how: Any) -> Reduce:
        reduce = applied(*args, **how)

        def executed(state: Any, event: Event) -> Any:
            digest = step_digest(event.key, event.line).encode()
            os.write(file, b"x%b %b\n" % (digest, codec.encode(event.key)))
            return reduce(state, event)

        return executed

    return noted


class LaterClock:
    """The clock of a process in which it is `seconds` later than it is, and which can be moved on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def time(self) -> float:
        """As `time.time`."""
        return time.time() + self.seconds


class MortalStop(Stop):
    """Nothing stops it; a process that waits for the next attempt at a step dies, if it is to. With a
    clock, that is moved on instead of waiting."""

    def __init__(
        self, kill: Kill | None, die: Callable[[], None], clock: LaterClock | None = None
    ) -> None:
        super().__init__()
        self._die = die if kill is not None and kill.at == "backoff" else None
        self._clock = clock

    def sleep(self, seconds: float) -> None:
        """Wait, or die."""
        if self._die:
            self._die()
        if self._clock:
            self._clock.seconds += max(0.0, seconds)
        else:
            super().sleep(seconds)


def step_digest(key: str, line: bytes) -> str:
    """What an event of a stream is known by."""
    return blake2b(codec.encode(key) + line, digest_size=16).hexdigest()


def acknowledged(store: Path) -> Path:
    """The file in which steps are written down."""
    return Path(f"{store}.acknowledged")


def die(writing: int) -> None:
    """End this process as `kill -9` does, having said there that it was us."""
    os.write(writing, STRUCK)
    os.kill(os.getpid(), signal.SIGKILL)


def counting_calls(kill: Kill | None, act: Callable[[], object], die: Callable[[], None]) -> int:
    """Do `act`, and `die` at its call `kill` if that is one; how many calls there were."""
    count, fatal = -1, kill.number if kill and kill.at == "call" else -1

    def called(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1
            if count == fatal:
                die()

    sys.setprofile(called)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count
