"""A followed input, as a user has one: `durproj run --follow` in a process of its own."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

from conftest import start

import durproj
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

PATIENCE_S = 30
"""How long to wait for what is to come; it comes within a second."""


def until(holds, what="it"):
    """Wait until `holds()` is true; what it gave."""
    end = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)
    return found


def line(number, key="u1", **more):
    return json.dumps({"user_id": key, "type": "T", "n": number, **more}).encode() + b"\n"


def lines(numbers, key="u1"):
    return b"".join(line(number, key) for number in numbers)


def add(path, *blobs):
    """Append to a file as a log's writer does."""
    with Path(path).open("ab") as file:
        file.write(b"".join(blobs))


def recorded(store, name="projection"):
    """The numbers of the events that are recorded, by key, and that every hash is right."""
    try:
        opened = SqliteStore.open_reader(store)
    except durproj.NotFound:
        return {}
    try:
        # Read along with their heads: a writer goes on meanwhile.
        journals = [Journal.open(opened, head.id) for head in opened.heads(name=name)]
        return {
            journal.head.key: [json.loads(blob).get("n") for blob in journal.inputs()]
            for journal in journals
        }
    finally:
        opened.close()


class Following:
    """`durproj run INPUT --follow`, in `folder`. Ended by kill when the test is over."""

    def __init__(self, folder, *args, pipe=False, quiet=True, durability="step"):
        self.folder = folder
        common = ["--reducer", "counts", "--durability", durability, *(["-q"] if quiet else [])]
        self.process = start(
            *("run", "--follow", *common, *args),
            folder=folder,
            stdin=PIPE if pipe else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    def feed(self, *blobs):
        """Through the pipe."""
        self.process.stdin.write(b"".join(blobs))
        self.process.stdin.flush()

    def expect(self, numbers, key="u1"):
        """Wait for these events of a stream, all and no others."""
        wanted = list(numbers)

        def there():
            code = self.process.poll()
            assert code is None, f"exit {code}: {self.process.stderr.read().decode()}"
            found = recorded(self.folder / "durproj.db").get(key, [])
            assert found == wanted[: len(found)], found[-3:]
            return len(found) >= len(wanted)

        until(there, f"{key}: {len(wanted)} events")

    def end(self, signum=signal.SIGTERM):
        """Stop it with `signum`, or, with None, wait for its own end: exit code, what it printed."""
        if signum and self.process.poll() is None:
            self.process.send_signal(signum)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert b"Traceback" not in err, err.decode()
        return self.process.returncode, out.decode(), err.decode()


def touched(path):
    """The time of a change that is made now."""
    path.touch()
    return path.stat().st_mtime_ns


def rebooted(mark):
    """Let the mark of a spool file be one of before the machine was started."""
    with Path(mark).open("r+b") as file:
        file.seek(8192)
        file.write(b"another boot")


def rotate(log, name):
    """Rename it, once a later change is told from its last one by the time."""
    last = log.stat().st_mtime_ns
    log.rename(name)
    until(lambda: touched(log.parent / "now") > last)
