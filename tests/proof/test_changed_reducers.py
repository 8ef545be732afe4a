from proof import changed_reducers
from proof.quick import tests_of

test_changed_reducers = tests_of(changed_reducers.PROOFS)
