"""Following an input: one fold after another, each over what has come since the last one.

Between folds everything is committed and the run's cursor stands where the input was read up to, so a kill
at any instant leaves at most one fold to be gone over again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from durproj.errors import NotFound, UsageError
from durproj.events.cursor import Cursor
from durproj.events.inputs import is_regular
from durproj.events.live import LiveSource
from durproj.events.pump import Pump
from durproj.events.rotation import begins_with, lies_in, name_of
from durproj.runtime.fold import LogFold
from durproj.runtime.guard import other_input
from durproj.runtime.intake import Intake
from durproj.runtime.observer import Counts, Observer, Stop
from durproj.runtime.proven import counted, held_cursor
from durproj.runtime.request import Request, opened_path, stored_path
from durproj.runtime.setup import Setup
from durproj.stores.base import Store
from durproj.wording import number

POLL_S = 0.1
"""How often a file is looked at."""

QUIET_S = 0.5
"""A file that was rotated away is left when nothing was written to it for so long."""

LONGEST_OF = 100
"""A spool file is named for the keys that were asked for, and by a hash of them when that is longer."""

SETTLED_S = 0.3
"""How long the first lines of a pipe are waited for, once one is there, before they are looked at."""

SPOOL_BYTES = 64 << 20
"""A spool file is begun anew when it has come to this size and everything in it is checkpointed."""


def followed(
    inputs: list[str], name: str, keys: list[str] | None, base: Path, location: str
) -> tuple[list[str], str | None]:
    """The input to be followed, as a run keeps it, and the pipe that has to be spooled to it, if it is
    one: the spool file of a pipe lies beside the store."""
    path = opened_path(inputs[0], base)
    try:
        a_file = is_regular(path)
    except NotFound:  # it may come
        a_file = True
    if a_file:
        return inputs, None
    of = "".join(f"-{key.encode().hex()}" for key in sorted(keys or ()))
    if len(of) > LONGEST_OF:
        of = f"-{blake3(of.encode()).hexdigest(16)}"
    return [stored_path(f"{location}.live-{name}{of}", base)], path


class Follower:
    """Follows the one input of `request`; `pipe` is to be spooled to it. `rotated`: another file has
    taken the input's place since it was read last, and that is right. `begun` is told of the setup.

    counts: what it has come to so far. Raises UsageError for a fold that would park streams.
    """

    def __init__(
        self,
        request: Request,
        store: Store,
        base: Path,
        observer: Observer,
        stop: Stop,
        begun: Callable[[Setup], None],
        *,
        pipe: str | None,
        rotated: bool,
    ) -> None:
        if request.on_error == "park":
            raise UsageError(
                "--follow cannot park streams: their events may be gone when they are retried",
                "skip such events, each a recorded step: --on-error skip",
            )
        if request.order != "file":
            raise UsageError(
                f"--follow takes events as they come, and --order {request.order} needs all of them",
                "leave --order out, or give --order file",
            )
        self.counts = Counts()
        self._request, self._store, self._base = request, store, base
        self._observer, self._stop, self._begun = observer, stop, begun
        self._path = opened_path(request.inputs[0], base)
        self._pipe = pipe
        self._pump = self._pumping(pipe) if pipe else None
        self._rotated = rotated
        self._live = LiveSource(self._path, request.max_line)
        self._leaving = False

    def run(self) -> None:
        """Follow until a signal comes or the pipe ends.

        Raises what LogFold raises; PastChanged also when the input is no longer the one that was read
        before, and nothing tells where the rest of that is.
        """
        try:
            origin = self._open()
            setup = Setup(
                *(self._request, self._store, self._base, self._observer, self._stop),
                source=self._live,
            )
            self._begun(setup)
            self._refuse_parked(setup)
            if origin is not None:
                self._save(setup, self._live.begin(origin))
            while True:
                self._fold(setup)
                self._tell()
                if not self._more(setup):
                    return
        finally:
            self._live.close()
            if self._pump:
                self._pump.close()

    def _pumping(self, pipe: str) -> Pump:
        sync = self._request.durability == "fsync"
        pump = Pump(pipe, self._path, self._stop.waiting, sync=sync)
        if pump.dropped:
            self._observer.note(
                f"the last pipe left {number(pump.dropped, 'byte')} of an unfinished line, now dropped"
            )
        return pump

    def _open(self) -> int | None:
        """Open the file that the run's cursor lies in. The origin at which it is to be begun, None to go
        on at the cursor, or without one to compare from the beginning."""
        request, store = self._request, self._store
        before = None if request.restart else store.find_run(request.name, request.identity())
        recorded = before is not None and store.has_workflows(before.no or 0)
        if before is None or before.cursor is None:
            self._await(line=True)
            if recorded and self._pump:
                raise other_input(request.name, 0)
            # From now on the file is known by its inode. A place in a spool is never 0, which would say
            # that nothing of a stream came before.
            return None if recorded else 1 if self._pump else 0
        start = Cursor.from_dict(before.cursor)
        if self._pump and start.bytes == start.origin:
            # A spool is begun anew only when all of it was taken, so the place lies in what has its name now,
            # on whatever inode or device. Until something is recorded, its lines show how to read it.
            self._await(line=not recorded)
            return start.origin
        found = self._found(start)
        if found and found != self._path:
            self._observer.note(f"{self._path} was rotated: first the rest of {found}")
        self._await(found)
        if found or self._found(start):
            # Nothing has shown what the lines are like, and it may be another thing now.
            return None if recorded or self._pump else start.origin
        # A spool is begun anew as another file, when all that was in it is checkpointed.
        renewed = self._pump is not None and name_of(self._path, start.file) != self._path
        if self._rotated or renewed:
            return start.bytes + 1
        raise other_input(request.name, start.bytes - start.origin)

    def _found(self, start: Cursor) -> str | None:
        """The name of the file in which `start` lies; a spool has one name only."""
        if not self._pump:
            return lies_in(self._path, start)
        return self._path if begins_with(self._path, start) else None

    def _refuse_parked(self, setup: Setup) -> None:
        """Streams that wait would miss what comes and goes meanwhile."""
        held = setup.run.cursor
        if held and (waiting := counted(held).parked):
            raise UsageError(
                f"{number(waiting, 'stream is', 'streams are')} parked, and a followed input does not wait",
                "retry or drop what is parked first: durproj parked list",
            )

    def _await(self, path: str | None = None, *, line: bool = False) -> None:
        """Wait until the file is there; `line`: and a first line in it, which shows how to read it.
        `path`: the name it has now."""
        waiting = False
        while not self._live.open(path) or (line and not self._has_line()):
            if not waiting:
                shown = "standard input" if self._pipe == "-" else self._request.shown_input()
                self._observer.note(f"waiting for {shown}")
            waiting = True
            self._pause()
        # A first line alone shows little of a pipe; what comes with it shows more.
        settled = time.monotonic() + SETTLED_S
        while line and self._pump and not self._leaving and time.monotonic() < settled:
            self._pause()
            self._has_line()

    def _has_line(self) -> bool:
        if self._pump and self._pump.ended:
            self._leave()
        return self._live.arrived() or self._leaving

    def _fold(self, setup: Setup) -> None:
        """Fold what is there."""
        errors = self.counts.skipped
        folding = LogFold(setup, self._store, self._observer, self._stop, errors)
        try:
            folding.run()
        finally:
            self.counts.go_on(folding.counts)
            self._request.onward = True

    def _more(self, setup: Setup) -> bool:
        """Wait until there is more to fold; False when there will be no more."""
        live, pump = self._live, self._pump
        quiet_from = time.monotonic()
        while True:
            if live.cut():
                self._turn(setup, live.turn_back())
            elif live.arrived():
                return True
            elif pump:
                if not self._more_piped(setup, pump):
                    return False
            elif self._leaving:
                self._turn(setup, live.turn())
            elif time.monotonic() - quiet_from > QUIET_S and live.replaced(begun=True):
                self._leave()
            if not live.arrived():
                self._pause()

    def _more_piped(self, setup: Setup, pump: Pump) -> bool:
        """See to the spool, all of whose whole lines are folded; False when there will be no more."""
        live = self._live
        if live.replaced():
            self._turn(setup, live.turn())
        elif pump.ended and not self._leaving:
            self._leave()
        elif pump.ended or (live.behind() == 0 and live.place() > SPOOL_BYTES):
            pump.renew()
            self._turn(setup, live.turn())
            return not pump.ended
        return True

    def _leave(self) -> None:
        """Nothing more will come from the file at hand."""
        self._leaving = True
        self._live.end()

    def _turn(self, setup: Setup, cursor: Cursor | None) -> None:
        """Reading goes on at `cursor`, in another file or from its new beginning; None: not yet."""
        if cursor is None:
            return
        self._leaving = False
        if not self._pump:
            self._observer.note(f"{self._path} was rotated: on with {self._live.paths[0]}")
        self._save(setup, cursor)

    def _save(self, setup: Setup, cursor: Cursor) -> None:
        """Move the run's cursor, before anything is read from there."""
        run = setup.run
        if run.cursor is None:
            run.cursor = Intake(self._request, setup.envelope, None, self._stop.check).held()
            now = Counts()
        else:
            now = counted(run.cursor)
        run.cursor |= held_cursor(cursor, now)
        self._store.save_run(run)

    def _tell(self) -> None:
        self._observer.following(self.counts, self._live.behind())

    def _pause(self) -> None:
        self._tell()
        # What a signal may break off is the wait, not what has been taken out of the pipe.
        if self._pump and not self._pump.ended:
            with self._stop.waiting():
                self._pump.wait(POLL_S)
            self._pump.pull()
        else:
            with self._stop.waiting():
                time.sleep(POLL_S)
