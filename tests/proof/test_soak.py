from proof import soak
from proof.quick import tests_of

test_soak = tests_of(soak.PROOFS)
