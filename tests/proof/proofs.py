"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import followed, kills, lives, runners, signals, soak, syscalls
from proof.trial import Proof

PROOFS: list[Proof] = [
    *kills.PROOFS,
    *lives.PROOFS,
    *followed.PROOFS,
    *syscalls.PROOFS,
    *runners.PROOFS,
    *signals.PROOFS,
    *soak.PROOFS,
]
