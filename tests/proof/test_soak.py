from proof import soak
from proof.quick import tests_of
from proof.trial import Trial

test_soak = tests_of(soak.PROOFS)


def test_a_run_that_is_not_seen_in_time_is_killed_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(soak._Soak, "_look", lambda *_: None)
    trial = Trial("seed", 1, tmp_path)
    soak.prove_soak(trial)
    assert (trial.cases, trial.losses) == (2, [])
    assert "50,000 events, 500 streams, kills: 1;" in trial.notes[0]
