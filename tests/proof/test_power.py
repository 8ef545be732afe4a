from proof import power
from proof.quick import tests_of

test_power = tests_of(power.PROOFS)
