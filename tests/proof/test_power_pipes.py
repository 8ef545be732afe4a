from proof import power_pipes
from proof.quick import tests_of

test_power_pipes = tests_of(power_pipes.PROOFS)
