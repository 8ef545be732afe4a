"""Files that are no one's yet: what is written there takes another name once it is whole."""

from __future__ import annotations

import tempfile
from pathlib import Path


def new_file(folder: str | Path | None) -> tuple[int, str]:
    """A file that was not there before, in `folder` (None: where the system keeps such files), which
    only its owner may read: its descriptor, to be closed, and its path. Raises OSError."""
    return tempfile.mkstemp(".tmp", ".durproj-", folder)
