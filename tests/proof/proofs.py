"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import (
    full_disks,
    fuzzing,
    hostile_ids,
    io_errors,
    laws,
    lines,
    outputs,
    packed,
    places,
    power,
    power_pipes,
    power_upkeep,
    terminals,
    touched_files,
)
from proof.trial import Proof

PROOFS: list[Proof] = [
    *power.PROOFS,
    *power_upkeep.PROOFS,
    *power_pipes.PROOFS,
    *io_errors.PROOFS,
    *full_disks.PROOFS,
    *places.PROOFS,
    *lines.PROOFS,
    *hostile_ids.PROOFS,
    *terminals.PROOFS,
    *outputs.PROOFS,
    *fuzzing.PROOFS,
    *laws.PROOFS,
    *packed.PROOFS,
    *touched_files.PROOFS,
]
