"""What rows share: sizes, folders, logs and stores, made when first asked for and kept until the end."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from bench.measure import Program, Usage, run

HERE = os.path.dirname(os.path.abspath(__file__))
DURPROJ = os.path.join(os.path.dirname(sys.executable), "durproj")
OWN = ("own", "settings")
"""Kinds of log whose reducer is one of reducers.py."""

SAMPLE = 8
"""The smallest log, whose runs are all start-up."""


class Shape(NamedTuple):
    """A kind of log, its streams and the events of each of them."""

    streams: int
    events: int
    kind: str = "account"

    @property
    def steps(self) -> int:
        """The number of its lines."""
        return self.streams * self.events


@dataclass(frozen=True)
class Folded:
    """A store after a batch run: the folder it is in, what the run took, its size on disk."""

    folder: str
    usage: Usage
    disk_bytes: int


class Lab:
    """A temporary folder, and the sizes and the number of runs that were asked for."""

    def __init__(self, folder: str, *, runs: int, scale: float, seed: int) -> None:
        self.folder = folder
        self.runs = runs
        self.short_runs = max(runs, 11) if scale == 1 else runs
        self.scale = scale
        self.seed = seed
        # One cache per lab: methods of two labs would share theirs.
        self.log = cache(self._log)
        self.folded = cache(self._folded)
        self.state_bytes = cache(self._state_bytes)
        self.final_state = cache(self._final_state)

    def size(self, number: int) -> int:
        """`number` of events or streams, as the scale has it."""
        return max(SAMPLE, round(number * self.scale))

    def fresh(self) -> str:
        """An empty folder for durproj to run in, the same one each time."""
        return self._emptied("fresh")

    def left_bytes(self) -> int:
        """The size of the store that the last run in `fresh` left."""
        return disk_bytes(os.path.join(self.folder, "fresh"))

    def copy(self, folder: str) -> str:
        """A copy of `folder`, for a run that changes the store in it."""
        return shutil.copytree(folder, self._emptied("copy"), dirs_exist_ok=True)

    def python(self, name: str, *args: object) -> Program:
        """A program of the benchmark's own, run by the interpreter that runs durproj."""
        script = os.path.join(HERE, f"{name}.py")
        return Program([sys.executable, script, *map(str, args)], lambda: self._emptied("beside"))

    def batch(self, shape: Shape) -> Program:
        """A whole run over a log with `--durability batch`, in a new store."""
        return self.fold(shape, "batch")

    def fold(self, shape: Shape, durability: str) -> Program:
        """A whole run over a log, in a new store."""
        return Program(self.fold_args(shape, self.log(shape), durability), self.fresh)

    def fold_args(self, shape: Shape, log: str, durability: str) -> list[str]:
        """The command for it, over the log at `log`; little is printed."""
        streams = ["--user", "u1"] if shape.streams == 1 else ["--key", "userId"]
        args = [DURPROJ, "run", log, *streams, "--durability", durability, "--quiet"]
        if shape.kind in OWN:
            args += ["--reducer", os.path.join(HERE, f"reducers.py:{shape.kind}")]
        return args

    def plain(self, shape: Shape, name: str = "loop") -> Program:
        """The plain loop over the log of `shape`, or another of the baselines that take the same."""
        log = self.log(shape)
        if shape.streams > 1:
            return self.python("baselines", "loop-by-key", log)
        reducer = shape.kind if shape.kind in OWN else "account"
        return self.python("baselines", name, log, "u1", reducer)

    def appended(self, shape: Shape, more: int) -> tuple[str, str]:
        """A folder with a store of `shape`'s log, and this log after `more` events came to it."""
        log = os.path.join(self.folder, f"appended-{shape.steps}.jsonl")
        shutil.copyfile(self.log(shape), log)
        folder = self._emptied(f"before-appending-{shape.steps}")
        run(Program(self.fold_args(shape, log, "batch"), lambda: folder))
        with open(self.log(shape._replace(events=shape.events + more)), "rb") as longer:
            longer.seek(os.path.getsize(log))
            with open(log, "ab") as out:
                shutil.copyfileobj(longer, out)
        return folder, log

    def crashed(self, shape: Shape, at: int) -> str:
        """A folder with the store of a batch run that crashed at event `at`."""
        folder = self._emptied(f"crashed-{shape.steps}")
        args = [*self.fold_args(shape, self.log(shape), "batch"), "--crash", str(at)]
        run(Program(args, lambda: folder, exit_code=3))
        return folder

    @cached_property
    def startup(self) -> list[Usage]:
        """Batch runs of 8 events."""
        small = self.batch(Shape(1, SAMPLE))
        return [run(small) for _ in range(max(self.runs, 5))]

    def _state_bytes(self, shape: Shape) -> float:
        return _printed(self.plain(shape, "sizes"))

    def _final_state(self, shape: Shape) -> dict[str, Any]:
        return _printed(self.plain(shape))

    def _log(self, shape: Shape) -> str:
        path = os.path.join(self.folder, f"{shape.kind}-{shape.streams}x{shape.events}.jsonl")
        kind = "account" if shape.kind == "own" else shape.kind
        run(self.python("logs", kind, path, shape.streams, shape.events, self.seed))
        return path

    def _folded(self, shape: Shape) -> Folded:
        folder = self._emptied(f"folded-{shape.kind}-{shape.streams}x{shape.events}")
        usage = run(Program(self.batch(shape).args, lambda: folder))
        return Folded(folder, usage, disk_bytes(folder))

    def _emptied(self, name: str) -> str:
        path = os.path.join(self.folder, name)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        return path


def _printed(program: Program) -> Any:
    with tempfile.TemporaryFile() as out:
        run(program, out)
        out.seek(0)
        return json.load(out)


def disk_bytes(folder: str) -> int:
    """The size of the files in `folder`."""
    return sum(entry.stat().st_size for entry in os.scandir(folder))
