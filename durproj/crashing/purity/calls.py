"""What a reducer calls that may give something else the next time, and what it does besides giving a state."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_MODULES = {
    *("time", "datetime", "random", "uuid", "secrets", "os", "posix", "socket", "platform"),
    *("getpass", "tempfile", "threading", "_thread", "locale", "_uuid", "_random"),
}
_BUILT_IN = {"id", "hash", "next", "open", "input"}
_REPLACED = f"{__package__}.surroundings"
MOST = 4


class Calls:
    """To be given to `sys.setprofile`; found: `time.time` and the like, and from where in the user's code."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def found(self) -> list[str]:
        """The calls that were seen, each once, the first MOST of them."""
        return list(self._found)[:MOST]

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """Note a call, if it is one of those and comes from code that is no library's."""
        if event == "c_call":
            caller, name = frame, _name_of(arg)
        elif event == "call" and frame.f_back is not None:
            caller = frame.f_back
            name = _own_name(frame)
        else:
            return
        module = str(caller.f_globals.get("__name__", ""))
        library = module.partition(".")[0] in sys.stdlib_module_names | {"durproj"}
        if name and not library:
            file = caller.f_code.co_filename.rpartition("/")[2]
            self._found[f"{name} ({file}:{caller.f_lineno})"] = None


def _name_of(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, random.Random):
        return f"random.{function.__name__}"
    module = getattr(function, "__module__", None) or ""
    if module == "builtins":
        return function.__name__ if function.__name__ in _BUILT_IN else ""
    return f"{module}.{function.__name__}".lstrip("_") if module in _MODULES else ""


def _own_name(frame: FrameType) -> str:
    """What a Python function is called, if it is one of those."""
    module, name = str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
    if module == _REPLACED:
        return "" if name.startswith("__") else "the clock"
    return f"{module}.{name}" if module in _MODULES and not name.startswith("_") else ""


_EFFECTS = {
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.posix_spawn"), "starts a process"),
    **dict.fromkeys(
        ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate"), "changes files"
    ),
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.sendto"), "uses the network"),
    "socket.getaddrinfo": "uses the network",
    "sqlite3.connect": "opens a database",
}


@contextmanager
def watching() -> Iterator[dict[str, None]]:
    """What is done within besides computing, in words: files, processes, the network. Only for processes that
    end afterwards, since Python's audit hooks stay."""
    found: dict[str, None] = {}
    watched = True

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if watched and event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            path = os.fsdecode(args[0]).encode(errors="backslashreplace").decode()
            found[f"opens {path}"] = None
        elif watched and event in _EFFECTS:
            found[_EFFECTS[event]] = None

    sys.addaudithook(heard)
    try:
        yield found
    finally:
        watched = False
