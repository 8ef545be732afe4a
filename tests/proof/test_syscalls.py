from proof import syscalls
from proof.quick import tests_of

test_syscalls = tests_of(syscalls.PROOFS)
