"""Folding twice, in two processes with different hash seeds, to catch a reducer that is not deterministic.

The first process folds the recorded events with the reducer as it is now, into a store of its own. The
second one executes each of these steps two times and compares what the second time gives: so it tells
what depends on the order of a set, on a random number, on what the reducer remembers of earlier calls,
and, as it begins in another second, on the time.
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

SEEDS = "1", "2"
"""Fixed ones: to verify again gives the same answer."""


def fold_twice(
    store: Path, ids: Sequence[str], stop: Stop, progress: Callable[[int], None]
) -> dict[str, dict[str, Any]]:
    """Fold the projections `ids` of `store` twice; by id, what is to be said of those that are not folded
    to the same both times: `difference`, or `reason` why they cannot be. progress: told of steps done.

    Raises StoreError when there is no room for the first fold, Interrupted.
    """
    found: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory(prefix="durproj-") as folder:
        task = {
            "store": str(store.absolute()),
            "into": str(Path(folder, "first.db")),
            "path": [os.path.abspath(entry) for entry in sys.path],
        }
        todo = list(ids)
        for mode, seed in zip(("fold", "compare"), SEEDS, strict=True):
            if not todo:
                break
            if mode == "compare":
                _next_second(stop)
            asked = Path(folder, "task.json")
            asked.write_bytes(codec.encode({**task, "mode": mode, "ids": todo}))
            answers, end = _ask(asked, seed, stop, progress)
            found |= {id: answer for id, answer in answers.items() if answer}
            if end:
                reason = f"the process that folded it ended {end}"
                # What was folded the first time is lost with the process.
                lost = todo if mode == "fold" else [id for id in todo if id not in answers]
                found |= {id: {"reason": reason} for id in lost}
            todo = [id for id in todo if id not in found]
    return found


def _ask(
    task: Path, seed: str, stop: Stop, progress: Callable[[int], None]
) -> tuple[dict[str, dict[str, Any]], str]:
    """What a process answers, by id, and how it ended, if badly."""
    answers: dict[str, dict[str, Any]] = {}
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
    import durproj

    own = str(Path(durproj.__file__).parent.parent)
    return [own, *filter(None, [os.environ.get("PYTHONPATH")])]


def _next_second(stop: Stop) -> None:
    """Wait for a second to pass: many a time is taken in whole ones."""
    stop.sleep_until(float(int(time.time()) + 1))
