"""Disks that are full for real: a small tmpfs under the store, what is spooled, copied or exported, and the
temporary folder; a limit on the size of files; an output that takes nothing.

The command says so and leaves with 74; once there is room, going on ends where it would have ended.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dying
from conftest import environment

import durproj
from proof.cuts import STORE, checkpoints
from proof.mounts import mounting
from proof.power import REDUCER
from proof.trial import Proof, Trial

EVENTS = [(f"u{value % 2}", value) for value in range(120)]

PAD = 4_000

FULL = """
mount -t tmpfs -o size="$1"k tmpfs disk || exit 99
shift
cp begun/* disk 2>/dev/null
(cd "$IN" && ulimit -f "$LARGEST" && "$@") < input > "$OUT" 2> err
echo $? > code
mount -o remount,size=64m disk
(cd disk && "$PYTHON" -m durproj run $EVENTS --reducer ../trail.py:trail -q) < "$AGAIN" > /dev/null 2> err-after
echo $? > code-after
cp -r disk after
"""


@dataclass(frozen=True)
class Room:
    """What is run where there is no room. events: what the fold reads; begun: whether it is folded
    before; kilobytes: from how many up to how many the disk has, beyond the store. elsewhere: the store is
    not on it. largest: how large a file may become, in kilobytes; out: where results go."""

    args: tuple[str, ...]
    events: str = "../log.jsonl"
    begun: bool = False
    kilobytes: tuple[int, int] = (60, 600)
    elsewhere: bool = False
    largest: tuple[int, int] | None = None
    out: str = "out"


AMPLE = (8_000, 8_000)

FOLD = ("--reducer", "../trail.py:trail", "-q", "--durability")
ROOMS = (
    Room(("run", "../log.jsonl", *FOLD, "step")),
    Room(("run", "../log.jsonl", *FOLD, "fsync")),
    Room(("run", "../log.jsonl", *FOLD, "batch"), kilobytes=(30, 150)),
    Room(("run", "-", *FOLD, "step"), events="-"),
    Room(("run", "-", *FOLD, "fsync"), events="-"),
    Room(("run", "-", "--follow", *FOLD, "step"), events="- --follow"),
    Room(("backup", "copy.db"), begun=True, kilobytes=(4, 60)),
    Room(("gc", "--vacuum"), begun=True, kilobytes=(0, 40)),
    Room(("rewind", "projection/u1#3"), begun=True, kilobytes=(0, 20)),
    Room(("export", "--to", "out.csv", "--force"), begun=True, kilobytes=(0, 8)),
    Room(("report", "projection/u1", "--output", "out.html"), begun=True, kilobytes=(0, 8)),
    # A limit on the size of files.
    Room(("run", "../log.jsonl", *FOLD, "step"), kilobytes=AMPLE, largest=(30, 500)),
    Room(("run", "../log.jsonl", *FOLD, "fsync"), kilobytes=AMPLE, largest=(30, 500)),
    Room(("run", "-", *FOLD, "batch"), events="-", kilobytes=AMPLE, largest=(1, 60)),
    # An output that takes nothing.
    Room(("run", "../log.jsonl", *FOLD[:2], "-v", "--json"), kilobytes=AMPLE, out="/dev/full"),
    Room(("log", "projection/u1"), begun=True, kilobytes=AMPLE, out="/dev/full"),
    Room(("export",), begun=True, kilobytes=AMPLE, out="/dev/full"),
    # Where the temporary folder is full, and nothing else.
    Room(("verify", "--twice"), begun=True, kilobytes=(0, 8), elsewhere=True),
    Room(
        ("report", "projection/u1", "--output", "out.html"),
        begun=True,
        kilobytes=(0, 8),
        elsewhere=True,
    ),
    Room(("export", "--to", "out.csv", "--force"), begun=True, kilobytes=(0, 8), elsewhere=True),
)


class Filled:
    """A folder in which one command after another meets a full disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        log = folder / "log.jsonl"
        dying.write(log, EVENTS)
        (folder / "trail.py").write_text(f"PAD = {PAD}\n{REDUCER}")
        (folder / "whole").mkdir()
        self.store = folder / "whole" / STORE
        durproj.fold(str(log), reducer=f"{folder}/trail.py:trail", store=self.store)
        self._expected = checkpoints(self.store)

    def fill(self, room: Room, kilobytes: int, largest: int) -> int:
        """Let `room.args` meet a disk with so much room, and files of at most `largest` kilobytes (0: of any
        size): its exit code. Raises AssertionError when that is
        not borne."""
        folder = self._folder
        for name in ("disk", "begun", "after"):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / "disk").mkdir()
        (folder / "begun").mkdir()
        if room.begun and not room.elsewhere:
            shutil.copy(self.store, folder / "begun")
            kilobytes += self.store.stat().st_size // 1024 + 8
        piped = room.events.startswith("-")
        shutil.copy(folder / "log.jsonl" if piped else os.devnull, folder / "input")
        variables = environment(
            PYTHON=sys.executable,
            EVENTS=room.events,
            # What has been taken out of a followed pipe does not come again.
            AGAIN=os.devnull if "--follow" in room.args else "input",
            IN="whole" if room.elsewhere else "disk",
            OUT=room.out,
            # The shell counts in blocks of 512 bytes.
            LARGEST=str(2 * largest) if largest else "unlimited",
            **({"TMPDIR": str(folder / "disk")} if room.elsewhere else {}),
        )
        shell = ("sh", "-c", FULL, "sh", str(max(4, kilobytes)))
        command = (sys.executable, "-m", "durproj", *room.args)
        done = subprocess.run(
            [*mounting(), *shell, *command],
            cwd=folder,
            env=variables,
            capture_output=True,
            check=False,
        )
        assert not done.returncode, done.stderr.decode()
        code, error = int(self._read("code")), self._read("err")
        assert code in (0, 74), f"exit {code}: {error}"
        assert "Traceback" not in error, error
        assert "bug" not in error, error
        assert bool(error.strip()) >= (code == 74), "not a word"
        if not room.elsewhere:
            assert self._read("code-after").strip() == "0", f"then: {self._read('err-after')}"
            self._check_store(folder / "after" / STORE, whole="--follow" not in room.args)
            self._check_copy(folder / "after" / "copy.db", code)
        return code

    def _check_store(self, store: Path, *, whole: bool) -> None:
        found = checkpoints(store)
        for id, records in self._expected.items():
            there = found.get(id, [])
            assert there == (records if whole else records[: len(there)])

    def _check_copy(self, copy: Path, code: int) -> None:
        assert not copy.exists() or code == 0
        if copy.exists():
            assert checkpoints(copy) == self._expected

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()


def prove_full(trial: Trial) -> None:
    """Each of the commands in turn, with room that is drawn."""
    full = 0
    with trial.scratch() as folder:
        filled = Filled(folder)
        for at in range(trial.count):
            room = ROOMS[(at * 7) % len(ROOMS)]
            kilobytes = trial.rng.randint(*room.kilobytes)
            largest = trial.rng.randint(*room.largest) if room.largest else 0
            what = f"{' '.join(room.args)} > {room.out}: {kilobytes} kB free, files of {largest} kB"
            with trial.case(what):
                full += filled.fill(room, kilobytes, largest) == 74
    trial.note(f"in {full} of {trial.cases} cases there was not enough room")


PROOFS = [Proof("full disks", ("P2", "P3"), prove_full, 6, 200, case_ms=300)]
