"""What a command does to the files of one folder, as strace sees it: the unmodified command, and every
system call that decides what a power cut leaves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conftest import environment

from proof.needed import strace

CALLS = (
    "openat,pwrite64,write,pwritev,pwritev2,writev,fsync,fdatasync,sync_file_range,ftruncate,truncate,"
    "fallocate,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,splice,"
    "copy_file_range,sendfile"
)


@dataclass(frozen=True, slots=True)
class Linked:
    """`file`, an empty new one, took `name`."""

    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Unlinked:
    name: str


@dataclass(frozen=True, slots=True)
class Renamed:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Written:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """`file` was made so long."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """All of `file` is on the disk; of the folder, where it is None."""

    file: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """Standard output: what was acknowledged."""

    text: bytes


Call = Linked | Unlinked | Renamed | Written | Cut | Synced | Said


class Recorder:
    """Commands that are run in `folder`, and what they do to its files: `calls`, from all of them in
    order. A file that is there when the recorder is made counts as on the disk: `files`, `names`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.calls: list[Call] = []
        self.names = {path.name: number for number, path in enumerate(sorted(folder.iterdir()))}
        self.before = {name: (self.folder / name).read_bytes() for name in self.names}
        self.began = dict(self.names)
        self._last = len(self.names)
        self._places: dict[int, int] = {}

    def run(
        self, *args: str, expected: int = 0, input: bytes = b"", python: Sequence[str] = ()
    ) -> str:
        """Run `durproj ARGS` (`python`: other arguments of the interpreter than `-m durproj`): its output,
        once it has ended with the exit code that is expected."""
        trace = self.folder.with_name(f"{self.folder.name}.trace")
        command = [sys.executable, *(python or ("-m", "durproj")), *args]
        record = [strace(), "-f", "--seccomp-bpf", "-y", "-xx", "-s", "10000000", "-o", str(trace)]
        # Each line of output leaves at once: what stands in a buffer was not acknowledged to anybody.
        at_once = environment(PYTHONUNBUFFERED="1")
        done = subprocess.run(
            [*record, "-e", f"trace={CALLS}", *command],
            cwd=self.folder, env=at_once, input=input, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != expected:
            raise AssertionError(f"{command}: exit {done.returncode}\n{done.stderr.decode()}")
        self._input = input
        with trace.open() as lines:
            for line in lines:
                self._take(line)
        trace.unlink()
        return done.stdout.decode()

    def _take(self, line: str) -> None:
        found = re.match(r"\d+ +(\w+)\((.*)\) += (\d+)(.*)", line)
        if not found:
            # A call in two parts is that of a thread: there are none that write.
            assert "unfinished" not in line or self._place(line) is None, line
            return
        call, args, result, rest = found[1], found[2], int(found[3]), found[4]
        if call == "openat":
            self._open(args, result, rest)
        elif call in ("write", "pwrite64"):
            self._write(args, result)
        elif call in ("fsync", "fdatasync"):
            self._sync(args)
        elif call == "ftruncate":
            file = self._file(args)
            if file is not None:
                self.calls.append(Cut(file, int(args.rpartition(", ")[2])))
        elif call == "unlink" or (call == "unlinkat" and "AT_REMOVEDIR" not in args):
            (name,) = self._names(args)
            if name:
                self.names.pop(name)
                self.calls.append(Unlinked(name))
        elif call.startswith("rename"):
            old, new = self._names(args)
            if old and new:
                self.names[new] = self.names.pop(old)
                self.calls.append(Renamed(old, new))
            else:
                assert old == new, line
        elif call == "splice":
            self._splice(args, result)
        else:
            # A call that changes the folder and that is not understood must not pass for nothing.
            assert self._place(args) is None, line

    def _open(self, args: str, descriptor: int, rest: str) -> None:
        name = self._place(rest)
        if not name:
            return
        if name not in self.names:
            self._last += 1
            self.names[name] = self._last
            self.calls.append(Linked(name, self._last))
        elif "O_TRUNC" in args:
            self.calls.append(Cut(self.names[name], 0))
        self._places[descriptor] = 0

    def _write(self, args: str, size: int) -> None:
        *_, quoted = re.finditer(r'"((?:\\x..)*)"', args)
        data = _bytes(quoted[1])[:size]
        descriptor = int(args.partition("<")[0])
        if descriptor == 1:
            self.calls.append(Said(data))
        elif (file := self._file(args)) is not None:
            after = args[quoted.end() :].split(", ")
            offset = int(after[2]) if len(after) == 3 else self._places[descriptor]
            self._places[descriptor] = offset + size
            self.calls.append(Written(file, offset, data))

    def _splice(self, args: str, size: int) -> None:
        _, _, target, offset, *_ = args.split(", ")
        file = self._file(target)
        if file is not None and size:
            data, self._input = self._input[:size], self._input[size:]
            self.calls.append(Written(file, int(offset.strip("[]")), data))

    def _sync(self, args: str) -> None:
        name = self._place(args)
        if name == "":
            self.calls.append(Synced(None))
        elif (file := self._file(args)) is not None:
            self.calls.append(Synced(file))

    def _file(self, args: str) -> int | None:
        name = self._place(args)
        return self.names[name] if name else None

    def _place(self, text: str) -> str | None:
        """The name, within the folder, of the file behind the first descriptor in `text`: empty for the
        folder itself; None when it is elsewhere or has no name any more."""
        found = re.search(r"<((?:\\x..)*)>(\(deleted\))?", text)
        return None if found is None or found[2] else self._within(_bytes(found[1]).decode())

    def _names(self, args: str) -> list[str | None]:
        """The quoted paths, as names within the folder."""
        return [
            self._within(os.path.join(self.folder, _bytes(quoted).decode()))
            for quoted in re.findall(r'"((?:\\x..)*)"', args)
        ]

    def _within(self, path: str) -> str | None:
        if path == str(self.folder):
            return ""
        parent, name = os.path.split(path)
        return name if parent == str(self.folder) else None


def _bytes(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("\\x", ""))
