"""The smallest reproduction of what was found: fewer events, and one kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from durproj.crashing.lives.killing import Instant, Kill, Plan
from durproj.crashing.lives.life import Lives
from durproj.crashing.lives.plans import spread
from durproj.crashing.prepared import Answer
from durproj.crashing.purity.faults import Faults
from durproj.crashing.sample import resolved
from durproj.crashing.servers import Servers, TimeUp
from durproj.errors import DurprojError
from durproj.events.formats.mapping import Layers
from durproj.stores.base import Durability
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

MOST_COMMITS = 12
"""So many commits of a shorter log are tried."""


LONGEST = 100_000
"""An initial state of more bytes is none: a command line could not carry it."""


class Smallest(NamedTuple):
    """Options of `fold` with which it happens still, and the life in which it does, if it takes one; or the level
    at which it does without any."""

    options: Answer
    plan: Plan | None = None
    durability: Durability | None = None


class Shrinking:
    """Looks for less of a log. store: of a run of all of it with `options`; folder: where logs are put."""

    def __init__(self, servers: Servers, store: Path, options: Answer, folder: Path) -> None:
        self._servers, self._store, self._options = servers, store, options
        self._folder = folder
        self._log = folder / "smallest.jsonl"

    def of_fault(self, fault: dict[str, Any], *, mutation: bool) -> Smallest:
        """The least of the log that shows this `fault` of a reducer."""

        def shows(options: Answer) -> Smallest | None:
            lives = Lives(self._servers, self._new_folder(), options)
            found = Faults(self._servers, lives.begin("step"), mutation=mutation)
            same = any(one.get("kind") == fault["kind"] for one in found.found())
            return Smallest(options) if same else None

        return self._tried(fault["id"], fault["step"], shows) or Smallest(self._options)

    def of_life(self, lives: Lives, plan: Plan, id: str | None) -> Smallest:
        """The least of a life, and of the log, in which something goes wrong."""
        singles = [Plan(plan.durability, (kill,)) for kill in plan.kills]
        plan = next((one for one in singles if lives.live(one).wrong), plan)
        whole = Smallest(self._options, plan)

        def shows(options: Answer) -> Smallest | None:
            lives = Lives(self._servers, self._new_folder(), options)
            lives.begin(plan.durability)
            commits = islice(spread(lives.whole[plan.durability].commits), MOST_COMMITS)
            at: Instant = next((kill.at for kill in plan.kills if kill.at != "call"), "after")
            kills: list[Kill] = [Kill(at, n) for n in commits]
            plans = [plan, *(Plan(plan.durability, (kill,)) for kill in kills)]
            found = next((one for one in plans if lives.live(one).wrong), None)
            return Smallest(options, found) if found else None

        id = id or next(iter(lives.whole[plan.durability].left), None)
        return (self._tried(id, None, shows) if id else None) or whole

    def _tried(
        self, id: str, step: int | None, shows: Callable[[Answer], Smallest | None]
    ) -> Smallest | None:
        """The first part of the stream `id` that shows it: the step alone, from the state before it; else as
        few of its first events as do."""
        for lines, initial in self._parts(id, step):
            self._log.write_bytes(b"".join(line + b"\n" for line in lines))
            given = {"initial": initial} if initial else {}
            options = self._options | {"events": [str(self._log)], "keys": None} | given
            options |= {"mapping": as_lines(self._options, self._store)}
            try:
                found = shows(options)
            except TimeUp:
                break
            except DurprojError:
                continue
            if found:
                return found
        self._log.unlink(missing_ok=True)
        return None

    def _parts(self, id: str, step: int | None) -> Iterator[tuple[list[bytes], str | None]]:
        with closing(SqliteStore.open_reader(self._store)) as store:
            journal = Journal.open(store, id)
            if journal is None or not journal.steps:
                return
            last = journal.steps - 1 if step is None else step
            before = journal.read(step - 1).output if step else b""
            if step and len(before) <= LONGEST:
                yield [journal.read(step).input], before.decode()
            count = 1
            while count <= last:
                yield list(islice(journal.inputs(), count)), None
                count *= 2
            yield list(islice(journal.inputs(), last + 1)), None

    def _new_folder(self) -> Path:
        folder = self._folder / "smaller"
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        return folder


def as_lines(options: Answer, store: Path) -> dict[str, str | None]:
    """The mapping that suits what `store` has of a log as JSON lines."""
    asked: dict[str, str | None] = options["mapping"]
    with closing(SqliteStore.open_reader(store)) as opened:
        found = opened.runs()[-1].options["mapping"].get("format")
        return resolved(opened) if Layers.parse(found).container else asked
