from __future__ import annotations

from proof import model, quick

test_the_store_is_as_the_dictionary_says = quick.tests_of(model.PROOFS)
