"""Reducers of one's own, for `--reducer` and for their plain loops."""

from __future__ import annotations

import hashlib

from durproj.projections.account import account


def own(state, event):
    """The account, by a function that durproj knows nothing of."""
    return account(state, event)


own.initial = account.initial
own.version = "1"


def settings(state, event):
    """The settings after one of them has changed: a state of 20 kB."""
    return {**state, event.data["field"]: event.data["value"]}


def _initial(_key):
    names = [f"field_{number:03d}" for number in range(200)]
    return {name: hashlib.blake2b(name.encode(), digest_size=44).hexdigest() for name in names}


settings.initial = _initial
settings.version = "1"
