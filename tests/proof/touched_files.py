"""Keys that would be paths: no file outside of the store's folder is made, written or removed for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import environment

from durproj.ids import workflow_id
from proof.hostile_ids import KEYS, write_log
from proof.needed import strace
from proof.trial import Proof, Trial

CALLS = "open,openat,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,link,linkat,symlink,symlinkat,truncate"
PATHS = re.compile(r'"((?:[^"\\]|\\.)*)"')
ELSEWHERE = ("/dev/", "/proc/")


def files(trial: Trial) -> None:
    """The real command over hostile keys, its calls recorded: what it makes, writes or removes is in its
    folder."""
    commands: list[tuple[str, ...]] = [
        ("run", "log.jsonl", "--reducer", "merge", "--key", "user"),
        ("export", "--to", "all.csv"),
        ("report", "projection/../../x", "-o", "one.html"),
        ("fork", "projection/../../x", "--as", "fork/../../y", "--drop-event", "0"),
        *(("rewind", workflow_id("projection", key), "--to", "0") for key in ("/etc/passwd", "../../x")),
        ("resume", "projection//etc/passwd"),
        ("verify",), ("backup", "copy.db"), ("gc", "projection/..", "--drop"),
    ]  # fmt: skip
    with trial.scratch() as folder:
        inner = folder / "a" / "b"
        inner.mkdir(parents=True)
        write_log(inner, [*KEYS])
        for args in commands[: trial.count]:
            with trial.case(" ".join(args)):
                outside = _traced(inner, args)
                assert not outside, outside
                assert [path.name for path in folder.iterdir()] == ["a"]


def _traced(folder: Path, args: tuple[str, ...]) -> list[str]:
    """What the command made, wrote or removed outside of `folder`."""
    trace = folder.parent / "trace"
    record = [strace(), "-f", "-qq", "-s", "5000", "-o", str(trace), "-e", f"trace={CALLS}"]
    start = [*record, sys.executable, "-B", "-m", "durproj", *args]
    done = subprocess.run(
        start, cwd=folder, env=environment(TMPDIR=str(folder)), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    calls = trace.read_text(errors="replace").splitlines()
    trace.unlink()
    return [line for line in calls if _strays(line, folder)]


def _strays(line: str, folder: Path) -> bool:
    call = line.split("(", 1)[0].rsplit(" ", maxsplit=1)[-1]
    paths = [os.path.normpath(folder / path) for path in PATHS.findall(line)]
    if call in ("open", "openat") and not re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line):
        return False
    return any(not f"{path}/".startswith((f"{folder}/", *ELSEWHERE)) for path in paths)


PROOFS = [Proof("hostile ids: files touched", ("P8",), files, 2, 10, case_ms=300)]
