"""What a reducer does besides giving a state from what it is given: with files, processes, the network."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from types import FrameType
from typing import Any
from zoneinfo import TZPATH

_READS = {"open": "opens", "os.listdir": "lists", "os.scandir": "lists"}
_EFFECTS = {
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.posix_spawn"), "starts a process"),
    **dict.fromkeys(
        ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate"), "changes files"
    ),
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.sendto"), "uses the network"),
    "socket.getaddrinfo": "uses the network",
    "sqlite3.connect": "opens a database",
}

_LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")
_INSTALLED = tuple(
    os.path.join(folder, "")
    for folder in (*map(sysconfig.get_path, _LIBRARIES), *site.getsitepackages(), *TZPATH)
)
"""What lies here is as much a part of the program as its code: the data of packages, and time zones."""
_IMPORTING = ("<frozen importlib", "<frozen zipimport")
_LOOKING_AT_CODE = {"ast", "importlib.metadata", "linecache", "traceback"}


def listen() -> dict[str, None]:
    """What is done from now on besides computing, in words, to be filled. Only for processes that end
    afterwards, since Python's audit hooks stay."""
    found: dict[str, None] = {}

    def heard(event: str, args: tuple[Any, ...]) -> None:
        words = _read(event, args[0]) if event in _READS else _EFFECTS.get(event)
        if words and _is_reducers(sys._getframe(1)):  # noqa: SLF001
            found[words] = None

    sys.addaudithook(heard)
    return found


def _read(event: str, path: Any) -> str | None:
    if path is None:
        path = "."
    if not isinstance(path, str | bytes | os.PathLike):  # a file that is open already
        return None
    name = os.fsdecode(path)
    if os.path.join(os.path.abspath(name), "").startswith(_INSTALLED):
        return None
    return f"{_READS[event]} {name.encode(errors='backslashreplace').decode()}"


def _is_reducers(frame: FrameType | None) -> bool:
    """Whether the code that is executed in `frame` does what it does for the reducer: neither for durproj, nor
    to import a module or to look at code."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        outermost = module.partition(".")[0]
        if (
            outermost == "durproj"
            or module in _LOOKING_AT_CODE
            or frame.f_code.co_filename.startswith(_IMPORTING)
        ):
            return False
        if outermost not in sys.stdlib_module_names:
            return True
        frame = frame.f_back
    return True
