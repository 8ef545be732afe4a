"""`crashtest`: whether a log and its reducer survive crashes, wherever they strike."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self, get_args

from durproj.crashing.faults import Faults
from durproj.crashing.killing import Plan
from durproj.crashing.left import remove
from durproj.crashing.life import Lives
from durproj.crashing.plans import Kind, drawn, kind_of, planned
from durproj.crashing.prepared import Answer, raised
from durproj.crashing.servers import Servers, TimeUp
from durproj.crashing.shrinking import Shrinking, Smallest, command_line
from durproj.errors import StoreDamaged, UsageError
from durproj.events.formats.mapping import Mapping
from durproj.events.sequence.order import Order
from durproj.projections.reducer import MISSING, from_function
from durproj.runtime.given import given_initial, given_mapping, given_names, given_selection
from durproj.runtime.observer import Stop
from durproj.runtime.request import SAMPLE, Dedupe, OnBadLine, OnError, check_on_error
from durproj.stores.base import Durability

SEEDS, SECONDS = 20, 60.0
LEVELS: tuple[Durability, ...] = ("step", "batch")
"""Where no durability is asked for: `fsync` differs from `step` only where the power fails."""

Record = dict[str, Any]
Progress = Callable[[int, int], None]
"""Told how many lives more were lived, and of how many in all."""


def crashtest(
    events: str | Path | Sequence[str | Path] | None = None,
    *,
    reducer: str | Any = "account",
    initial: Any = MISSING,
    keys: Sequence[str] | None = None,
    mapping: Mapping | None = None,
    no_key: str | None = None,
    order: Order | None = None,
    dedupe: Dedupe | None = None,
    on_error: OnError = "stop",
    on_bad_line: OnBadLine = "stop",
    strict_types: bool = False,
    durability: Sequence[Durability] = LEVELS,
    seeds: int = SEEDS,
    seed: int | str | None = None,
    seconds: float = SECONDS,
    allow_mutation: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Iterator[Record]:
    """Crash folds of a log wherever they may crash, resume them, and compare what is left with a fold that
    was left alone, and that with a fold of the log without any store.

    events: paths, globs or `-`, which is copied first; None: the packaged sample. reducer: what `--reducer`
    takes, or a function that another process can import. durability: the levels to crash at. seeds: how
    many lives are drawn at random, besides those that are killed before and after every commit, in back-off,
    twice in a row and with two runners. seed: this life only, and the reducer is not looked into: a number, or
    what a failure named, such as `step:before@3`. seconds: how long it may take; the lives that are left out then are from all over.
    allow_mutation: the reducer may change the state that it is given. The rest is as in `fold`. progress: told of
    lives; stop: ends it.

    The processes are forks, at most two at a time, that end by SIGKILL; their stores are in a temporary
    folder, which is kept when something is wrong.

    Yields a `fault` for whatever is wrong with the reducer (and crashes nothing then); else a record of the
    `crashes` of each kind, a `failure` if there was one, and a `summary` in the end, whose `exit` is 1 unless all
    went well. Raises what a fold of the log raises, and UsageError, Interrupted.
    """
    levels = list(dict.fromkeys(durability))
    if not levels or any(level not in get_args(Durability) for level in levels):
        known = ", ".join(get_args(Durability))
        raise UsageError(f"durability is {list(durability)!r}", f"name some of {known}")
    if seeds < 0 or not seconds > 0:
        raise UsageError(f"{seeds} seeds, {seconds} seconds", "take 0 or more, and more than 0")
    only = None if seed is None else _life_of(str(seed))
    levels = [only.durability] if isinstance(only, Plan) else levels
    check_on_error(on_error, None, on_bad_line)
    options: Answer = {
        "events": _named(events),
        "keys": given_names("keys", keys),
        "reducer": reducer if isinstance(reducer, str) else _reference(reducer),
        "initial": None if initial is MISSING else given_initial(initial),
        "mapping": given_mapping(mapping).to_dict(),
        "no_key": no_key,
        "order": None,
        "dedupe": None,
        **given_selection(order, dedupe),
        "on_error": on_error,
        "on_bad_line": on_bad_line,
        "strict_types": strict_types,
    }
    until = time.monotonic() + seconds
    stop = stop or Stop()
    with ExitStack() as opened:
        folder = Path(mkdtemp(prefix="durproj-crashtest-"))
        kept = opened.enter_context(_Folder(folder))
        options["events"] = [
            _copied(folder, stop) if path == "-" else path for path in options["events"]
        ]
        servers = opened.enter_context(Servers(stop, until))
        job = _Job(servers, folder, options, mutation=not allow_mutation, told=progress)
        yield from job.records(levels, seeds, only)
        kept.keep = job.wrong


class _Folder:
    """The folder of one crash test: removed in the end, unless it is to be kept."""

    def __init__(self, path: Path) -> None:
        self._path, self.keep = path, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.keep:
            shutil.rmtree(self._path, ignore_errors=True)


class _Job:
    """One crash test. wrong: whether anything was."""

    def __init__(
        self,
        servers: Servers,
        folder: Path,
        options: Answer,
        *,
        mutation: bool,
        told: Progress | None,
    ) -> None:
        self._servers, self._folder, self._options = servers, folder, options
        self._mutation, self._told = mutation, told
        self._lives = Lives(servers, folder, options)
        self._counts: dict[Kind, Counter[str]] = {}
        self._complete = True
        self._seen = 0
        self._unsound: list[Record] | None = None
        self.wrong = False

    def records(
        self, levels: Sequence[Durability], seeds: int, only: Plan | int | None
    ) -> Iterator[Record]:
        """All of it."""
        try:
            stores = [self._lives.begin(level) for level in levels]
            self._expect_sound(stores)
            if only is None:
                self._servers.begin()
                yield from self._faults(stores[0])
            elif self._unsound:
                yield self._unlike(self._unsound[0])
        except TimeUp:
            raise UsageError(
                "the time was over before anything could be crashed", "give it more: --seconds"
            ) from None
        failed = None
        if not self.wrong:
            failed = self._crash(seeds, only)
            yield from self._crashes()
        if failed:
            self.wrong = True
            yield self._failure(*failed, stores)
        yield self._summary()

    def _expect_sound(self, stores: Sequence[Path]) -> None:
        """What a run leaves that nobody kills: what the log folds to, with every durability."""
        for number, store in enumerate(stores):
            answer = self._servers.ask(number, act="verify", store=str(store))
            if "error" in answer:
                raise raised(answer["error"])
            self._unsound = answer.get("records") or None
            if self._unsound:
                if self._unsound[0]["status"] == "damaged":
                    raise StoreDamaged(self._unsound[0]["error"])
                return

    def _faults(self, store: Path) -> Iterator[Record]:
        faults = Faults(self._servers, store, mutation=self._mutation)
        found = list(faults.found())
        self._seen = faults.seen
        for fault in found:
            self.wrong = True
            shrinking = Shrinking(self._servers, store, self._options, self._folder)
            smallest = (
                shrinking.of_fault(fault, mutation=self._mutation) if fault is found[0] else None
            )
            yield fault | (self._again(smallest) if smallest else {})
        if not found and self._unsound:
            yield self._unlike(self._unsound[0])

    def _unlike(self, record: Record) -> Record:
        """A run that was left alone is not what the log folds to."""
        self.wrong = True
        found = (record.get("differences") or [{}])[0]
        why = record.get("reason") or found.get("reason") or "it is another state"
        return {
            "type": "failure",
            "kind": "fold",
            "seed": None,
            "id": record["id"],
            "differs": f"a run that nobody kills is not what the log folds to: {why}",
            "changes": found.get("changes", []),
            **self._again(Smallest(self._options)),
        }

    def _crash(self, seeds: int, only: Plan | int | None) -> tuple[Kind, str, Plan, Record] | None:
        """Live the lives, as far as there is time, until one fails: that one, and what is wrong with it."""
        whole = self._lives.whole
        if isinstance(only, int):
            todo = [("random", str(only), drawn(whole, only))]
        elif only:
            todo = [(kind_of(only), str(only), only)]
        else:
            todo = list(planned(whole, seeds))
        for kind, _, _ in todo:
            self._counts.setdefault(kind, Counter())["planned"] += 1  # type: ignore[arg-type]
        try:
            for kind, seed, plan in todo:
                self._servers.check()
                lived = self._lives.live(plan)
                counts = self._counts[kind]  # type: ignore[index]
                counts["lives"] += 1
                counts["kills"] += lived.kills
                counts["survived"] += lived.wrong is None
                if self._told:
                    self._told(1, len(todo))
                if lived.wrong:
                    self._complete = False
                    return kind, seed, plan, lived.wrong  # type: ignore[return-value]
        except TimeUp:
            self._complete = False
        return None

    def _crashes(self) -> Iterator[Record]:
        names = ("planned", "lives", "kills", "survived")
        for kind in get_args(Kind):
            if counts := self._counts.get(kind):
                yield {"type": "crashes", "kind": kind, **{name: counts[name] for name in names}}

    def _failure(
        self, kind: Kind, seed: str, plan: Plan, wrong: Record, stores: Sequence[Path]
    ) -> Record:
        store = stores[list(self._lives.whole).index(plan.durability)]
        broken = self._folder / "life.db"
        left = self._folder / "failed.db"
        if broken.exists():
            remove(left)
            for file in self._folder.glob(f"{broken.name}*"):
                file.rename(f"{left}{file.name.removeprefix(broken.name)}")
        shrinking = Shrinking(self._servers, store, self._options, self._folder)
        try:
            smallest = shrinking.of_life(self._lives, plan, wrong["id"])
        except TimeUp:
            smallest = Smallest(self._options, plan)
        return {
            "type": "failure",
            "kind": kind,
            "seed": seed,
            "life": str(plan),
            **wrong,
            **self._again(smallest),
        }

    def _again(self, smallest: Smallest) -> Record:
        line = command_line(smallest, mutation=self._mutation)
        return {"reproduce": line, "kept": str(self._folder)}

    def _summary(self) -> Record:
        counts = sum(self._counts.values(), Counter())
        whole = next(iter(self._lives.whole.values()))
        return {
            "type": "summary",
            "projections": len(whole.left),
            "events": sum(left.steps for left in whole.left.values()),
            "probed": self._seen,
            "lives": counts["lives"],
            "crashes": counts["kills"],
            "survived": counts["survived"],
            "planned": counts["planned"],
            "complete": self._complete and not self.wrong,
            "exit": int(self.wrong),
        }


def _life_of(seed: str) -> Plan | int:
    """The number of a life that is drawn, or the life that was written out. Raises UsageError."""
    return int(seed) if seed.isascii() and seed.isdecimal() else Plan.parse(seed)


def _named(events: str | Path | Sequence[str | Path] | None) -> list[str]:
    if events is None:
        return [SAMPLE]
    paths = [events] if isinstance(events, str | Path) else events
    return [str(path) for path in paths]


def _reference(reducer: Any) -> str:
    """How another process finds a reducer that is at hand. Raises UsageError when it cannot."""
    found = from_function(reducer)
    if found.program:
        raise UsageError(
            f"{found.ref} is this program's own: no other process can import it",
            "define it in a module, at the top level, and name it: reducer='module:function'",
        )
    return found.ref


def _copied(folder: Path, stop: Stop) -> str:
    """A copy of standard input, which can be read once only."""
    path = folder / "input"
    with path.open("wb") as file, stop.waiting():
        shutil.copyfileobj(sys.stdin.buffer, file)
    return str(path)
