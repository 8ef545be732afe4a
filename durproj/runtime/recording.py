"""What is recorded of a step, and what is not."""

from __future__ import annotations

from typing import Any

from durproj import codec
from durproj.errors import StepFailed, Unstorable


def step_meta(
    name: str, by: str, *, failed: bool = False, skipped: dict[str, str] | None = None
) -> bytes:
    """A record's meta: the function's name and fingerprint, whether it failed, and, of an event that
    was skipped, the error (`kind`, `message`) for which it was."""
    meta: dict[str, object] = {"fn": name, "by": by}
    if failed:
        meta["failed"] = True
    if skipped:
        meta["skipped"] = skipped
    return codec.encode(meta)


def parked_error(failed: StepFailed, line: bytes) -> bytes:
    """Why a stream failed, as its head keeps it: step, kind and message, the event's id and type, and,
    for whoever has to judge the event, its whole `line`."""
    return codec.encode({**rejected_error(failed), "line": line.decode()})


def rejected_error(failed: StepFailed) -> dict[str, Any]:
    """The same without the line: the journal's reader will find the event in the log."""
    error = {"step": failed.step, "kind": failed.kind, "message": failed.reason}
    return error | ({"event": failed.event} if failed.event else {})


def refuse_none(before: object) -> None:
    """Raise Unstorable, a reducer having returned None, unless that is the state it was given."""
    if before is not None:
        raise Unstorable(
            "the reducer returned None; it must return the next state (a missing return?)"
        )
