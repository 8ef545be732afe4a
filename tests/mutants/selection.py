"""Which of the chosen tests say something about a mutant, and how much of each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

OUTSIDE = {"durproj", "follow"}
"""Fixtures that start the command line: a process of its own, in which no mutant is active."""

DEAR = ("test_each_durability_has_its_pragmas", "test_flipped_bits_in_the")
"""Tests of seconds each, of pragmas and of SQLite's own pages, which no mutant touches."""

EXAMPLES = 10


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot kill, or not soon; few examples, always the same ones."""
    left_out = [
        item
        for item in items
        if OUTSIDE & set(getattr(item, "fixturenames", ())) or item.name.startswith(DEAR)
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        function: Any = getattr(item, "obj", None)
        asked = getattr(function, "_hypothesis_internal_use_settings", None)
        if asked is not None:
            few = min(asked.max_examples, EXAMPLES)
            function._hypothesis_internal_use_settings = settings(
                asked, max_examples=few, derandomize=True, database=None
            )
