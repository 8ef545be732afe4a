"""Proofs in processes of their own, so many at a time, each of which answers with its row of the table.

`python -m proof.rows FAULT SEED COUNT FOLDER` is such a process: it leaves its row in FOLDER.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Self

import pytest

from proof.proofs import PROOFS
from proof.trial import MEMORY, Proof

TESTS = Path(__file__).resolve().parents[1]

SHARED_MEMORY = Path("/dev/shm")


TICK_S = 1.0
"""So often, in seconds, it is told what is at work."""


def rows(
    asked: Sequence[tuple[Proof, int]],
    seed: str,
    jobs: int,
    told: Callable[[Sequence[str]], None] = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """The row of each of these proofs with its count, as they end; meanwhile `told` is given the names of those
    that are at work. Whatever ends this early ends their processes, and nothing of theirs is left."""
    # The long ones first: the last to end is then a short one.
    order = sorted(asked, key=lambda each: -each[0].case_ms * each[1])
    with _folders() as env, _Processes(env) as processes, ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(processes.row, *each, seed) for each in order}
        try:
            while waiting:
                done, waiting = wait(waiting, TICK_S, FIRST_COMPLETED)
                yield from (each.result() for each in done)
                told(processes.at_work)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end()
            raise


@contextmanager
def _folders() -> Iterator[dict[str, str]]:
    """Folders for all that is laid down meanwhile, removed afterwards: as variables of the environment."""
    with ExitStack() as stack:
        places = {"TMPDIR": tempfile.gettempdir()}
        if os.access(SHARED_MEMORY, os.W_OK):
            places[MEMORY] = str(SHARED_MEMORY)
        yield {
            name: stack.enter_context(
                tempfile.TemporaryDirectory(dir=place, prefix="durproj-proof-")
            )
            for name, place in places.items()
        }


class _Processes:
    """The processes that prove, each the leader of a group: whatever they started ends with them."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env, self._folder = {**os.environ, **env}, Path(env["TMPDIR"])
        self._lock, self._ended = Lock(), False
        self.at_work: list[str] = []
        self._running: set[subprocess.Popen[bytes]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def row(self, proof: Proof, count: int, seed: str) -> dict[str, Any]:
        """What came of `proof`, once its process has ended."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        began = time.monotonic()
        self.at_work.append(proof.fault)
        code = self._run([proof.fault, seed, str(count), str(folder)])
        self.at_work.remove(proof.fault)
        try:
            row = json.loads((folder / "row.json").read_bytes())
        except FileNotFoundError:
            row = _row(proof, faults=[f"its process ended with {code}"], broke_off=True)
        shutil.rmtree(folder, ignore_errors=True)
        return row | {"seconds": round(time.monotonic() - began, 1)}

    def _run(self, args: list[str]) -> int:
        with self._lock:
            if self._ended:
                return -signal.SIGKILL
            process = subprocess.Popen(
                [sys.executable, "-m", "proof.rows", *args],
                cwd=TESTS, env=self._env, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            self._running.add(process)
        # While it is not waited for, its number and that of its group are its own.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._running.discard(process)
            _kill_group(process.pid)
        return process.wait()

    def end(self) -> None:
        """Kill them all; no other begins."""
        with self._lock:
            self._ended = True
            for process in self._running:
                _kill_group(process.pid)


def _kill_group(number: int) -> None:
    """Kill a group of processes, the leader of which is not waited for yet; they are gone then."""
    os.killpg(number, signal.SIGKILL)
    while any(_is_alive_in(number, process) for process in Path("/proc").glob("[0-9]*")):
        time.sleep(0.01)


def _is_alive_in(group: int, process: Path) -> bool:
    try:
        state, _, its_group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:  # it has ended
        return False
    return int(its_group) == group and state not in "ZX"


def _row(proof: Proof, **found: Any) -> dict[str, Any]:
    nothing = {
        "cases": 0,
        "lost": 0,
        "judged": 0,
        "case_ms": 0.0,
        "notes": [],
        "faults": [],
        "broke_off": False,
        "not_run": "",
    }
    told = {"fault": proof.fault, "promises": proof.promises, "control": bool(proof.control)}
    return {**told, **nothing, **found}


def prove(fault: str, seed: str, count: int, folder: Path) -> dict[str, Any]:
    """Run the proof of `fault` here: its row."""
    proof = next(each for each in PROOFS if each.fault == fault)
    began = _cpu_s()
    try:
        trial = proof.run(seed, count, folder)
    except pytest.skip.Exception as skipped:
        return _row(proof, not_run=str(skipped))
    return _row(
        proof,
        cases=trial.cases,
        lost=trial.lost,
        judged=trial.judged,
        broke_off=trial.broke_off,
        notes=trial.notes,
        faults=proof.faults(trial),
        case_ms=round(1e3 * (_cpu_s() - began) / count, 1),
    )


def _cpu_s() -> float:
    """Seconds for which this process and those it has waited for kept a core busy."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    row = prove(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    (Path(sys.argv[4]) / "row.json").write_text(json.dumps(row))
