"""What durproj adds to pytest: two fixtures. pytest finds them by itself where durproj is installed.

pytest imports this in every run, so it imports nothing of durproj before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def durproj_store(tmp_path: Path) -> Path:
    """The path of a store for this test alone; it is made by what first writes to it."""
    return tmp_path / "durproj.db"


@pytest.fixture
def crash_everywhere(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`crash_everywhere(events, reducer)`: assert that a fold which dies before any of its steps, and
    is run again, ends as one that does not. See `durproj.testing.crash_everywhere`."""
    from functools import partial

    from durproj.testing.crashes import crash_everywhere

    return partial(crash_everywhere, folder=tmp_path)
