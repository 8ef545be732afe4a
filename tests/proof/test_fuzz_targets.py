from proof import fuzzing
from proof.quick import tests_of

test_fuzz = tests_of(fuzzing.PROOFS)
