from proof import hostile_ids
from proof.quick import tests_of

test_hostile_ids = tests_of(hostile_ids.PROOFS)
