from proof import damage
from proof.quick import tests_of

test_damage = tests_of(damage.PROOFS)
