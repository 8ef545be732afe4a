from proof import lines, packed
from proof.quick import tests_of

test_lines = tests_of((*lines.PROOFS, *packed.PROOFS))
