from proof import power_files
from proof.quick import tests_of

test_power_files = tests_of(power_files.PROOFS)
