from proof import followed
from proof.quick import tests_of

test_followed = tests_of(followed.PROOFS)
