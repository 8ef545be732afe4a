"""How messages count things."""

from __future__ import annotations


def number(count: int, one: str, more: str = "") -> str:
    """`1 step`, `2 steps`; `more`: what it is when there is not one, where that is not `one` with an s."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {more or f'{one}s'}"


def first(count: int, one: str, more: str = "") -> str:
    """`the first step`, `the first 2 steps`."""
    return f"the first {one if count == 1 else number(count, one, more)}"
