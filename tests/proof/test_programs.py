from proof import programs
from proof.quick import tests_of

test_programs = tests_of(programs.PROOFS)
