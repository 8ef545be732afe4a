"""Records as JSON lines: the states stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durproj import codec


def write(path: str, records: Iterable[dict[str, Any]]) -> None:
    """Write the file at `path`, one record a line."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.writelines(codec.to_json(record) + "\n" for record in records)
