"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import beside, changed_inputs, changed_reducers, damage, hostile_stores
from proof.trial import Proof

PROOFS: list[Proof] = [
    *damage.PROOFS,
    *beside.PROOFS,
    *hostile_stores.PROOFS,
    *changed_inputs.PROOFS,
    *changed_reducers.PROOFS,
]
