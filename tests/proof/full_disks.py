"""Disks that are full for real: a small tmpfs under the store, what is spooled, copied or exported, and the
temporary folder; a limit on the size of files; an output that takes nothing.

The command says so and leaves with 74, and what it has acknowledged is there, or it is done; once there is
room, `resume` executes what is missing, and going on ends where it would have ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import dying
from conftest import environment

import durproj
from proof.children import command
from proof.cuts import STORE, Acknowledged, checkpoints
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
cp -r disk left
mount -o remount,size=64m disk
(cd disk && "$PYTHON" -m durproj resume --json) < /dev/null > resumed 2> err-resumed
echo $? > code-resumed
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

FOLD = ("--reducer", "../trail.py:trail", "-v", "--json", "--durability")
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
    Room(("run", "-", *FOLD[:2], "-q"), events="-", kilobytes=AMPLE, largest=(1, 60)),
    # An output that takes nothing.
    Room(("run", "../log.jsonl", *FOLD, "step"), kilobytes=AMPLE, out="/dev/full"),
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
        self._made: dict[tuple[str, ...], dict[str, bytes]] = {}

    def fill(self, room: Room, kilobytes: int, largest: int) -> int:
        """Let `room.args` meet a disk with so much room, and files of at most `largest` kilobytes (0: of any
        size): its exit code. Raises AssertionError when that is
        not borne."""
        folder = self._folder
        for name in ("disk", "begun", "left", "after"):
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
        assert code in ((74,) if room.out == "/dev/full" else (0, 74)), f"exit {code}: {error}"
        assert "Traceback" not in error, error
        assert "bug" not in error, error
        assert bool(error.strip()) >= (code == 74), "not a word"
        self._check_made(room, code)
        if room.elsewhere:
            assert checkpoints(self.store) == self._expected
            assert not os.listdir(folder / "left"), "something is left in the temporary folder"
        else:
            held = self._check_left(room, code)
            self._check_resumed(held, followed="--follow" in room.args)
            assert self._read("code-after").strip() == "0", f"then: {self._read('err-after')}"
            self._check_store(folder / "after" / STORE, whole="--follow" not in room.args)
        return code

    def _check_left(self, room: Room, code: int) -> dict[str, int]:
        """What is left by the command, before anything else is done: how many steps of each stream."""
        held = self._check_store(self._folder / "left" / STORE, whole=False)
        every = {id: len(records) for id, records in self._expected.items()}
        if not room.begun:
            said = Acknowledged()
            if room.out == "out":
                said.take((self._folder / "out").read_bytes())
                self._check_summary(sum(held.values()))
            for id, steps in said.steps.items():
                assert held.get(id, 0) >= steps, f"{id}: {steps} were acknowledged, not {held}"
            assert code or held == every, f"it says that it is done, and there are {held}"
        elif room.args[0] == "rewind":
            assert held in ([every] if code else []) + [every | {"projection/u1": 4}]
        else:
            assert held == every
        return held

    def _check_summary(self, held: int) -> None:
        """What the command counted at its end is what was kept."""
        for record in map(json.loads, self._read("out").splitlines()):
            if record["type"] == "summary":
                assert record["executed"] == held, f"{held} are there: {record}"

    def _check_resumed(self, held: dict[str, int], *, followed: bool) -> None:
        """With room again, `resume` executes what is missing, and nothing else."""
        code = int(self._read("code-resumed"))
        if code:
            assert code in (2, 66), self._read("err-resumed")
            assert code == 66 or not held, "what was folded cannot be gone on with"
            return
        for record in map(json.loads, self._read("resumed").splitlines()):
            if record["type"] == "projection":
                id, missing = record["id"], len(self._expected[record["id"]])
                missing -= held.get(id, 0)
                assert record["cached"] == held.get(id, 0), record
                assert record["executed"] == missing or followed, record

    def _check_store(self, store: Path, *, whole: bool) -> dict[str, int]:
        found = checkpoints(store)
        assert found.keys() <= self._expected.keys()
        for id, records in self._expected.items():
            there = found.get(id, [])
            assert there == (records if whole else records[: len(there)])
        return {id: len(records) for id, records in found.items()}

    def _check_made(self, room: Room, code: int) -> None:
        """The file that was to be made is whole, or not there."""
        there = self._folder / ("whole" if room.elsewhere else "left")
        if room.args[0] == "backup":
            copy = there / "copy.db"
            assert copy.exists() == (code == 0)
            assert code or checkpoints(copy) == self._expected
        elif room.out == "out" and room.args[0] in ("export", "report"):
            made = self._made.get(room.args)
            if made is None:
                with tempfile.TemporaryDirectory(dir=self._folder) as ample:
                    shutil.copy(self.store, ample)
                    assert command(room.args, Path(ample)).code == 0
                    made = self._made[room.args] = _files(Path(ample))
            assert _files(there) == ({} if code else made)
            for name in made:
                (there / name).unlink(missing_ok=True)

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()


def _files(folder: Path) -> dict[str, bytes]:
    """What was made in `folder`: all but its store."""
    made = [path for path in folder.iterdir() if not path.name.startswith(STORE)]
    return {path.name: path.read_bytes() for path in made}


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


PROOFS = [Proof("full disks", ("P2", "P3"), prove_full, 6, 200, case_ms=630)]
