import os

import pytest

from proof import lives
from proof.children import PATIENCE_S
from proof.quick import tests_of
from proof.trial import Trial

test_lives = tests_of(lives.PROOFS)


@pytest.mark.parametrize("code", [1, 3, 70, 74])
def test_a_command_that_fails_by_itself_is_not_tried_again(tmp_path, monkeypatch, code):
    printing = lives._Printing(Trial("seed", 1, tmp_path), before=lambda: os._exit(code))
    # The first may take its time; another one would be killed at once.
    patience = iter((PATIENCE_S, 0.0))
    monkeypatch.setattr(printing._patience, "draw", lambda: next(patience))
    with printing.streams.store() as store, pytest.raises(AssertionError, match=f"{code}, "):
        printing.killed(store, "step", timed=1.0)
