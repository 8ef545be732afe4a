from proof import clocks
from proof.quick import tests_of

test_clocks = tests_of(clocks.PROOFS)
