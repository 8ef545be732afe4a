"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import (
    full_disks,
    io_errors,
    laws,
    places,
    power,
    power_pipes,
    power_upkeep,
)
from proof.trial import Proof

PROOFS: list[Proof] = [
    *power.PROOFS,
    *power_upkeep.PROOFS,
    *power_pipes.PROOFS,
    *io_errors.PROOFS,
    *full_disks.PROOFS,
    *places.PROOFS,
    *laws.PROOFS,
]
