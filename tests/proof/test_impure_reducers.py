from proof import impure_reducers
from proof.quick import tests_of

test_impure_reducers = tests_of(impure_reducers.PROOFS)
