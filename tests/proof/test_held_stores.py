from proof import held_stores
from proof.quick import tests_of

test_held_stores = tests_of(held_stores.PROOFS)
