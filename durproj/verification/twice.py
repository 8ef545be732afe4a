"""Folding twice, in processes with different hash seeds, to catch a reducer that is not deterministic.

The first process folds the recorded events with the reducer as it is now, into a store of its own. The
last one executes each of these steps two times and compares what the second time gives: so it tells
what depends on the order of a set, on a random number, on what the reducer remembers of earlier calls,
and, as it begins in another second, on the time. Between them come processes with further hash seeds, for
a part of the steps where there are many.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from durproj import codec
from durproj.errors import StoreError
from durproj.runtime.observer import Stop

FOLDING, COMPARING = "1", "2"
"""Fixed seeds: to verify again gives the same answer."""

SAMPLING = "3", "4", "5", "6", "7", "8"
"""Two values in a set come in one order or the other: one further seed overlooks half of the reducers that
go by it, seven overlook one in 128."""

MOST_SAMPLED, FEWEST_SAMPLED = 4_000, 20
"""So many steps are executed with each of these, and at least so many, the first ones, of a workflow that is
among them. Beyond that, a set of two that is the same at every event is overlooked one time out of two."""

Answers = dict[str, dict[str, Any]]


def fold_twice(
    store: Path, ids: Sequence[str], stop: Stop, progress: Callable[[int], None]
) -> Answers:
    """Fold the projections `ids` of `store` twice; by id, what is to be said of each: how many steps were
    `executed` the second time and, unless it was folded to the same, its `difference`, or the `reason` why
    it cannot be. progress: told of steps done.

    Raises StoreError when there is no room for the first fold, Interrupted.
    """
    with TemporaryDirectory(prefix="durproj-") as folder:
        twice = _Twice(store, Path(folder), ids, stop)
        twice.ask("fold", FOLDING, twice.todo, None, progress)
        ended, since = time.time(), time.monotonic()
        for seed in SAMPLING:
            sample, most = _sample(twice.todo)
            twice.ask("compare", seed, sample, most, _untold)
        if twice.todo:
            # Many a time is taken in whole seconds.
            stop.sleep(int(ended) + 1.01 - ended - (time.monotonic() - since))
        twice.ask("compare", COMPARING, twice.todo, None, progress)
        return twice.answers


class _Twice:
    """The work on `ids` of `store` in `folder`. todo: those of which nothing is known yet that ends it."""

    def __init__(self, store: Path, folder: Path, ids: Sequence[str], stop: Stop) -> None:
        self._folder, self._stop = folder, stop
        self._task = {
            "store": str(store.absolute()),
            "into": str(folder / "first.db"),
            "path": [os.path.abspath(entry) for entry in sys.path],
        }
        self.todo = list(ids)
        self.answers: Answers = {}

    def ask(
        self,
        mode: str,
        seed: str,
        ids: list[str],
        most: int | None,
        progress: Callable[[int], None],
    ) -> None:
        """Let a process with this hash seed do the task `mode` on `ids`, and take in what it says."""
        if not ids:
            return
        asked = self._folder / "task.json"
        asked.write_bytes(codec.encode({**self._task, "mode": mode, "ids": ids, "most": most}))
        answers, end = _ask(asked, seed, self._stop, progress)
        if end:
            reason = f"the process that folded it ended {end}"
            # What was folded the first time is lost with the process.
            lost = ids if mode == "fold" else [id for id in ids if id not in answers]
            answers |= {id: {"reason": reason} for id in lost}
        self.answers |= answers
        over = {
            id for id, answer in answers.items() if "reason" in answer or "difference" in answer
        }
        self.todo = [id for id in self.todo if id not in over]


def _sample(ids: list[str]) -> tuple[list[str], int]:
    """Some of `ids`, from all over, and of how many steps of each the seeds are tried."""
    most = max(FEWEST_SAMPLED, MOST_SAMPLED // max(1, len(ids)))
    return ids[:: -(-len(ids) * most // MOST_SAMPLED) or 1], most


def _untold(_steps: int) -> None:
    """What is done to a part only is no progress."""


def _ask(task: Path, seed: str, stop: Stop, progress: Callable[[int], None]) -> tuple[Answers, str]:
    """What a process answers, by id, and how it ended, if badly."""
    answers: Answers = {}
    at = ""
    with _process(task, seed) as process:
        assert process.stdout
        while True:
            with stop.waiting():
                line = process.stdout.readline()
            if not line:
                break
            answer = codec.decode(line)
            if "error" in answer:
                raise StoreError(answer["error"], answer["hint"])
            progress(answer["steps"])
            at = answer["id"]
            if "done" in answer:
                answers[at] = answer["done"]
        code = process.wait()
    if not code:
        return answers, ""
    return (
        answers,
        f"with signal {-code}, at {at}" if code < 0 else f"with exit code {code}, at {at}",
    )


@contextmanager
def _process(task: Path, seed: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "durproj.verification.again", str(task)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(_importable())},
        # A ^C is for the one who asks, who sees to it that both end.
        process_group=0,
    )
    try:
        yield process
    finally:
        with suppress(OSError):
            process.kill()
        process.communicate()


def _importable() -> list[str]:
    """Where durproj itself is found, before the places that the task names are looked in."""
    own = str(Path(__file__).parents[2])
    return [own, *filter(None, [os.environ.get("PYTHONPATH")])]
