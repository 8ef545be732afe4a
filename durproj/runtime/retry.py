"""Retry policies: how long to wait before the next attempt, and whether there is one.

A policy is asked `wait_s(failures, error)` with the number of attempts that have failed, from 1, and
returns seconds, or None to give up; it never sleeps and keeps nothing, so the engine can store what
it said. Names, defaults and formulas are those of the Resonate SDK: `Exponential` waits
min(delay · factor^k, max) before retry k = 1, 2, …: 2, 4, 8, 16, 30, 30 … seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Protocol

from durproj.errors import Retry, StoreDamaged, UsageError
from durproj.stores.stored import NOT_WRITTEN

TRANSIENT: tuple[type[BaseException], ...] = (OSError, TimeoutError, Retry)
"""What waiting can cure. Anything else that a pure function raises, it will raise again."""

ANY: tuple[type[BaseException], ...] = (Exception,)


class RetryPolicy(Protocol):
    """What `.options(retry=…)` takes."""

    def wait_s(self, failures: int, error: BaseException) -> float | None:
        """Seconds to wait after `failures` failed attempts, the last with `error`; None: give up."""


@dataclass(frozen=True, kw_only=True)
class _Policy:
    """retries: attempts after the first; delay_s: the base of the formula, in seconds; on: the
    exceptions that are tried again."""

    retries: int = 4
    delay_s: float = 1.0
    on: tuple[type[BaseException], ...] = ANY

    def wait_s(self, failures: int, error: BaseException) -> float | None:
        if failures > self.retries or not isinstance(error, self.on):
            return None
        return self._wait_s(failures)

    def _wait_s(self, retry: int) -> float:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Exponential(_Policy):
    """min(delay_s · factor^k, max_delay_s) before retry k."""

    factor: float = 2.0
    max_delay_s: float = 30.0

    def _wait_s(self, retry: int) -> float:
        try:
            return float(min(self.delay_s * self.factor**retry, self.max_delay_s))
        except OverflowError:
            return float(self.max_delay_s)


@dataclass(frozen=True, kw_only=True)
class Linear(_Policy):
    """delay_s · k before retry k."""

    def _wait_s(self, retry: int) -> float:
        return self.delay_s * retry


@dataclass(frozen=True, kw_only=True)
class Constant(_Policy):
    """delay_s before each retry."""

    def _wait_s(self, retry: int) -> float:  # noqa: ARG002  the same for each
        return self.delay_s


@dataclass(frozen=True)
class Never:
    """The first failure is final."""

    def wait_s(self, failures: int, error: BaseException) -> float | None:  # noqa: ARG002  whatever it was
        """None, always."""
        return None


DEFAULT = Exponential(on=TRANSIENT)
"""Five attempts for errors that waiting can cure, one for all others."""

BuiltIn = Exponential | Linear | Constant | Never
"""The policies that a store can keep; a program's steps may have any other."""

_BUILT_IN = {kind.__name__: kind for kind in (Exponential, Linear, Constant, Never)}
_ON = {"any": ANY, "transient": TRANSIENT}


def to_options(policy: RetryPolicy) -> dict[str, Any]:
    """A built-in policy as a store keeps it. Raises UsageError for what it cannot keep, since `resume`
    would go on with something else."""
    kind = type(policy).__name__
    if _BUILT_IN.get(kind) is not type(policy):
        raise UsageError(
            f"retry is {policy!r}, which cannot be stored for resume",
            "a fold takes " + ", ".join(_BUILT_IN),
        )
    options = {field.name: getattr(policy, field.name) for field in fields(policy)}
    if "on" in options:
        options["on"] = next((name for name, on in _ON.items() if on == options["on"]), None)
        if options["on"] is None:
            raise UsageError(
                "retry names exceptions of its own, which cannot be stored for resume",
                "a fold retries what waiting can cure (on=TRANSIENT) or any Exception (on=ANY)",
            )
    if not all(math.isfinite(value) for value in options.values() if isinstance(value, float)):
        raise UsageError(f"{policy!r} has a number that is not finite")
    return {"policy": kind, **options}


def from_options(options: dict[str, Any]) -> BuiltIn:
    """The policy that `to_options` described. Raises StoreDamaged for what it never says."""
    fields = {name: value for name, value in options.items() if name != "policy"}
    try:
        if "on" in fields:
            fields["on"] = _ON[fields["on"]]
        policy: BuiltIn = _BUILT_IN[options["policy"]](**fields)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise StoreDamaged(f"a stored retry policy is malformed: {error}", NOT_WRITTEN) from None
    return policy
