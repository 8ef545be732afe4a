from proof import changed_inputs
from proof.quick import tests_of

test_changed_inputs = tests_of(changed_inputs.PROOFS)
