from proof import model
from proof.quick import tests_of

test_model = tests_of(model.PROOFS)
