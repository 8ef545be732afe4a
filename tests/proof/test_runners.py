from proof import runners
from proof.quick import tests_of

test_runners = tests_of(runners.PROOFS)
