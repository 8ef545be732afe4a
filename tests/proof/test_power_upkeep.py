from proof import power_upkeep
from proof.quick import tests_of

test_power_upkeep = tests_of(power_upkeep.PROOFS)
