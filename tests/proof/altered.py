"""`python altered.py PRAGMAS ARGS…`: the command line with the store's pragmas altered, for the controls (what
is broken on purpose has to be found). Instead of a pragma: with `early` it tells of a step before it is
committed; with `next`, which breaks nothing, when it begins the next one; with `unsynced` no file is synced but by
SQLite."""

from __future__ import annotations

import json
import os
import sys

from durproj.cli import app
from durproj.runtime import ownership
from durproj.stores import journal, sqlite


def alter(pragmas: list[str]) -> None:
    """Let every writer have these, at last."""
    connect = sqlite.connect_writer

    def altered(*args, **options):
        conn = connect(*args, **options)
        for pragma in pragmas:
            conn.execute(f"PRAGMA {pragma}")
        return conn

    sqlite.connect_writer = altered


def acknowledge_early() -> None:
    """Say that a step is recorded before it is."""
    add = journal.Journal.add

    def early(self, step, record):
        acknowledge(self.head.id, step)
        return add(self, step, record)

    journal.Journal.add = early


def acknowledge_by_the_next() -> None:
    """Say that a step is recorded when the reducer is called for the next one of its stream."""
    plain = ownership.applied

    def applied(*args, **options):
        reduce = plain(*args, **options)

        def telling(state, event):
            if state["n"]:
                acknowledge(f"projection/{event.key}", state["n"] - 1)
            return reduce(state, event)

        return telling

    ownership.applied = applied


def acknowledge(id: str, step: int) -> None:
    """Say so as `-v --json` does."""
    said = {"type": "step", "id": id, "step": step}
    os.write(1, json.dumps(said).encode() + b"\n")


def sync_nothing() -> None:
    """Let what durproj itself writes be on the disk whenever the system likes."""
    os.fsync = lambda _: None


WAYS = {"early": acknowledge_early, "next": acknowledge_by_the_next, "unsynced": sync_nothing}

asked = sys.argv.pop(1).split(",")
alter([pragma for pragma in asked if pragma not in WAYS])
for name in WAYS.keys() & asked:
    WAYS[name]()
app.main()
