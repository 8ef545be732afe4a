"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import (
    followed,
    full_disks,
    fuzzing,
    hostile_ids,
    io_errors,
    kills,
    laws,
    lines,
    lives,
    model,
    outputs,
    packed,
    places,
    power,
    power_pipes,
    power_upkeep,
    runners,
    signals,
    soak,
    syscalls,
    terminals,
    touched_files,
)
from proof.trial import Proof

PROOFS: list[Proof] = [
    *kills.PROOFS,
    *lives.PROOFS,
    *followed.PROOFS,
    *syscalls.PROOFS,
    *model.PROOFS,
    *runners.PROOFS,
    *signals.PROOFS,
    *soak.PROOFS,
    *power.PROOFS,
    *power_upkeep.PROOFS,
    *power_pipes.PROOFS,
    *io_errors.PROOFS,
    *full_disks.PROOFS,
    *places.PROOFS,
    *lines.PROOFS,
    *packed.PROOFS,
    *hostile_ids.PROOFS,
    *touched_files.PROOFS,
    *terminals.PROOFS,
    *outputs.PROOFS,
    *fuzzing.PROOFS,
    *laws.PROOFS,
]
