from proof import forged_records
from proof.quick import tests_of

test_forged_records = tests_of(forged_records.PROOFS)
