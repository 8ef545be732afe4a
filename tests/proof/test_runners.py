from collections import Counter

import pytest

from proof import runners
from proof.quick import tests_of
from proof.trial import Trial
from proof.verbs import RUN, Template, Verb

test_runners = tests_of(runners.PROOFS)
(UNLOCKED,) = [proof for proof in runners.PROOFS if proof.control]


def raises():
    raise TypeError("it takes 2 arguments")


def test_runners_that_break_by_themselves_are_not_the_loss_that_a_lock_prevents(tmp_path):
    trial = Trial("seed", 1, tmp_path, UNLOCKED.control)
    runners._starts(trial, ("crashed",), raises)
    assert (trial.cases, trial.lost, trial.judged) == (1, 1, 0)
    assert "TypeError: it takes 2 arguments" in trial.losses[0]


def test_who_waits_for_nobody_is_refused_while_another_runs(tmp_path):
    template = Template(Verb(RUN, runners.READY["new"]), tmp_path / "new")
    trial = Trial("seed", 1, tmp_path)
    every = runners.start_at_once(trial, template, patient=False, killed=False)
    assert sorted(ended.code for ended in every) == [0, *[75] * (runners.AT_ONCE - 1)]


def test_a_trial_in_which_nobody_is_refused_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "_starts", lambda trial: Counter({0: 8 * trial.count}))
    (starts, *_) = runners.PROOFS
    assert "nobody was refused" in starts.run("seed", runners.ENOUGH, tmp_path).broken
    assert not starts.run("seed", starts.quick, tmp_path).broken


@pytest.mark.parametrize(
    ("calls", "killed"),
    [(None, set()), ("1 a 0\n2 a 1\n", set()), ("1 a 0\n2 a 0\n3 a 0\n", {1, 2})],
)
def test_what_a_killed_runner_had_in_hand_is_executed_again(tmp_path, calls, killed):
    if calls:
        (tmp_path / "calls").write_text(calls)
    runners._expect_executed_once(tmp_path, killed)


@pytest.mark.parametrize("killed", [set(), {2}])
def test_what_two_execute_is_seen(tmp_path, killed):
    (tmp_path / "calls").write_text("1 a 0\n2 a 0\n")
    with pytest.raises(AssertionError, match=UNLOCKED.control):
        runners._expect_executed_once(tmp_path, killed)
