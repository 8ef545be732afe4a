"""Shell completion of ids, keys and names, from the store that the command line would use.

Completion must never fail or wait: any trouble is an empty list.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST = 200


def complete_id(ctx: Any, incomplete: str) -> list[str]:
    """Ids that begin with `incomplete`."""
    return [id for id, _ in _known(ctx) if id.startswith(incomplete)][:MOST]


def complete_key(ctx: Any, incomplete: str) -> list[str]:
    """Keys that begin with `incomplete`."""
    return [
        key for key in dict.fromkeys(key for _, key in _known(ctx)) if key.startswith(incomplete)
    ][:MOST]


def complete_name(ctx: Any, incomplete: str) -> list[str]:
    """Names of workflows that begin with `incomplete`."""
    names = dict.fromkeys(id.partition("/")[0] for id, _ in _known(ctx))
    return [name for name in names if name.startswith(incomplete)][:MOST]


def _known(ctx: Any) -> Iterator[tuple[str, str]]:
    try:
        from durproj.stores.sqlite import SqliteStore

        name = (ctx.params or {}).get("store") or os.environ.get("DURPROJ_STORE") or "durproj.db"
        store = SqliteStore.open_reader(Path(name))
        try:
            yield from [(head.id, head.key) for head in store.heads()]
        finally:
            store.close()
    except Exception:
        return
