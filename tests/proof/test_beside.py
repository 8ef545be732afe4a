from proof import beside
from proof.quick import tests_of

test_beside = tests_of(beside.PROOFS)
