import re

import pytest

from proof import soak
from proof.kills import SHARED
from proof.quick import tests_of
from proof.trial import Trial

test_soak = tests_of(soak.PROOFS)

EVENTS, LATE = 5_000, 1_250


@pytest.fixture
def unseen(monkeypatch):
    """A small soak, of which nobody sees how far it is."""
    monkeypatch.setattr(soak, "EVENTS_A_LIFE", EVENTS)
    monkeypatch.setattr(soak, "LATE", LATE)
    monkeypatch.setattr(soak._Soak, "_look", lambda *_, **__: 0)


def test_a_run_that_is_not_seen_in_time_is_killed_where_it_waits(tmp_path, unseen):
    made = soak._Soak(tmp_path, EVENTS, "waits", soak.REDUCER)
    made.run_until(EVENTS // 2)
    made.run_until(EVENTS // 2 + 500)
    for steps, waited in zip(made.kills, (3_750, 4_250), strict=True):
        # What waits for the commit that it shares with others is not there.
        assert waited - SHARED <= steps <= waited


def test_a_soak_is_killed_in_every_life_but_the_last(tmp_path, unseen):
    trial = Trial("seed", 1, tmp_path)
    soak.prove_soak(trial)
    assert (trial.cases, trial.losses) == (2, [])
    assert "5,000 events, 50 streams, kills: 1;" in trial.notes[0]
    assert re.search(r"; resident \d+ to \d+ MiB$", trial.notes[0])


def test_a_soak_of_which_no_memory_is_noted_is_lost(tmp_path, unseen, monkeypatch):
    monkeypatch.setattr(soak, "NOTES_LEAST", EVENTS)
    trial = Trial("seed", 1, tmp_path)
    soak.prove_soak(trial)
    assert trial.cases == 2
    (loss,) = trial.losses
    assert "the memory of the last life was not judged" in loss
