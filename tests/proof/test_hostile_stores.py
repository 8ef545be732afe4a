from proof import hostile_stores
from proof.quick import tests_of

test_hostile_stores = tests_of(hostile_stores.PROOFS)
