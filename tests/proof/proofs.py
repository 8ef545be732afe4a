"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import fuzzing, hostile_ids, laws, lines, outputs, packed, terminals, touched_files
from proof.trial import Proof

PROOFS: list[Proof] = [
    *laws.PROOFS,
    *lines.PROOFS,
    *packed.PROOFS,
    *hostile_ids.PROOFS,
    *touched_files.PROOFS,
    *terminals.PROOFS,
    *outputs.PROOFS,
    *fuzzing.PROOFS,
]
