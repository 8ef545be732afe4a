from proof import full_disks
from proof.quick import tests_of

test_full_disks = tests_of(full_disks.PROOFS)
