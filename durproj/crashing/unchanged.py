"""Files that a crash test reads anew in each of its lives: when one of them changes, what differs proves nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from durproj.errors import Rewritten
from durproj.history.inputs import files_read

_State = tuple[int, int, int, int]


class Unchanged:
    """The files of a fold of `inputs` by `reducer`, a reference, as they are when this is made."""

    def __init__(self, inputs: Sequence[str], reducer: str) -> None:
        self._inputs, self._reducer = inputs, reducer
        self._states = self._look()

    def check(self) -> None:
        """Raise Rewritten when one of them is another file now, was written to, or came or went."""
        now = self._look()
        for file in {**self._states, **now}:
            before, after = self._states.get(file), now.get(file)
            if before != after:
                how = "changed" if before and after else "appeared" if after else "was removed"
                raise Rewritten(
                    f"{file} {how} while it was tested: nothing can be said of it",
                    "every life reads it anew: give it a copy that nothing writes to",
                )

    def _look(self) -> dict[str, _State | None]:
        files = files_read(self._inputs, [self._reducer], Path())
        return {file: _state(file) for _, file in files}


def _state(file: str) -> _State | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
