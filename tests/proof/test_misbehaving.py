from proof import misbehaving
from proof.quick import tests_of

test_misbehaving = tests_of(misbehaving.PROOFS)
