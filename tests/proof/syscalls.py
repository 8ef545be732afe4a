"""Kills at every system call with which a command changes a file: strace lets the k-th one end it."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from durproj.runtime import ownership
from proof.children import Ended, begin
from proof.kills import Early, spread
from proof.needed import strace
from proof.trial import Proof, Trial
from proof.verbs import VERBS, Template

CALLS = (
    "pwrite64", "write", "fdatasync", "fsync", "ftruncate", "fallocate", "unlink", "unlinkat",
    "rename", "link", "mkdir", "openat", "fcntl", "flock", "fchmod", "chmod",
)  # fmt: skip
LONG, OF_A_LONG_ONE = 1_000, 100
"""Of a command that makes more such calls only so many of each kind are tried, spread over all of them."""

ONE_OF_EACH = {verb.words[0]: verb for verb in reversed(VERBS)}
"""By name, the first of those that have this name: where there are only few cases, they are one of each of these."""


def prove_syscalls(trial: Trial) -> None:
    """Every command, killed at every such call of it."""
    strace()
    few = trial.count < len(VERBS)
    verbs = list(ONE_OF_EACH.values()) if few else VERBS
    templates = [Template(verb, trial.folder / str(n)) for n, verb in enumerate(verbs)]
    places = [(each, _places(each, trial, CALLS)) for each in templates]
    chosen = [(each, *place) for each, found in places for place in found]
    trial.note(f"{len(chosen):,} places in {len(templates)} commands")
    if few:
        chosen = [(each, *trial.rng.choice(found)) for each, found in places]
    beyond = 0
    for number, (template, call, at) in enumerate(spread(trial, chosen)):
        with template.copy(trial.folder / f"case {number}") as folder:
            ended = _killed(template, folder, call, at)
            if not ended.killed:
                beyond += 1
                ended.expect(0)
                continue
            with trial.case(f"durproj {template.verb}, killed at {call} number {at}"):
                template.expect_survived(folder, ended)
    if beyond:
        trial.note(f"{beyond:,} came to fewer calls than before and were not killed")


def prove_said_early(trial: Trial) -> None:
    """The same of a command that prints a step before it commits it: the harness has to see it."""
    strace()
    template = Template(VERBS[0], trial.folder / "early")
    early = lambda: setattr(ownership, "Commits", Early)  # noqa: E731
    for call, at in spread(trial, _places(template, trial, ("write",))):
        with template.copy(trial.folder / "case") as folder:
            ended = _killed(template, folder, call, at, early)
            with trial.case(f"printed early, killed at {call} number {at}"):
                template.expect_survived(folder, ended)


def _places(template: Template, trial: Trial, calls: Sequence[str]) -> list[tuple[str, int]]:
    """Those of `calls` that the command makes when it is let alone, each with its number among its like."""
    with template.copy(trial.folder / "counted") as folder:
        log = trial.folder / "calls"
        traced(template, folder, [f"trace={','.join(calls)}"], log).expect(0)
        counts = Counter(re.findall(rb"^\d+ +(\w+)\(", log.read_bytes(), re.MULTILINE))
    most = OF_A_LONG_ONE if counts.total() > LONG else LONG
    found = []
    for call, count in sorted(counts.items()):
        stride = max(1.0, count / most)
        numbers = {1 + int(n * stride) for n in range(min(count, most))} | {count}
        found += [(call.decode(), number) for number in sorted(numbers)]
    return found


def _killed(
    template: Template,
    folder: Path,
    call: str,
    at: int,
    before: Callable[[], object] = lambda: None,
) -> Ended:
    """How the command ended, which the call number `at` of this kind was to end."""
    kill = [f"trace={call}", f"inject={call}:signal=KILL:when={at}"]
    return traced(template, folder, kill, before=before)


def traced(
    template: Template,
    folder: Path,
    what: list[str],
    log: Path = Path(os.devnull),
    before: Callable[[], object] = lambda: None,
) -> Ended:
    """How the command ended under strace, which does not see it start, nor what it does `before`."""

    def ready() -> None:
        before()
        _wait_for_strace()

    reading, writing = os.pipe()
    try:
        child = begin(template.verb.words, folder, stdin=reading, before=ready)
        options = [option for each in what for option in ("-e", each)]
        args = [strace(), "-f", *options, "-o", str(log), "-p", str(child.pid)]
        with subprocess.Popen(args, stderr=subprocess.PIPE) as tracer:
            said = tracer.stderr.readline()
            if b"attached" not in said:
                child.end(0)
                raise AssertionError(said + tracer.stderr.read())
            os.write(writing, b"\n")
            ended = child.end()
            tracer.stderr.read()
        return ended
    finally:
        os.close(reading)
        os.close(writing)


def _wait_for_strace() -> None:
    """Let who is no parent trace this process, and wait until it says so."""
    import ctypes

    set_ptracer, anybody = 0x59616D61, -1
    ctypes.CDLL(None).prctl(set_ptracer, anybody)
    os.read(0, 1)


PROOFS = [
    Proof("SIGKILL at every system call of run, resume, promote, rewind, fork, gc, backup, export, report",
          ("P1", "P2", "P3"), prove_syscalls, quick=9, nightly=5_000, case_ms=100),
    Proof("control: printed before the commit, killed at a system call", ("P3",), prove_said_early,
          quick=3, nightly=20, case_ms=120, control="printed as done"),
]  # fmt: skip
