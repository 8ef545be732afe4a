from proof import touched_files
from proof.quick import tests_of

test_touched_files = tests_of(touched_files.PROOFS)
