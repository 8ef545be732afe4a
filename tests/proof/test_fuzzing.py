from proof import fuzzing
from proof.quick import tests_of

test_fuzzing = tests_of(fuzzing.PROOFS)
