from proof import kills
from proof.quick import tests_of

test_kills = tests_of(kills.PROOFS)
