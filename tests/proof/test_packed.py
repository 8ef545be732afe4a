from proof import packed
from proof.quick import tests_of

test_packed = tests_of(packed.PROOFS)
