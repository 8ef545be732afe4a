"""Constants that a reducer holds, as text: what makes one reducer out of its code another than the next."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from durproj.codec import DUMPS_DEPTH, encode, settle
from durproj.errors import Unstorable

ADDED = frozenset(
    (
        "__module__",
        "__qualname__",
        "__doc__",
        "__firstlineno__",
        "__static_attributes__",
        "__type_params__",
        "__annotations__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__conditional_annotations__",
        "__callable_proto_members_only__",
        "__mutable_keys__",
        "__readonly_keys__",
        "__closed__",
        "__extra_items__",
        "_hashable_values_",
        "_unhashable_values_map_",
    )
)
"""Attributes of classes that some versions of Python set, and others do not or not to the same."""


def text(value: Any) -> str:
    """Plain data (None, numbers, strings, bytes; lists, tuples, dicts and frozensets of these) as text, which
    every process makes the same. Raises Unstorable for all else."""
    with suppress(Unstorable):
        return settle(value)[0].decode()
    with suppress(Unstorable):
        return _text(value, 0)
    return encode(value).decode()  # such as a UUID: what it is as JSON would not come back


def is_plain(value: Any) -> bool:
    """Whether `text` has a text for `value`."""
    try:
        text(value)
    except Unstorable:
        return False
    return True


def _text(value: Any, depth: int) -> str:
    kind = type(value)
    if value is None or kind in (bool, float, str, bytes):
        return repr(value)
    if kind is int:
        return hex(value)  # repr() refuses very long ones
    if kind not in (list, tuple, dict, frozenset) or depth > DUMPS_DEPTH:
        raise Unstorable(f"no plain data: {kind.__qualname__}")
    items = value.items() if kind is dict else value
    parts = [_text(item, depth + 1) for item in items]
    if kind is frozenset:
        parts.sort()  # its order is another one in each process
    return f"{kind.__name__}({', '.join(parts)})"
