"""Places that are hard to live in: folders and files that may not be written or not read, read-only mounts, names
behind which there is no file.

What can be read is read, and nothing is changed by that; what cannot be is refused with the documented
code, and a reason.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dying
from conftest import environment

import durproj
from durproj.stores.sqlite import SqliteStore
from proof.cuts import STORE
from proof.mounts import mounting
from proof.trial import Proof, Trial

EVENTS = [(f"u{value % 2}", value) for value in range(20)]

READING = (
    ("inspect", "projection/u1", "--json"),
    ("log", "projection/u1", "--json"),
    ("verify", "--json", "--stable"),
    ("list", "--json"),
)

FOLD = ("run", "../log.jsonl", "--reducer", "counts", "-q")

WRITING = (FOLD, (*FOLD, "--durability", "fsync"))

NO_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Root may do everything; without these it is like others."""


@dataclass(frozen=True)
class Place:
    """How the folder of the store is made hard to live in, and with which code commands end there that read,
    and that write. live: with the WAL of a run that was killed; mounted: on a read-only mount."""

    name: str
    make: Callable[[Path], None]
    reading: int
    writing: int
    live: bool = False
    mounted: bool = False


def chmod(mode: int, name: str = "") -> Callable[[Path], None]:
    return lambda folder: os.chmod(folder / name, mode)


def instead(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """`make` something in the place of the store."""

    def replace(folder: Path) -> None:
        (folder / STORE).unlink()
        make(folder / STORE)

    return replace


def _without_shm(folder: Path) -> None:
    (folder / f"{STORE}-shm").unlink()
    os.chmod(folder, 0o555)


def _socket(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # such names may not be long
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def _two_names(folder: Path) -> None:
    os.link(folder / STORE, folder / "other.db")


def _lock_is_a_folder(folder: Path) -> None:
    (folder / f"{STORE}.lock").mkdir()


PLACES = (
    Place("a folder that may not be written", chmod(0o555), 0, 77),
    Place("the same, with the WAL of a killed run", chmod(0o555), 0, 77, live=True),
    Place("the same, without its -shm", _without_shm, 0, 77, live=True),
    Place("a file that may not be written", chmod(0o444, STORE), 0, 77),
    Place("a file that may not be read", chmod(0o000, STORE), 77, 77),
    Place("a folder that may not be entered", chmod(0o000), 77, 77),
    Place("a read-only mount", lambda _: None, 0, 77, mounted=True),
    Place("the same, with the WAL of a killed run", lambda _: None, 0, 77, live=True, mounted=True),
    Place("a missing folder", shutil.rmtree, 66, 66),
    Place("a link to nowhere", instead(lambda path: path.symlink_to("gone/x.db")), 66, 66),
    Place("a link to itself", instead(lambda path: path.symlink_to(path.name)), 74, 74),
    Place("a folder instead", instead(Path.mkdir), 2, 2),
    Place("a FIFO instead", instead(os.mkfifo), 2, 2),
    Place("a device instead", instead(lambda path: path.symlink_to("/dev/null")), 2, 2),
    Place("a socket instead", instead(_socket), 2, 2),
    Place("two names of one file", _two_names, 2, 2),
    Place("a lock that is a folder", _lock_is_a_folder, 0, 74),
    Place("a lock that may not be opened", lambda folder: os.close(os.open(folder / f"{STORE}.lock", os.O_CREAT, 0o000)), 0, 77),
)  # fmt: skip


class Places:
    """Stores in `folder`, each put into a place of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        log = folder / "log.jsonl"
        dying.write(log, EVENTS)
        (folder / "closed").mkdir()
        durproj.fold(str(log), reducer="counts", store=folder / "closed" / STORE)
        # As a killed run leaves it, some of it in the WAL alone.
        (folder / "live").mkdir()
        (folder / "writing").mkdir()
        store = folder / "writing" / STORE
        shutil.copy(folder / "closed" / STORE, store)
        with closing(SqliteStore.open_writer(store)) as opened:
            run = opened.runs()[0]
            run.complete = False
            opened.save_run(run)
            for end in ("", "-wal", "-shm"):
                shutil.copy(f"{store}{end}", folder / "live")
        self._expected = {command: self._run(folder / "closed", command)[1] for command in READING}

    def meet(self, place: Place, command: tuple[str, ...]) -> None:
        """Run `command` at `place`. Raises AssertionError when it does not end as it should."""
        here = self._folder / "here"
        shutil.copytree(self._folder / ("live" if place.live else "closed"), here)
        try:
            place.make(here)
            before = self._state(here)
            code, out, err = self._run(here, command, mounted=place.mounted)
            wanted = place.reading if command in READING else place.writing
            assert code == wanted, f"exit {code}, not {wanted}: {err}{out}"
            assert "Traceback" not in err, err
            if wanted:
                assert err.startswith("durproj: "), err
            elif command in READING:
                assert out == self._expected[command]
            assert self._state(here) == before, "something was changed"
        finally:
            if here.exists():
                os.chmod(here, 0o755)
                shutil.rmtree(here)

    def _state(self, folder: Path) -> object:
        """All that is in `folder`, byte for byte, but for what readers tell each other in memory."""
        if not folder.exists():
            return None
        return {
            path.name: path.read_bytes() if path.is_file() and not path.is_symlink() else None
            for path in folder.iterdir()
            if not path.name.endswith("-shm")
        }

    def _run(
        self, folder: Path, command: tuple[str, ...], *, mounted: bool = False
    ) -> tuple[int, str, str]:
        # From a folder beside it: not even that of the store need be there.
        aside = self._folder / "aside"
        aside.mkdir(exist_ok=True)
        line = [sys.executable, "-m", "durproj", *command, "--store", str(folder / STORE)]
        if os.geteuid() == 0:
            line = [*NO_OVERRIDE, *line]
        if mounted:
            read_only = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
            line = [*mounting(), "sh", "-c", read_only, str(folder), *line]
        done = subprocess.run(
            line, cwd=aside, env=environment(), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr


def prove_places(trial: Trial) -> None:
    """Each place, with a command that reads and one that writes."""
    mounting()
    with trial.scratch() as folder:
        places = Places(folder)
        cases = [
            (place, command)
            for reading, writing in ((0, 0), (1, 1), (2, 0), (3, 1))
            for place in PLACES
            for command in (READING[reading], WRITING[writing])
        ]
        if trial.count < len(cases):
            cases = trial.rng.sample(cases, trial.count)
        for place, command in cases:
            with trial.case(f"{place.name}: {' '.join(command)}"):
                places.meet(place, command)


PROOFS = [Proof("read-only and odd places", ("P2",), prove_places, 8, 144, case_ms=260)]
