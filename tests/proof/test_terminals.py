from proof import terminals
from proof.quick import tests_of

test_terminals = tests_of(terminals.PROOFS)
