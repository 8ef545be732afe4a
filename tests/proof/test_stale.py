from proof import stale
from proof.quick import tests_of

test_stale = tests_of(stale.PROOFS)
