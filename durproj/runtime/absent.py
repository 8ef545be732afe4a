"""What is asked for by its id, key or name, and is not in a store."""

from __future__ import annotations

import shlex

from durproj import codec
from durproj.errors import NotFound
from durproj.stores.base import Store

_SHOWN_NAMES = 8


def no_workflow(id: str, store: Store) -> NotFound:
    """That `store` has no workflow `id`, and which one may have been meant."""
    near = next((head.id for head in store.heads() if id in head.id), None)
    hint = f"did you mean {shlex.quote(near)}?" if near else "durproj list shows those there are"
    return NotFound(f"{id}: no such workflow in {store.location}", hint)


def no_key(key: str, store: Store) -> NotFound:
    """That no workflow of `store` is of this key."""
    return NotFound(
        f"no workflow in {store.location} has the key {codec.to_json(key)}",
        "durproj list shows those there are",
    )


def no_name(name: str, store: Store) -> NotFound:
    """That no workflow of `store` has this name, and which names there are."""
    names = sorted({head.name for head in store.heads()})
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    there = ", ".join(map(shlex.quote, names[:_SHOWN_NAMES])) + more
    return NotFound(
        f"no workflow in {store.location} has the name {name}",
        f"names there are: {there}; an id is written name/key, such as projection/u1"
        if names
        else "it has none at all",
    )
