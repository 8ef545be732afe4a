"""What is recorded of a step, and what is not."""

from __future__ import annotations

from durproj import codec
from durproj.errors import Unstorable


def step_meta(name: str, by: str, *, failed: bool = False) -> bytes:
    """A record's meta: the function's name and fingerprint, and whether it failed."""
    return codec.encode({"fn": name, "by": by} | ({"failed": True} if failed else {}))


def refuse_none(before: object) -> None:
    """Raise Unstorable, a reducer having returned None, unless that is the state it was given."""
    if before is not None:
        raise Unstorable(
            "the reducer returned None; it must return the next state (a missing return?)"
        )
