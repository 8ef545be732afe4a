from proof import damaged_writes
from proof.quick import tests_of

test_damaged_writes = tests_of(damaged_writes.PROOFS)
