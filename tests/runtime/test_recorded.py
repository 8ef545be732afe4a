"""The inputs of a journal, some of whose first steps are no longer kept, met again in batches."""

from __future__ import annotations

from contextlib import closing

import pytest
from dying import trail, write

import durproj
from durproj.runtime.recorded import Recorded
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore

ID, STEPS, DROPPED = "projection/a", 40, 30


@pytest.fixture
def journal(tmp_path):
    write(tmp_path / "log.jsonl", [("a", n) for n in range(STEPS)])
    durproj.fold(tmp_path / "log.jsonl", reducer=trail, store=tmp_path / "store.db")
    with closing(SqliteStore.open_writer(tmp_path / "store.db")) as store:
        found = Journal.open(store, ID)
        assert found.trim(STEPS - DROPPED) == DROPPED
        yield found


@pytest.fixture
def lines(tmp_path, journal):
    return (tmp_path / "log.jsonl").read_bytes().splitlines()


BATCHES = pytest.mark.parametrize("batch", [1, 7, DROPPED - 1, DROPPED, DROPPED + 1, STEPS])


def meet(journal, lines, batch):
    recorded = Recorded(ID, journal, 0)
    for step in range(0, len(lines), batch):
        recorded.compare(step, lines[step : step + batch])
    return recorded


@BATCHES
def test_what_is_as_it_was_is_met_again(journal, lines, batch):
    meet(journal, lines, batch)


@BATCHES
@pytest.mark.parametrize("changed", [0, 8, DROPPED - 1])
def test_a_change_of_what_is_no_longer_kept_is_found_where_it_ends(journal, lines, batch, changed):
    lines[changed] += b" "
    with pytest.raises(durproj.PastChanged) as caught:
        meet(journal, lines, batch)
    assert caught.value.message == (
        f"{ID}: the past changed\n"
        "  recorded: its first 30 events, by a digest (durproj gc dropped their steps)\n"
        "  now:      others"
    )
    assert caught.value.step is None


@BATCHES
@pytest.mark.parametrize("changed", [DROPPED, STEPS - 1])
def test_a_change_of_what_is_kept_is_found_at_its_step(journal, lines, batch, changed):
    lines[changed] += b" "
    with pytest.raises(durproj.PastChanged) as caught:
        meet(journal, lines, batch)
    assert (caught.value.id, caught.value.step) == (ID, changed)
