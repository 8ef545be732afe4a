"""Retry policies, to the second."""

from __future__ import annotations

import pytest

from durproj import Constant, Exponential, Linear, Never, Retry
from durproj.runtime.retry import ANY, DEFAULT, TRANSIENT

BUG = ValueError("no")


def waits(policy, error, most=10):
    """What the policy answers to the failures 1, 2, … until it gives up."""
    found = []
    for failures in range(1, most + 1):
        wait = policy.wait_s(failures, error)
        if wait is None:
            return found
        found.append(wait)
    return found


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Exponential(retries=7), [2, 4, 8, 16, 30, 30, 30]),
        (Exponential(), [2, 4, 8, 16]),
        (Exponential(retries=3, delay_s=0.5), [1, 2, 4]),
        (Exponential(retries=4, delay_s=1, factor=3, max_delay_s=20), [3, 9, 20, 20]),
        (Exponential(retries=3, delay_s=0), [0, 0, 0]),
        (Linear(retries=4, delay_s=1.5), [1.5, 3, 4.5, 6]),
        (Constant(retries=3, delay_s=7), [7, 7, 7]),
        (Never(), []),
    ],
)
def test_the_waits_are_those_of_the_formula(policy, expected):
    assert waits(policy, BUG) == expected


@pytest.mark.parametrize("policy", [Exponential, Linear, Constant])
def test_no_retries_means_one_attempt(policy):
    assert waits(policy(retries=0), BUG) == []


@pytest.mark.parametrize("policy", [Exponential, Linear, Constant])
def test_only_the_errors_named_are_tried_again(policy):
    only = policy(on=(KeyError,))
    assert waits(only, BUG) == []
    assert len(waits(only, KeyError("k"))) == 4


@pytest.mark.parametrize("error", [OSError(), ConnectionResetError(), TimeoutError(), Retry("x")])
def test_the_default_tries_again_what_waiting_can_cure(error):
    assert waits(DEFAULT, error) == [2, 4, 8, 16]


@pytest.mark.parametrize("error", [BUG, KeyError(1), ZeroDivisionError(), MemoryError()])
def test_the_default_gives_a_bug_up_at_once(error):
    assert waits(DEFAULT, error) == []


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_is_never_tried_again(error):
    assert waits(Exponential(on=ANY), error) == []
    assert waits(Exponential(on=TRANSIENT), error) == []


def test_a_very_large_number_of_failures_waits_for_the_longest_time():
    assert Exponential(retries=10**9).wait_s(10**6, BUG) == 30
    assert Exponential(retries=10**9, factor=1e6).wait_s(100, BUG) == 30
    assert Exponential(retries=10**9, factor=10**6).wait_s(100, BUG) == 30


def test_a_policy_keeps_nothing_between_questions():
    policy = Exponential()
    assert [policy.wait_s(2, BUG), policy.wait_s(1, BUG), policy.wait_s(2, BUG)] == [4, 2, 4]
