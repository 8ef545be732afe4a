from proof import unguarded
from proof.quick import tests_of

test_unguarded = tests_of(unguarded.PROOFS)
