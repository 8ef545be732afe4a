"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import kills, lives, runners, signals, syscalls
from proof.trial import Proof

PROOFS: list[Proof] = [
    *kills.PROOFS,
    *lives.PROOFS,
    *syscalls.PROOFS,
    *runners.PROOFS,
    *signals.PROOFS,
]
