"""What a reducer calls that may give something else the next time."""

from __future__ import annotations

import random
import sys
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
