"""The command line in a process of its own that costs no start: forked from one that has it imported.

It is a `subprocess.Popen` like any other: arguments, folder, environment and streams are its own. What
differs from a started one: the modules are there already and are not taken down, and all of a session have
one hash seed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from typing import Any

SIZE = struct.Struct("=q")
REPORT = struct.Struct("=ii")
READ_EARLY = ("PYTHON", "LC_", "LANG", "TYPER_")
"""Variables that an interpreter or a module reads while it starts."""
GIVEN = {"stdin", "stdout", "stderr", "cwd"}
"""What a forked process can be given."""


def popen(args: list[str], *, env: Mapping[str, str], base: Mapping[str, str], **how: Any) -> Any:
    """`python -m durproj *args` with the environment `base` and `env` over it, forked where that makes no
    difference. how: as for Popen, of which all three streams are to be given."""
    command = [sys.executable, "-m", "durproj", *args]
    if any(name.startswith(READ_EARLY) for name in env) or not how.keys() <= GIVEN:
        return subprocess.Popen(command, env={**base, **env}, **how)
    return Forked(command, env={**base, **env}, **how)


class Forked(subprocess.Popen):
    """`[python, "-m", "durproj", …]` as a child of the process that has it imported. What Popen asks of
    the system is asked of that process; all else is Popen's."""

    def _execute_child(self, args, *given):
        _, _, _, _, cwd, env, _, _, _, *ends = given[:15]
        p2cread, _, _, c2pwrite, _, errwrite = ends
        self._report, told = os.pipe()
        task = json.dumps([args[3:], dict(env), os.path.abspath(cwd or ".")]).encode()
        _server().ask(task, [p2cread, c2pwrite, errwrite, told])
        os.close(told)
        self._close_pipe_fds(*ends)
        self.pid = REPORT.unpack(os.read(self._report, REPORT.size))[0]
        self._child_created = True

    def _try_wait(self, wait_flags):
        if wait_flags & os.WNOHANG and not select.select([self._report], [], [], 0)[0]:
            return 0, 0
        report = os.read(self._report, REPORT.size)
        os.close(self._report)
        return REPORT.unpack(report)

    def _internal_poll(self, *_, **__):
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid:
                        self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


class Server:
    """The process that has everything imported."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
            )

    def ask(self, task: bytes, descriptors: list[int]) -> None:
        """Have it fork for `task` with these standard streams, and a pipe for the process's id and,
        at its end, its status."""
        with self._asking:
            socket.send_fds(self._control, [SIZE.pack(len(task))], descriptors)
            self._control.sendall(task)


@functools.cache
def _server() -> Server:
    return Server()


def import_all(but: Collection[str] = ()) -> None:
    """All that commands import sooner or later, but for these modules."""
    import durproj

    for module in pkgutil.walk_packages(durproj.__path__, "durproj."):
        if module.name not in ("durproj.__main__", "durproj.pytest_plugin", *but):
            importlib.import_module(module.name)


def _exactly(control: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += control.recv(size - len(found))
    return found


class _Forking:
    """What the server does: it forks for every request, and reports every end."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.reports: dict[int, int] = {}

    def next_task(self) -> bytes | None:
        """In a child: its task; in the server itself, None: no more are to come."""
        woken, wakes = socket.socketpair()
        wakes.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno())
        # A ^C is for the tests and for what they run.
        former = {
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda *_: None),
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        }
        while True:
            ready, _, _ = select.select([woken, self.control], [], [])
            if woken in ready:
                woken.recv(4096)
                self._reap()
            if self.control not in ready:
                continue
            head, descriptors, _, _ = socket.recv_fds(self.control, SIZE.size, 4)
            if not head:
                return None
            task = _exactly(self.control, SIZE.unpack(head)[0])
            *streams, report = descriptors
            if pid := os.fork():
                self.reports[pid] = report
                os.write(report, REPORT.pack(pid, 0))
                for stream in streams:
                    os.close(stream)
                continue
            signal.set_wakeup_fd(-1)
            for signum, handler in former.items():
                signal.signal(signum, handler)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            own = [each.detach() for each in (woken, wakes, self.control)]
            for descriptor in {*descriptors, *own, *self.reports.values()} - {0, 1, 2}:
                os.close(descriptor)
            return task

    def _reap(self) -> None:
        while self.reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            report = self.reports.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(report, REPORT.pack(pid, status))
            os.close(report)


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
        stream.buffer.raw.name = former.name
        if number == 2:
            stream.reconfigure(line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.path[0] = cwd
    sys.argv[1:] = args
    try:
        runpy.run_module("durproj", run_name="__main__", alter_sys=True)
    except SystemExit as leave:
        if not isinstance(leave.code, int):
            raise
        # As an interpreter ends, but for taking down the modules, which costs more than most commands.
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(leave.code)


if __name__ == "__main__":
    import_all()
    gc.freeze()
    task = _Forking(socket.socket(fileno=int(sys.argv[1]))).next_task()
    if task is not None:
        _become(task)
