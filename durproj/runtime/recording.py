"""What is recorded of a step, and what is not."""

from __future__ import annotations

from typing import Any

from durproj import codec
from durproj.errors import StepFailed, StoreDamaged, Unstorable
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.stores.stored import NOT_WRITTEN, stored_line


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


def recorded_event(envelope: Envelope, line: bytes, key: str) -> Event:
    """The event of the stream `key` on a recorded `line`. Raises StoreDamaged when there is none on it."""
    value = stored_line(line)
    try:
        if envelope.shape is None and type(value) is not dict:
            raise ValueError("it is no object")
        return envelope.event(value, line, key)
    except ValueError as error:
        raise StoreDamaged(f"a recorded event cannot be read: {error}", NOT_WRITTEN) from None


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
