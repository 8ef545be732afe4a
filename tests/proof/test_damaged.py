from __future__ import annotations

from proof import damage, damaged_writes
from proof.quick import tests_of

test_damage = tests_of([*damage.PROOFS, *damaged_writes.PROOFS])
