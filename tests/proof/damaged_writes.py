"""Commands that write to a store that is damaged: they end as on the sound one, or say that it is damaged.

Afterwards every journal is what it was before or what it is to become, or meets an error; what still meets
damage is still found: nothing seals it anew. What could be read before can be read afterwards, unless a run
writes to pages that SQLite itself finds out of order: a cell that is written to such a page may take others along.
(To look before would take reading all of the file; what changes the past does.)
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import durproj
from proof import children
from proof.answers import IDS, LONG, OPEN, finds_damage, write_log
from proof.damage import HEADER, sound_store
from proof.lost_pages import KINDS, PAGE, with_page
from proof.trial import Proof, Trial

ALL_IDS = (*IDS, "forked/long", "projection@old/long", "projection@old/few")

STORE = "s.db"

GROWN = ["long"] * LONG + ["late"] * (OPEN + 5) + ["few"] * 3 + ["long"] * 4 + ["few"] * 2
"""The keys of the log, with events that came since the store was written."""

WRITES: Mapping[str, Callable[[], Any]] = {
    "run": lambda: durproj.fold("log.jsonl", keys=["long", "few"], reducer="merge", store=STORE),
    "resume": lambda: durproj.resume(store=STORE),
    "rewind": lambda: durproj.rewind("projection/long", 100, store=STORE),
    "rewind to the start": lambda: durproj.rewind("open/late", -1, store=STORE),
    "gc": lambda: durproj.gc(keep_last=5, store=STORE),
    "gc --drop": lambda: durproj.gc(["other/long"], drop=True, vacuum=True, store=STORE),
    "promote": lambda: durproj.promote("other", "projection", force=True, store=STORE),
    "fork": lambda: durproj.fork("projection/long", "forked/long", at=270, store=STORE),
    "parked drop": lambda: durproj.drop_parked(["parked/p"], store=STORE),
    "backup": lambda: durproj.backup("copy.db", store=STORE),
}
"""By name: what writes to the store, or reads it to write it elsewhere."""

NO_CONTENT = ("id", "name")

ADDING = ("run", "resume", "parked drop")
"""These write to what is there without looking at all of it first."""

Held = list[dict[str, Any]] | int
"""A journal's steps, or the exit code in their place."""


def held(path: Path) -> dict[str, Held]:
    """What every workflow has, as it can be read."""
    return {id: _steps(id, path) for id in ALL_IDS}


def _steps(id: str, path: Path) -> Held:
    try:
        records = list(durproj.export_records([id], store=path, journal=True))
        state = durproj.inspect(id, store=path)["state"]
    except durproj.DurprojError as error:
        return error.exit_code
    assert not records or records[-1]["state"] == state, f"{id}: its state is another"
    # A journal may take another name.
    return [
        {name: part for name, part in each.items() if name not in NO_CONTENT} for each in records
    ]


def written(folder: Path, write: str) -> int:
    """What `write` comes to in `folder`, as an exit code."""

    def act() -> None:
        try:
            found = WRITES[write]()
            # What it met damage in, gc leaves as it is, and goes on.
            os._exit(any("error" in each for each in found) if write.startswith("gc") else 0)
        except durproj.DurprojError as error:
            os._exit(error.exit_code)

    done = children.run(act, folder)
    assert done.code != children.FAILED, done.err
    return done.code


def is_between(now: Held, before: Held, after: Held) -> bool:
    """Whether a journal is as it was, as it is to become, or on its way: it has grown or become shorter
    at the end."""
    if now in (before, after):
        return True
    sides = [side for side in (before, after) if isinstance(side, list)]
    if isinstance(now, int) or not sides:
        return False
    longest = max(sides, key=len)
    return now == longest[: len(now)] and len(now) >= min(map(len, sides))


def on_damaged(trial: Trial) -> None:
    """Every command, on stores of which a bit was flipped or a page lost."""
    truth = sound_store(trial).path
    write_log(truth.with_name("log.jsonl"), GROWN)
    before, afters = held(truth), {}
    for write in WRITES:
        with folder_of_copies(truth, trial) as folder:
            assert written(folder, write) == 0, write
            afters[write] = held(folder / STORE)
    for n in range(trial.count):
        write = list(WRITES)[n % len(WRITES)]
        with folder_of_copies(truth, trial) as folder:
            path = folder / STORE
            what, first = harm(trial, path)
            with trial.case(f"{write}: {what}"):
                expect_nothing_lost(folder, write, before, afters[write], whole=first)


def expect_nothing_lost(
    folder: Path, write: str, before: dict[str, Held], after: dict[str, Held], *, whole: bool
) -> None:
    """`write`, on the damaged store in `folder`. `whole`: other errors about the file as a whole may be
    met, too."""
    path = folder / STORE
    readable = {id for id, found in held(path).items() if found == before[id]}
    orderly = write not in ADDING or _in_order(path)
    code = written(folder, write)
    assert code in ({0, 1, 2, 66, 74, 77} if whole else {0, 1, 74}), f"exit {code}"
    found, damaged = held(path), False
    for id, now in found.items():
        if is_between(now, before[id], after[id]):
            assert code or now == after[id], f"{id}: nothing was said, and it is not done"
        elif now == 74 or (whole and now in (2, 66, 77)):
            damaged = True
            # It may have given its name to what is damaged; of what was dropped it cannot be told that it is
            # not the damaged one.
            gone = whole or not orderly or id not in readable or (after[id] == 66 and code < 2)
            assert gone or before[id] in found.values(), f"{id}: it could be read before"
        else:
            assert id == "open/late", f"{id}: {now!r:.300}"
            assert _is_shorter(now, after[id]), f"{now!r:.300}"
    assert not damaged or finds_damage(path), "verify finds nothing"


def _in_order(path: Path) -> bool:
    """Whether SQLite's own check finds nothing wrong with the pages."""
    try:
        with closing(sqlite3.connect(path)) as conn:
            return bool(conn.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except (sqlite3.Error, UnicodeDecodeError):  # what it says may quote what is no text
        return False


def _is_shorter(now: Held, than: Held) -> bool:
    """The newest steps of what is not finished may be gone: they are made again."""
    return isinstance(now, list) and isinstance(than, list) and now == than[: len(now)]


def harm(trial: Trial, path: Path) -> tuple[str, bool]:
    """Damage the store: what was done, and whether the file's own header has a part in it."""
    blob = bytearray(path.read_bytes())
    if trial.rng.random() < 0.6:
        at, bit = trial.rng.randrange(len(blob)), trial.rng.randrange(8)
        if trial.rng.random() < 0.4:
            at -= at % PAGE - trial.rng.randrange(HEADER)
        blob[at] ^= 1 << bit
        path.write_bytes(blob)
        return f"bit {bit} of byte {at} (page {at // PAGE + 1}: {at % PAGE})", at < HEADER
    page, other = (trial.rng.randrange(len(blob) // PAGE) for _ in range(2))
    kind = trial.rng.choice(KINDS)
    path.write_bytes(with_page(trial, bytes(blob), page, kind, other))
    first = page == 0 or (other == 0 and kind == "swapped")
    return f"page {page + 1} {kind} (with page {other + 1})", first


@contextmanager
def folder_of_copies(truth: Path, trial: Trial) -> Iterator[Path]:
    """A new folder with copies of the store at `truth` and its logs."""
    with trial.scratch() as folder:
        for name in (STORE, "log.jsonl", "parks.jsonl"):
            shutil.copyfile(truth.with_name(name), folder / name)
        yield folder


PROOFS = [
    Proof("a damaged store written to", ("P1", "P7"), on_damaged, 20, 1_000, case_ms=73),
]
