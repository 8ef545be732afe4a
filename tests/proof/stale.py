"""Pages that a disk did not write: the store is the newest, but for one page, which is that of an earlier
version of it, sound by itself, its hashes and seals those of another history of the same workflows.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import durproj
from proof.answers import put_together
from proof.damage import PAGE
from proof.trial import Proof, Trial

LENGTHS = (2800, 600)
"""Steps of a workflow, the blocks of which are on some pages of the table, and of one for which one page does."""

ID = "projection/a"

ASKED: Mapping[str, Callable[[Path], Any]] = {
    "journals": lambda path: list(durproj.export_records(store=path, journal=True)),
    "states": lambda path: list(durproj.export_records(store=path)),
    "list": lambda path: list(durproj.workflows(store=path)),
    **{
        f"inspect projection/a#{step}": lambda path, step=step: durproj.inspect(
            ID, step, store=path
        )
        for step in (0, 255, 256, 511, 599)
    },
}


def versions(folder: Path, rng: random.Random, length: int) -> list[bytes]:
    """The store as it was after each of some folds of so many steps, between which it goes back to go on
    with other events. What the histories have in common is their beginning, and the last event."""
    log, store = folder / "log.jsonl", folder / "s.db"
    found: list[bytes] = []
    values: list[int] = []
    for steps in (0, length - 10, length // 2, 300, 2):
        if found:
            durproj.rewind(ID, steps - 1, store=store)
        # So little is said that a page holds some blocks, and all of each.
        kept = values[:steps]
        values = kept + [rng.randrange(16) for _ in range(length - 1 - len(kept))] + [0]
        lines = [{"key": "a", "type": "T", "v": value} for value in values]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
        durproj.fold(log, reducer="merge", store=store, durability="batch")
        put_together(store)
        found.append(store.read_bytes())
    return found


def answers(path: Path) -> dict[str, str]:
    """What is served: by question, the answer; nothing where an error is told of instead."""
    served = {}
    for question, ask in ASKED.items():
        try:
            served[question] = json.dumps(ask(path))
        except durproj.StoreError:
            continue
    return served


def stale_pages(trial: Trial) -> None:
    """One page of an earlier version: `verify` tells of it, unless all that is read is as if it was not there."""
    for length in LENGTHS:
        with trial.scratch() as folder:
            _pages_of(trial, versions(folder, trial.rng, length), folder / "stale.db")


def _pages_of(trial: Trial, made: list[bytes], path: Path) -> None:
    truths: dict[int, dict[str, str]] = {}
    differing = [
        (new, old, page)
        for new in range(1, len(made))
        for old in range(new)
        for page in range(1, min(len(made[new]), len(made[old])) // PAGE)
        if _page(made[new], page) != _page(made[old], page)
    ]
    trial.rng.shuffle(differing)
    for new, old, page in differing[: trial.count // len(LENGTHS)]:
        if new not in truths:
            path.write_bytes(made[new])
            truths[new] = answers(path)
        at = page * PAGE
        with trial.case(f"page {page + 1} of version {new} as it was in version {old}"):
            path.write_bytes(made[new][:at] + _page(made[old], page) + made[new][at + PAGE :])
            wrong = [each for each, text in answers(path).items() if text != truths[new][each]]
            assert _finds_damage(path) or not wrong, f"verify finds nothing, yet {wrong}"


def _page(blob: bytes, page: int) -> bytes:
    return blob[page * PAGE : (page + 1) * PAGE]


def _finds_damage(path: Path) -> bool:
    try:
        *_, summary = durproj.verify(store=path)
    except durproj.StoreError:
        return True
    return bool(summary["exit"])


PROOFS = [Proof("pages of an earlier version", ("P7",), stale_pages, 60, 226, case_ms=35)]
