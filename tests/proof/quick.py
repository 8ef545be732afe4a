"""What the tests beside the proofs do with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from proof.trial import Proof

SEED = "quick"


def tests_of(proofs: Sequence[Proof]) -> Callable[..., None]:
    """A test for each of `proofs`, at its quick count with a fixed seed."""

    @pytest.mark.parametrize("proof", proofs, ids=[proof.fault for proof in proofs])
    def test(proof: Proof, tmp_path: Path) -> None:
        trial = proof.run(SEED, proof.quick, tmp_path)
        assert not proof.faults(trial), "\n".join(proof.faults(trial))

    return test


tests_of.__test__ = False  # it is no test, for all that its name says
