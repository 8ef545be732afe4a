"""What the peers do: `python peer_loops.py NAME PATH KEY`, run by an interpreter that has them.

Each folds one stream with the reducer `account`, keeps what it keeps in the folder it is in, and
prints the last state. Peers are set up as their documentation does it; only what they log is less.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import orjson
from baselines import Seen

from durproj.projections.account import account

DEFINITIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "account.jq")


def dbos(path: str, key: str) -> dict[str, Any]:
    """DBOS Transact: a workflow that calls one step an event."""
    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": "sqlite:///dbos.db", "log_level": "ERROR"})

    @DBOS.step()
    def apply_event(state, type, data):
        return account(state, Seen(type, data))

    @DBOS.workflow()
    def project(path, key):
        state = account.initial(key)
        for type, data in _events(path):
            state = apply_event(state, type, data)
        return state

    DBOS.launch()
    try:
        return project(path, key)
    finally:
        DBOS.destroy()


def eventsourcing(path: str, key: str, events_per_save: str = "1") -> dict[str, Any]:
    """eventsourcing: an aggregate that triggers an event of its own for each, and is saved."""
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate, event

    class Projection(Aggregate):
        @event("Started")
        def __init__(self, key: str) -> None:
            self.state = account.initial(key)

        @event("Applied")
        def apply_event(self, type: str, data: dict[str, Any]) -> None:
            self.state = account(self.state, Seen(type, data))

    recorder = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": "events.db"}
    every = int(events_per_save)
    with Application(env=recorder) as app:
        projection = Projection(key)
        for number, (type, data) in enumerate(_events(path), 1):
            projection.apply_event(type, data)
            if number % every == 0:
                app.save(projection)
        app.save(projection)
    return projection.state


def jq(path: str, key: str) -> dict[str, Any]:
    """The library of jq: the same reduce that the command runs, over the whole log at once."""
    import jq

    with open(DEFINITIONS, encoding="utf-8") as definitions, open(path, encoding="utf-8") as log:
        program = jq.compile(f"{definitions.read()} account(.[])", args={"key": key})
        return program.input_text(log.read(), slurp=True).first()


def _events(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(path, "rb") as lines:
        for line in lines:
            body = orjson.loads(line)
            yield body["type"], body["payload"]


PROGRAMS = {"dbos": dbos, "eventsourcing": eventsourcing, "jq": jq}

if __name__ == "__main__":
    print(orjson.dumps(PROGRAMS[sys.argv[1]](*sys.argv[2:])).decode())
