"""The parked streams of a store: where each waits, at which event, and for what error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from durproj.history.reading import reading
from durproj.runtime.release import not_parked
from durproj.stores.base import Head, Store
from durproj.stores.journal import Journal
from durproj.stores.stored import PARKED, stored_line, stored_record, stored_value


def parked(*, store: str | Path | Store = "durproj.db") -> list[dict[str, Any]]:
    """One record per parked stream, in the order they began: what `durproj parked list` prints.

    Raises NotFound when there is no store, StoreError.
    """
    with reading(store) as opened:
        return [_record(head) for head in opened.heads() if head.status == "parked"]


def inspect_parked(id: str, *, store: str | Path | Store = "durproj.db") -> dict[str, Any]:
    """What `durproj parked show` prints, as one JSON object: the whole event at which the stream `id`
    waits, the error, how many attempts failed, and the state before it (None: the initial one).

    Raises NotFound when it is not parked, StoreError, and StoreDamaged when what is stored is not
    what was written.
    """
    with reading(store, id) as opened:
        journal = Journal.open(opened, id)
        if journal is None or journal.head.status != "parked":
            raise not_parked(id, journal.head if journal else None, opened.location)
        head = journal.head
        assert head.no is not None
        state = journal.last_output()
        record = _record(head)
        failures = len(opened.attempts(head.no, record["step"]))
        return record | {
            "event": stored_line(_stored(head)["line"].encode()),
            "attempts": failures,
            "state": None if state is None else stored_value(state),
        }


def _record(head: Head) -> dict[str, Any]:
    error = _stored(head)
    return {
        "type": "parked",
        "id": head.id,
        "step": error["step"],
        "event": error["event"],
        "error": {"kind": error["kind"], "message": error["message"]},
    }


def _stored(head: Head) -> dict[str, Any]:
    return stored_record(head.error or b"{}", PARKED)
