"""The proof of the laws finds one that does not hold."""

from __future__ import annotations

from pathlib import Path

from proof import laws
from proof.trial import Trial


def test_a_law_that_does_not_hold_is_found_among_those_that_do(tmp_path):
    trial = Trial("seed", laws.ROUND * 3, tmp_path)
    laws.prove(trial, tests=[Path(__file__).with_name("wrong_laws.py")])
    (loss,) = trial.losses
    assert "test_false" in loss
    assert "number=5" in loss
    assert 300 <= trial.cases < 500
    assert trial.notes == ["2 laws"]
