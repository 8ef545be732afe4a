"""`python altered.py PRAGMAS ARGS…`: the command line with the store's pragmas altered, for the controls (what
is broken on purpose has to be found), and with `early` as one of them it tells of a step before it is
committed."""

from __future__ import annotations

import json
import os
import sys

from durproj.cli import app
from durproj.stores import journal, sqlite


def alter(pragmas: list[str]) -> None:
    """Let every writer have these, at last."""
    connect = sqlite.connect_writer

    def altered(*args):
        conn = connect(*args)
        for pragma in pragmas:
            conn.execute(f"PRAGMA {pragma}")
        return conn

    sqlite.connect_writer = altered


def acknowledge_early() -> None:
    """Say that a step is recorded before it is."""
    add = journal.Journal.add

    def early(self, step, record):
        said = {"type": "step", "id": self.head.id, "step": step}
        os.write(1, json.dumps(said).encode() + b"\n")
        return add(self, step, record)

    journal.Journal.add = early


asked = sys.argv.pop(1).split(",")
alter([pragma for pragma in asked if pragma != "early"])
if "early" in asked:
    acknowledge_early()
app.main()
