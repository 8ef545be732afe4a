"""The command line in a process of its own that costs no start: forked from one that has it imported.

What the process is given is what a started one is given: its own arguments, folder, environment and pipes,
`python -m`'s `sys.path`, and an interpreter that ends by itself. What differs: the modules are there already,
and the hash seed is one for all.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

LIMIT = 60_000
"""Bytes that a pipe takes at once."""

NUMBER = struct.Struct("=i")


class Forker:
    """Asks the process of `_serve` for one command at a time."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._asking = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=dict(env),
                stdin=subprocess.DEVNULL,
            )

    def run(
        self, args: Sequence[str], *, input: bytes, env: Mapping[str, str], cwd: str, timeout: float
    ) -> tuple[int, bytes, bytes] | None:
        """Run `durproj *args`: its exit code, as subprocess tells it, and what it printed. None when
        it has to be started instead: another one runs, or the input may not fit into a pipe."""
        if len(input) > LIMIT or not self._asking.acquire(blocking=False):
            return None
        try:
            return self._run(json.dumps([args, dict(env), cwd]).encode(), input, timeout)
        finally:
            self._asking.release()

    def _run(self, task: bytes, input: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        with contextlib.ExitStack() as pipes:
            ends = [
                pipes.enter_context(open(end, mode, buffering=0))
                for _ in range(3)
                for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
            ]
            stdin, feed, out, stdout, err, stderr = ends
            theirs = [stdin, stdout, stderr]
            feed.write(input)
            feed.close()
            socket.send_fds(
                self._control, [NUMBER.pack(len(task))], [end.fileno() for end in theirs]
            )
            self._control.sendall(task)
            for end in theirs:
                end.close()
            pid = self._number()
            printed = _read(out, err, until=time.monotonic() + timeout)
            if printed is None:
                os.kill(pid, signal.SIGKILL)
            code = self._number()
            if printed is None:
                raise subprocess.TimeoutExpired(task.decode(), timeout)
            return code, *printed

    def _number(self) -> int:
        return NUMBER.unpack(_exactly(self._control, NUMBER.size))[0]


@functools.cache
def forker(base: tuple[tuple[str, str], ...]) -> Forker:
    """The one of this process, begun with the environment `base`."""
    return Forker(dict(base))


def _read(*pipes: io.FileIO, until: float) -> tuple[bytes, ...] | None:
    """All that comes through `pipes`; None when it did not end in time."""
    chunks: dict[io.FileIO, list[bytes]] = {pipe: [] for pipe in pipes}
    with selectors.DefaultSelector() as waiting:
        for pipe in pipes:
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(max(0, until - time.monotonic()))
            if not ready:
                return None
            for key, _ in ready:
                if chunk := key.fileobj.read(LIMIT):
                    chunks[key.fileobj].append(chunk)
                else:
                    waiting.unregister(key.fileobj)
    return tuple(b"".join(chunks[pipe]) for pipe in pipes)


def _exactly(control: socket.socket, size: int) -> bytes:
    """The next `size` bytes; fewer when there are no more."""
    found = b""
    while len(found) < size and (chunk := control.recv(size - len(found))):
        found += chunk
    return found


def _import_all() -> None:
    """All that commands import sooner or later, but for what a test may lack or forbid."""
    import durproj

    for module in pkgutil.walk_packages(durproj.__path__, "durproj."):
        if module.name not in ("durproj.__main__", "durproj.pytest_plugin"):
            importlib.import_module(module.name)


def _serve(control: socket.socket) -> bytes | None:
    """Fork for every request: in the child, the task; in this process None, when no more are to come."""
    while True:
        head, descriptors, _, _ = socket.recv_fds(control, NUMBER.size, 3)
        if not head:
            return None
        task = _exactly(control, NUMBER.unpack(head)[0])
        pid = os.fork()
        if not pid:
            control.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            return task
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(NUMBER.pack(pid))
        control.sendall(NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def _become(task: bytes) -> None:
    """Go on as `python -m durproj` in the folder and the environment of `task`."""
    args, env, cwd = json.loads(task)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    # The streams learn of their files when they are made.
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        former = getattr(sys, name)
        stream = open(  # noqa: SIM115
            number, mode, encoding=former.encoding, errors=former.errors, closefd=False
        )
        stream.reconfigure(line_buffering=former.line_buffering)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.path[0] = cwd
    sys.argv[1:] = args
    runpy.run_module("durproj", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _import_all()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        task = _serve(requests)
    if task is not None:
        _become(task)
