from proof import lines
from proof.quick import tests_of

test_lines = tests_of(lines.PROOFS)
