"""I/O errors: the k-th system call on the store's files fails, as strace makes it.

The command says so and leaves with 74 (or SQLite met it by trying again), whatever was acknowledged is there,
and going on ends where it would have ended without. After a sync that failed nothing more is written.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dying
from conftest import environment

import durproj
from proof.cuts import STORE, Acknowledged, checkpoints
from proof.needed import strace
from proof.trial import Proof, Trial

ERRORS = {
    "pwrite64": ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EAGAIN"),
    "pread64": ("EIO", "EINTR"),
    "fdatasync": ("EIO", "ENOSPC", "EDQUOT"),
    "fsync": ("EIO", "ENOSPC"),
    "openat": ("EIO", "ENOSPC", "ENFILE", "EINTR"),
    "ftruncate": ("EIO", "ENOSPC", "EINTR"),
    "unlink": ("EIO",),
    "newfstatat": ("EIO",),
    "fcntl": ("EIO", "ENOLCK"),
    "flock": ("EIO", "ENOLCK"),
}
"""By call, how it may fail."""

BESIDE = ("", "-wal", "-journal", "-shm", ".lock")

EVENTS = [(f"u{value % 2}", value) for value in range(12)]

ALSO = {"openat": (77,), "newfstatat": (77,), "fcntl": (75, 77), "flock": (75,), "verify": (1,)}
"""Further exit codes, by call and by command: SQLite tells no more than that a store cannot be opened, or
locked, and verify goes on past what it cannot read."""


@dataclass(frozen=True)
class Command:
    """What is run in a folder whose store has the first `begun` events."""

    args: tuple[str, ...]
    begun: int = 0


FOLD = ("run", "../log.jsonl", "--reducer", "counts", "-v", "--json")
COMMANDS = (
    Command((*FOLD, "--durability", "step")),
    Command((*FOLD, "--durability", "fsync")),
    Command((*FOLD, "--durability", "batch")),
    Command(("resume", "-v", "--json"), begun=5),
    Command((*FOLD, "--durability", "fsync"), begun=12),
    Command(("gc", "--vacuum", "--json"), begun=12),
    Command(("rewind", "projection/u1#2", "--json"), begun=12),
    Command(("backup", "copy.db", "--json"), begun=12),
    Command(("inspect", "projection/u1", "--json"), begun=12),
    Command(("verify", "--json"), begun=12),
)


class Struck:
    """One command in `folder`, of which calls are made to fail."""

    def __init__(self, folder: Path, command: Command) -> None:
        self._folder, self._command = folder, command
        self._log = folder / "log.jsonl"
        dying.write(self._log, EVENTS)
        begun = folder / "begun"
        begun.mkdir()
        store = begun / STORE
        if command.begun:
            crash = command.begun if command.begun < len(EVENTS) else None
            args = [*FOLD, "-q", *(("--crash", str(crash)) if crash else ())]
            command_line = [sys.executable, "-m", "durproj", *args]
            done = subprocess.run(
                command_line, cwd=begun, env=environment(), capture_output=True, check=False
            )
            assert done.returncode == (3 if crash else 0), done.stderr.decode()
        durproj.fold(str(self._log), reducer="counts", store=folder / "whole.db")
        self.expected = {
            id: each["state"] for id, each in dying.journals(folder / "whole.db").items()
        }
        self._held = {id: len(records) for id, records in checkpoints(store).items()}
        self.calls = self._count()

    def fail(self, call: str, error: str, at: int) -> None:
        """Let the call number `at` of this kind fail. Raises AssertionError when that is not borne."""
        folder = self._laid_out()
        inject = f"inject={call}:error={error}:when={at}"
        done, trace = self._trace(folder, "-e", inject)
        err = done.stderr.decode()
        allowed = {0, 74, *ALSO.get(call, ()), *ALSO.get(self._command.args[0], ())}
        assert done.returncode in allowed, f"exit {done.returncode}: {err}"
        assert "Traceback" not in err, err
        assert "bug" not in err, err
        assert done.returncode == 0 or err.strip() or done.stdout, "not a word"
        expect_nothing_written(trace)
        self._expect_whole(folder / STORE, done)

    def _expect_whole(self, store: Path, done: subprocess.CompletedProcess[bytes]) -> None:
        found = {id: len(records) for id, records in checkpoints(store).items()}
        said = Acknowledged()
        said.take(done.stdout)
        if self._command.args[0] in ("run", "resume"):
            for id, count in (Counter(self._held) | said.steps).items():
                assert found.get(id, 0) >= count, (
                    f"{id}: {count} acknowledged, {found.get(id)} there"
                )
        copy = store.with_name("copy.db")
        if copy.exists():
            assert {id: len(records) for id, records in checkpoints(copy).items()} == self._held
        with suppress(durproj.NotFound):
            durproj.resume(store=store)
        durproj.fold(str(self._log), reducer="counts", store=store)
        assert {id: each["state"] for id, each in dying.journals(store).items()} == self.expected

    def _laid_out(self) -> Path:
        folder = self._folder / "struck"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._folder / "begun", folder)
        return folder

    def _count(self) -> Counter[str]:
        """How often each call is made when none fails."""
        done, trace = self._trace(self._laid_out())
        assert done.returncode == 0, done.stderr.decode()
        return Counter(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))

    def _trace(self, folder: Path, *more: str) -> tuple[subprocess.CompletedProcess[bytes], str]:
        trace = self._folder / "trace"
        # Aimed at the store and its copy, and at nothing of Python's.
        aims = [each for end in BESIDE for each in ("-P", f"{folder / STORE}{end}")]
        aims += ["-P", str(folder / "copy.db")]
        command = [
            *(strace(), "-f", "--seccomp-bpf", "-y", "-o", str(trace), *aims),
            *("-e", f"trace={','.join(ERRORS)}", *more),
            *(sys.executable, "-m", "durproj", *self._command.args),
        ]
        at_once = environment(PYTHONUNBUFFERED="1")
        done = subprocess.run(command, cwd=folder, env=at_once, capture_output=True, check=False)
        return done, trace.read_text(errors="replace")


def expect_nothing_written(trace: str) -> None:
    """After a sync of the WAL that failed: what the kernel could not write it takes for written, so that
    whatever is done from there on stands on nothing."""
    before, failed, after = trace.partition("(INJECTED)")
    if failed and re.search(r"sync\(.*-wal>\)", before.rpartition("\n")[2]):
        changed = re.search(
            r"^.*(pwrite64|ftruncate|unlink|sync)\(.*\.db(-wal|-journal)?[>\"].*$",
            after,
            re.MULTILINE,
        )
        assert not changed, changed[0]


def prove_errors(trial: Trial) -> None:
    """Every command, each kind of call, an error and a place that are drawn."""
    commands = trial.rng.sample(COMMANDS, len(COMMANDS))
    share = max(3, trial.count // len(commands))
    for command in commands:
        if trial.cases >= trial.count:
            break
        with trial.scratch() as folder:
            struck = Struck(folder, command)
            for _ in range(share):
                call = trial.rng.choice(sorted(call for call in ERRORS if struck.calls[call]))
                error = trial.rng.choice(ERRORS[call])
                at = trial.rng.randint(1, struck.calls[call])
                with trial.case(f"{' '.join(command.args)}: {error} at {call} number {at}"):
                    struck.fail(call, error, at)


PROOFS = [Proof("I/O errors of the store", ("P2", "P3"), prove_errors, 6, 800, case_ms=300)]
