"""promote, fork and rewind, killed at every write: a store is as it was before, or as it is after."""

from __future__ import annotations

from contextlib import suppress

import pytest
from dying import Died, Dying, dying, journals, tables, trail, write

import durproj

EVENTS = [(key, n) for n in range(12) for key in ("a", "b")]


def prepared(folder):
    """Two names of the same streams, one of which has taken the place of another before."""
    store = folder / "s.db"
    write(folder / "log", EVENTS)
    for name in ("projection", "v2", "v3"):
        durproj.fold(folder / "log", reducer=trail, store=store, name=name, durability="batch")
    durproj.promote("v2", "projection", store=store)
    return store


VERBS = {
    "promote": lambda store: durproj.promote("v3", "projection", store=store),
    "undo": lambda store: durproj.promote("projection@old", "projection", store=store),
    "fork": lambda store: durproj.fork(
        "projection/a", "x", drop=[9], reducer=trail, store=store
    ),
    "rewind": lambda store: durproj.rewind("projection/a", 3, store=store),
}  # fmt: skip


def contents(store):
    runs = {(run[1], run[2]): (run[3], run[4], run[5]) for run in tables(store)["run"]}
    return runs, journals(store)


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_any_write_it_did_all_or_nothing(tmp_path, verb):
    store, kept = prepared(tmp_path), {}
    before = contents(store)
    files = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("s.db")}

    def restored():
        for path in tmp_path.iterdir():
            if path.name.startswith("s.db"):
                path.unlink()
        for path, content in files.items():
            path.write_bytes(content)

    VERBS[verb](store)
    after = contents(store)
    assert before != after
    restored()
    with dying(None):
        VERBS[verb](store)
        points = Dying.points
    assert points > 4
    for at in range(points):
        restored()
        with dying(at), suppress(Died):
            VERBS[verb](store)
        kept[at] = contents(store)
        assert kept[at] in (before, after), at
        if kept[at] == before:
            VERBS[verb](store)
            assert contents(store) == after
    assert [kept[0], kept[points - 1]] == [before, after]
