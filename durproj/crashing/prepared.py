"""A process that has durproj loaded, and nothing of the reducer's: `python -m durproj.crashing.prepared`.

It is given tasks on standard input, a line of JSON each, and does every one in a fork of its own, which
may be killed: one that is prepared takes a few milliseconds, and a fresh interpreter more than a hundred.
It answers on standard output: how the fork ended, and what it said. Where standard input ends, so do both.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from durproj import codec, errors
from durproj.crashing.lives.killing import (
    BACKOFF,
    FAILURES_PLANNED,
    STRUCK,
    Kill,
    LaterClock,
    MortalStop,
    MortalStore,
    counting_calls,
    die,
    noting_executions,
)
from durproj.crashing.process import FAILED, Child, ended, ended_already, fork
from durproj.crashing.purity.stepping import execute_steps
from durproj.errors import DurprojError, Interrupted, NotFound
from durproj.events.formats.mapping import Mapping
from durproj.projections.reducer import MISSING
from durproj.runtime import attempts, ownership
from durproj.runtime.known import applied
from durproj.runtime.observer import Observer, Silent
from durproj.runtime.project import fold
from durproj.runtime.resume import resume
from durproj.runtime.retry import TRANSIENT, Constant
from durproj.stores.sqlite import SqliteStore
from durproj.verification.verify import verify

Answer = dict[str, Any]

RETRY = Constant(retries=4, delay_s=0.02, on=TRANSIENT)
"""Of runs that are not killed in back-off: nobody looks on while they wait."""

EXITED = "its process ended with exit code 0 in the midst of its work, as by os._exit()"

LOOK_S = 0.05
"""So often it is looked whether a child has ended whose pipe does not: what the reducer forked may hold it."""


def main() -> None:
    """Do what standard input asks for."""
    tasks, answers = os.dup(0), os.dup(1)
    # What reducers read is nothing, and what they print is said as often as they are run.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    gc.freeze()
    with open(tasks, "rb", buffering=0) as lines:
        while line := lines.readline():
            answer = _done(codec.decode(line), tasks)
            os.write(answers, codec.encode(answer) + b"\n")


def _done(task: Answer, tasks: int) -> Answer:
    """The answer to a task: `code`, and what was said, if it came to that; was it `struck` as planned."""
    child = fork(lambda writing: _write(writing, _attempt(task, writing)))
    code, said = _heard(child, tasks)
    if code == 0 and not said:  # whoever comes to the end says so
        return {"code": FAILED, "said": EXITED}
    if code == 0:
        answer: Answer = codec.decode(said)
        return {"code": 0, **answer}
    return {"code": code, "said": said.decode(errors="replace"), "struck": said == STRUCK}


def _heard(child: Child, tasks: int) -> tuple[int, bytes]:
    """How the child ended, and all that it said. It is killed when there is nobody left to answer."""
    said, code = b"", None
    while True:
        wait_s = LOOK_S if code is None else 0.0
        ready, _, _ = select.select([child.reading, tasks], [], [], wait_s)
        if child.reading in ready:
            block = os.read(child.reading, 1 << 16)
            said += block
            if not block:
                break
        elif code is not None:
            break
        elif tasks in ready:  # nothing is asked before the answer: standard input has ended
            os.kill(child.pid, signal.SIGKILL)
            ended(child)
            os._exit(0)
        else:
            code = ended_already(child)
    if code is None:
        return ended(child), said
    os.close(child.reading)
    return code, said


def _write(writing: int, answer: Answer) -> None:
    data = codec.encode(answer)
    while data:
        data = data[os.write(writing, data) :]


def _attempt(task: Answer, writing: int) -> Answer:
    """What a task comes to: `error` when it is one that its caller would have been raised."""
    sys.path[:] = task["path"]
    acts = {
        "run": lambda task: _run(task, lambda: die(writing)),
        "verify": _verify,
        "step": execute_steps,
    }
    try:
        return acts[task["act"]](task)
    except DurprojError as error:
        return {"error": {"kind": type(error).__name__, "fields": vars(error)}}


def raised(error: Answer) -> DurprojError:
    """The error that an answer tells of."""
    kind = getattr(errors, error["kind"])
    made: DurprojError = kind.__new__(kind)
    vars(made).update(error["fields"])
    return made


class _Progress(Silent):
    """Notes how much there was to do and how much was done, and when that began."""

    def __init__(self) -> None:
        self.of = self.done = 0
        self.began = time.monotonic()

    def expect(self, events: int) -> None:
        """There is so much."""
        self.of, self.began = events, time.monotonic()

    def progress(self, events: int) -> None:
        """So much more was done."""
        self.done += events


def _run(task: Answer, dies: Callable[[], None]) -> Answer:
    """Fold, or go on with what was begun, unless it `dies` before, as is planned; how many commits and calls there were."""
    run, seen = _Run(task, dies), _Progress()
    if most_s := task.get("most_s"):
        signal.signal(signal.SIGALRM, lambda number, _: setattr(run.stop, "signum", number))
        signal.setitimer(signal.ITIMER_REAL, most_s)
    calls = 0
    if task.get("counting") or (run.kill and run.kill.at == "call"):
        calls = counting_calls(run.kill, lambda: run.act(seen), dies)
    else:
        run.act(seen)
    return {
        "commits": run.commits,
        "calls": calls,
        "partial": run.partial,
        "done": seen.done,
        "of": max(seen.of, seen.done),
        "seconds": time.monotonic() - seen.began,
    }


class _Run:
    """One run of a store, of which nothing else may run in this process afterwards. kill: where it dies, if it is
    to; stop: what stops it; commits: how many there were; partial: whether it was stopped."""

    def __init__(self, task: Answer, dies: Callable[[], None]) -> None:
        self._task, self._dies = task, dies
        self._path, self._backoff = Path(task["store"]), task.get("backoff")
        clock = LaterClock(self._backoff["later_s"]) if self._backoff else None
        if clock:
            vars(attempts)["time"] = clock  # of waits alone
        vars(ownership)["applied"] = noting_executions(self._path, applied)
        self.kill = Kill(*task["kill"]) if task["kill"] else None
        self.stop = MortalStop(self.kill, dies, clock)
        self.commits, self.partial = 0, False

    def act(self, seen: Observer) -> None:
        """Run until it dies, is stopped or comes to its end; `seen` looks on."""
        begun = not self._task.get("again") and _begun(self._path)
        store = MortalStore.open_writer(self._path, self._task["durability"], self._task["wait_s"])
        store.kill, store.die = self.kill, self._dies
        try:
            self._go_on(begun, store=store, observer=seen, stop=self.stop)
        except Interrupted:
            self.partial = True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            store.close()
        self.commits = store.commits

    def _go_on(self, begun: bool, **how: Any) -> None:
        durability = self._task["durability"]
        if begun:
            resume(durability=durability, **how)
            return
        fail = (self._backoff["step"], FAILURES_PLANNED) if self._backoff else None
        retry = BACKOFF if self._backoff else RETRY
        fold(durability=durability, retry=retry, fail=fail, **how, **fold_options(self._task))


def fold_options(task: Answer) -> dict[str, Any]:
    """The options of `fold` in a task."""
    options = dict(task["options"])
    initial = options.pop("initial")
    return {
        **options,
        "mapping": Mapping(**options["mapping"]),
        "initial": MISSING if initial is None else codec.decode(initial.encode()),
    }


def _begun(path: Path) -> bool:
    """Whether the store knows of a run that can be resumed."""
    try:
        store = SqliteStore.open_reader(path)
    except NotFound:
        return False
    try:
        return bool(store.runs())
    finally:
        store.close()


def _verify(task: Answer) -> Answer:
    """What is wrong with a store, compared with a fold of its log that has none."""
    found = [
        record
        for record in verify(store=Path(task["store"]), refold=True)
        if record.get("status", "ok") != "ok"
    ]
    return {"records": found[:1]}


if __name__ == "__main__":
    main()
