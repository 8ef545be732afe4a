from proof import power, power_pipes, power_upkeep
from proof.quick import tests_of

test_power = tests_of(power.PROOFS + power_upkeep.PROOFS + power_pipes.PROOFS)
