from proof import moved_inputs
from proof.quick import tests_of

test_moved_inputs = tests_of(moved_inputs.PROOFS)
