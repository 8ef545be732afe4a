"""What is forked is what would have been started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from conftest import environment, start
from forked import Forked

SHOW = """
import json, os, signal, sys
print(json.dumps({
    "argv": sys.argv, "path": sys.path[:2], "cwd": os.getcwd(), "env": dict(os.environ),
    "open": sorted(os.listdir("/proc/self/fd")), "main": sys.modules["__main__"].__spec__.name,
    "streams": [
        [each.encoding, each.errors, each.line_buffering, each.isatty(), each.name, each.seekable()]
        for each in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "signals": {s.name: str(signal.getsignal(s)).split(" at ")[0] for s in signal.valid_signals()
                if isinstance(s, signal.Signals)},
}))
def f(state, event): return {}
"""


def printed(how, folder, *args, input=b""):
    process = how(
        [sys.executable, "-m", "durproj", *args],
        env=environment(),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        out, err = process.communicate(input)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "args",
    [
        ["--version"],
        ["run", "--json", "--stable", "--store", ":new:"],
        ["run", "--crash", "5", "--store", ":new:"],
        ["run", "--crash", "5", "--crash-with", "KILL", "--store", ":new:"],
        ["run", "no such file"],
        ["run", "-", "--reducer", "counts", "--store", ":new:"],
        ["run", "--reducer", "show.py:f", "-q", "--store", ":new:"],
        ["nonsense"],
        [],
    ],
    ids=" ".join,
)
def test_a_forked_command_does_what_a_started_one_does(tmp_path, args):
    (tmp_path / "show.py").write_text(SHOW)
    found = [
        printed(
            how,
            tmp_path,
            *(each.replace(":new:", "s.db") for each in args),
            input=b'{"n": 1, "text": "%s"}\n' % (b"x" * 100_000),
        )
        for how in (subprocess.Popen, Forked)
        if not (tmp_path / "s.db").unlink(missing_ok=True)
    ]
    assert found[0] == found[1]


def test_it_is_waited_for_killed_and_given_up_like_any_other(tmp_path):
    process = start(
        "run", "--follow", "log", folder=tmp_path, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert b"waiting for log" in process.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.poll() is None
        os.kill(process.pid, 0)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -9
        assert process.poll() == -9


def test_several_run_at_a_time_and_each_ends_for_itself(tmp_path, durproj):
    reading = start("run", "-", folder=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)  # fmt: skip
    codes = []
    others = [
        threading.Thread(target=lambda: codes.append(durproj("--version").code)) for _ in range(3)
    ]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert codes == [0, 0, 0]
    with reading:
        reading.communicate(b'{"type": "T", "user_id": "u"}\n', timeout=60)
    assert reading.returncode == 0


def test_one_that_hangs_is_ended_with_the_test(durproj):
    os.mkfifo(durproj.folder / "log")
    with pytest.raises(subprocess.TimeoutExpired):
        durproj("run", "log", timeout=0.2)
