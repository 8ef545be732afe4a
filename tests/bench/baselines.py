"""What durproj is compared with: `python baselines.py NAME ARGS`. Each does the same work with the fewest
operations, and keeps less."""

from __future__ import annotations

import sys
import time

import orjson

from durproj.projections.account import account


class Seen:
    """As much of an event as a reducer reads."""

    __slots__ = ("data", "type")

    def __init__(self, type, data):
        self.type = type
        self.data = data


def loop(path: str, key: str, reducer: str) -> None:
    """Fold one stream; nothing is durable."""
    apply = _reducer(reducer)
    state = apply.initial(key)
    loads = orjson.loads
    with open(path, "rb") as lines:
        for line in lines:
            body = loads(line)
            state = apply(state, Seen(body["type"], body["payload"]))
    print(orjson.dumps(state).decode())


def loop_by_key(path: str) -> None:
    """Fold many streams; nothing is durable."""
    states: dict[str, object] = {}
    loads = orjson.loads
    with open(path, "rb") as lines:
        for line in lines:
            body = loads(line)
            key = body["userId"]
            state = states.get(key)
            if state is None:
                state = account.initial(key)
            states[key] = account(state, Seen(body["type"], body["payload"]))
    print(len(states), orjson.dumps(states[key]).decode())


def insert(path: str, key: str, store: str, synchronous: str) -> None:
    """Fold one stream; each step is one row, in an INSERT that commits itself (less work than BEGIN,
    INSERT, COMMIT). The row is durproj's, but for its hash, which is not computed."""
    import sqlite3

    conn = sqlite3.connect(store, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute(f"PRAGMA synchronous = {synchronous}")
    conn.execute(
        "CREATE TABLE step (workflow INTEGER NOT NULL, step INTEGER NOT NULL, meta BLOB NOT NULL,"
        " input BLOB NOT NULL, output BLOB NOT NULL, at_ms INTEGER NOT NULL, hash BLOB NOT NULL,"
        " PRIMARY KEY (workflow, step)) STRICT, WITHOUT ROWID"
    )
    sql = "INSERT INTO step VALUES (1, ?, ?, ?, ?, ?, ?)"
    meta, digest = b'{"fn":"apply_event","by":"0123456789abcdef"}', b"0123456789abcdef"
    state = account.initial(key)
    execute, loads, dumps, now = conn.execute, orjson.loads, orjson.dumps, time.time_ns
    with open(path, "rb") as lines:
        for step, line in enumerate(lines):
            body = loads(line)
            state = account(state, Seen(body["type"], body["payload"]))
            execute(sql, (step, meta, line[:-1], dumps(state), now() // 1_000_000, digest))
    conn.close()
    print(orjson.dumps(state).decode())


def sizes(path: str, key: str, reducer: str) -> None:
    """The mean size of the states of one stream: no baseline, but what its figures are put in relation to."""
    apply = _reducer(reducer)
    state = apply.initial(key)
    total = steps = 0
    with open(path, "rb") as lines:
        for steps, line in enumerate(lines, 1):  # noqa: B007
            body = orjson.loads(line)
            state = apply(state, Seen(body["type"], body["payload"]))
            total += len(orjson.dumps(state))
    print(total / steps)


def _reducer(name: str):
    if name == "account":
        return account
    import reducers

    return getattr(reducers, name)


PROGRAMS = {"loop": loop, "loop-by-key": loop_by_key, "insert": insert, "sizes": sizes}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
