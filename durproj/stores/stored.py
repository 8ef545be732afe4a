"""What is stored as JSON, as values again.

That a seal or a hash fits says which bytes were written, and not by whom: what no durproj writes is refused
here, before anybody builds on it.
"""

from __future__ import annotations

from typing import Any

from durproj import codec
from durproj.errors import StoreDamaged

_HINT = "no durproj has written it: restore the store from a backup"


def stored_value(blob: bytes) -> Any:
    """The value of what durproj encoded itself: a state, an error, what is known of a step or a run.
    Raises StoreDamaged when that is no JSON, or nested more deeply than anything is written."""
    value = stored_line(blob)
    if codec.is_deep(blob, value):
        why = f"it is nested deeper than {codec.DUMPS_DEPTH} levels"
        raise StoreDamaged(f"a stored value cannot be read: {why}", _HINT)
    return value


def stored_line(line: bytes) -> Any:
    """The value of a recorded input, which may be as deep as lines are. Raises StoreDamaged when it is no
    JSON."""
    try:
        return codec.decode(line)
    except codec.DecodeError as error:
        raise StoreDamaged(f"a stored value cannot be read: {error}", _HINT) from None
