"""A run that crashed after half of its events, and what there is to see of it when it has gone on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conftest import Result

import durproj
from proof.children import command

EVENTS = 8
WRITTEN = 4
"""So many steps are recorded before anything changes."""


def write_log(folder: Path) -> None:
    """The log that is read."""
    lines = (json.dumps({"key": "u1", "type": "T", "id": f"e{n}", "v": n}) for n in range(EVENTS))
    (folder / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))


def crash_half_way(folder: Path, source: str, name: str) -> Result:
    """Let a run of the function `name` of `source` crash: how it ended."""
    write_log(folder)
    (folder / "r.py").write_text(source)
    return command(["run", "log.jsonl", "--reducer", f"r.py:{name}", "--crash", WRITTEN], folder)


def journal(folder: Path) -> list[Any]:
    """Every step that is recorded."""
    return list(durproj.export_records(store=folder / "durproj.db", journal=True))


def expect_sound(folder: Path) -> None:
    """`verify` finds nothing."""
    *records, summary = durproj.verify(store=folder / "durproj.db")
    assert summary["exit"] == 0, records
