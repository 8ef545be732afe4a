"""Cutting the power: all images of a disk that a recorded command wrote to, laid out and judged."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from blake3 import blake3

import durproj
from durproj.history.timeline import Timeline
from durproj.stores.journal import Journal
from durproj.stores.packing import Record
from durproj.stores.sqlite import SqliteStore
from durproj.verification.journal import sound_blocks
from proof.images import Disk, Image
from proof.tracing import Linked, Recorder, Renamed, Unlinked
from proof.trial import MEMORY, Trial

STORE = "durproj.db"

CONTINUED = 60
"""One image of so many is gone on with to the end, unless a judge says another number."""


class Judge(Protocol):
    """Says whether an image is one that may be left."""

    def found(self, folder: Path) -> Any:
        """What is in it. Raises whatever tells that it is no image that may be left."""

    def check(self, found: Any, said: bytes) -> None:
        """Raises AssertionError when something is missing of what was `said` to be there."""

    def go_on(self, folder: Path) -> None:
        """Raises unless what was checked last can be gone on with to the same end."""


AT_NAMES = 8
"""So many times as many images as elsewhere are made where names have just changed: such instants are few."""


@contextmanager
def fast_folder(trial: Trial) -> Iterator[Path]:
    """A folder of the trial's in memory, where there is one: the images are many, and no disk is needed."""
    memory = os.environ.get(MEMORY, "/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else trial.folder
    with tempfile.TemporaryDirectory(dir=parent, prefix="durproj-power-") as folder:
        yield Path(folder)


@dataclass
class Cuts:
    """Cuts of the power in one trial, and how many images were made and judged."""

    trial: Trial
    made: int = 0
    different: int = 0
    calls: int = 0

    def cut(self, recorder: Recorder, judge: Judge, count: int, continued: int = CONTINUED) -> None:
        """Judge about `count` images of the disk that `recorder` wrote to, spread over all its calls; where
        one is drawn, none and all of what waits are two more. What is the same, and has to hold the same, is
        judged once."""
        disk = Disk(recorder.began, recorder.before)
        folder = recorder.folder.with_name("image")
        seen: dict[bytes, Any] = {}
        judged: set[tuple[bytes, bytes]] = set()
        calls = recorder.calls
        weights = [
            AT_NAMES if isinstance(call, Linked | Unlinked | Renamed) else 1 for call in calls
        ]
        due = [0, *(count * weight // (sum(weights) + 1) for weight in accumulate([1, *weights]))]
        for at, call in enumerate([*calls, None]):
            draws = due[at + 1] - due[at]
            for image in disk.images(self.trial.rng, draws) if draws else ():
                self.made += 1
                key = _digest(image), disk.said
                if key in judged:
                    continue
                judged.add(key)
                where = f"{len(judged)}. image, before call {at} of {len(calls)}: {call!r:.80}"
                with self.trial.case(where):
                    new = key[0] not in seen
                    if new:
                        _lay_out(folder, image)
                        seen[key[0]] = judge.found(folder)
                    judge.check(seen[key[0]], disk.said)
                    if new and len(seen) % continued == 1:
                        judge.go_on(folder)
            if call:
                disk.take(call)
        self.calls += len(calls)
        self.different += len(seen)

    def tell(self) -> None:
        """Note what was made."""
        self.trial.note(
            f"{self.made:,} images at {self.calls:,} system calls, {self.different:,} different ones"
        )


def _digest(image: Image) -> bytes:
    hashed = blake3()
    for name in sorted(image):
        content = image[name]
        hashed.update(f"{name} {len(content)}\n".encode())
        hashed.update(content)
    return hashed.digest()


def _lay_out(folder: Path, image: Image) -> None:
    if folder.exists():
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
    else:
        folder.mkdir()
    for name, content in image.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)


class Acknowledged:
    """What runs said on standard output: how many steps of each workflow are recorded, and in which order.
    ended: how many there were when the last of them came to its end."""

    def __init__(self) -> None:
        self.steps: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.order: list[str] = []
        self._read = 0

    def take(self, said: bytes) -> None:
        """Read all that was said so far."""
        end = said.rfind(b"\n") + 1
        for line in said[self._read : end].splitlines():
            record = json.loads(line)
            if record["type"] == "step":
                self._at_least(record["id"], record["step"] + 1)
            elif record["type"] == "projection":
                self._at_least(record["id"], record["steps"])
            elif record["type"] == "summary":
                self.ended = self.steps.copy()
        self._read = end

    def _at_least(self, id: str, count: int) -> None:
        if count > self.steps[id]:
            self.order += [id] * (count - self.steps[id])
            self.steps[id] = count


def checkpoints(store: Path) -> dict[str, list[Record]]:
    """The kept checkpoints of each workflow in `store`, all of which is verified; nothing when there is no
    store, or none yet in the file."""
    try:
        opened = SqliteStore.open_reader(store)
    except durproj.NotFound:
        return {}
    found = {}
    with closing(opened):
        (damage,) = opened._conn.execute("PRAGMA integrity_check").fetchone()
        assert damage == "ok", damage
        runs = {run.no: run for run in opened.runs()}
        for head in opened.heads():
            journal = Journal(opened, head)
            read = sound_blocks(journal, Timeline(journal, runs[head.run]))
            found[head.id] = [record for _, block in read for record in block]
    return found
