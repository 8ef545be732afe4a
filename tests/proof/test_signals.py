from proof import signals
from proof.quick import tests_of

test_signals = tests_of(signals.PROOFS)
