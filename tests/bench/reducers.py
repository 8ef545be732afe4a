"""A reducer with a state of 20 kB, for `--reducer` and for its plain loop."""

from __future__ import annotations

import hashlib


def settings(state, event):
    """The settings after one of them has changed."""
    return {**state, event.data["field"]: event.data["value"]}


def _initial(_key):
    names = [f"field_{number:03d}" for number in range(200)]
    return {name: hashlib.blake2b(name.encode(), digest_size=44).hexdigest() for name in names}


settings.initial = _initial
settings.version = "1"
