"""Every kind of fault there is, in the order of the table."""

from __future__ import annotations

from proof import laws
from proof.trial import Proof

PROOFS: list[Proof] = [*laws.PROOFS]
