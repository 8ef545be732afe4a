from proof import outputs
from proof.quick import tests_of

test_outputs = tests_of(outputs.PROOFS)
