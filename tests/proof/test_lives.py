from proof import lives
from proof.quick import tests_of

test_lives = tests_of(lives.PROOFS)
