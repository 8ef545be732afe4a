"""What is stored as JSON, as values again.

That a seal or a hash fits says which bytes were written, and not by whom: what no durproj writes is refused
here, before anybody builds on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

from durproj import codec
from durproj.errors import StoreDamaged

NOT_WRITTEN = "durproj did not write this: restore the store from a backup"

Form = Any
"""What a stored value has to be like: a type; a tuple of forms, one of which it has; a list of the form of its
items; or by name the forms of its members, of which those with `?` may be missing, and `*` stands for all."""

_TEXT: Form = (str, NoneType)
CAUSE: Form = {"kind": str, "message": str}
"""Why a step failed."""

_EVENT: Form = {"id": (str, int, NoneType), "type": str}
ERROR: Form = CAUSE | {"step": int, "event?": _EVENT, "line?": str}
"""Why a workflow stopped."""

PARKED: Form = ERROR | {"event": _EVENT, "line": str}
"""The same, of a parked one."""

META: Form = {"fn": str, "by": str, "failed?": bool, "skipped?": CAUSE}
"""What is known of a step."""

CURSOR: Form = {
    "bytes": int, "lines": int, "digest": str, "origin?": int, "file?": ([int], NoneType),
    "workflows": int, "steps": int, "parked?": int, "waiting?": int,
}  # fmt: skip
"""How far a run has come."""

_FORK: Form = {"id": str, "at": int, "replaced": [int], "dropped": [int], "key?": str}
_OPTIONS: Mapping[str, Form] = {
    "fold": {
        "inputs": [str], "keys": ([str], NoneType), "reducer": str, "fingerprint": str, "initial": _TEXT,
        "initial_source": str, "mapping": {"*": _TEXT}, "given": {"*": _TEXT}, "no_key": str, "order?": str,
        "dedupe?": str, "durability": str, "retry": {"policy": str, "*": (str, int, float)}, "max_line": int,
        "on_error?": str, "on_bad_line?": str, "max_errors?": (int, NoneType), "fork?": _FORK, "replaced_by?": str,
    },
    "workflow": {"workflow": str, "args": str, "replaced_by?": str},
}  # fmt: skip
"""What a run was asked for, by its kind."""


def stored_value(blob: bytes) -> Any:
    """The value of what durproj encoded itself: a state, an error, what is known of a step or a run.
    Raises StoreDamaged when that is no JSON, or nested more deeply than anything is written."""
    value = stored_line(blob)
    if codec.is_deep(blob, value):
        why = f"it is nested deeper than {codec.DUMPS_DEPTH} levels"
        raise StoreDamaged(f"a stored value cannot be read: {why}", NOT_WRITTEN)
    return value


def stored_record(blob: bytes, form: Form) -> dict[str, Any]:
    """The same of a record, for which StoreDamaged is raised as well where it has not the `form` of one."""
    return _formed(stored_value(blob), form)


def stored_options(blob: bytes) -> dict[str, Any]:
    """What a run was asked for: a run of a log or of a program, or no more than that there is one. Raises
    StoreDamaged as `stored_record` does."""
    options = stored_record(blob, {"kind?": str})
    return whole_options(options) if "kind" in options else options


def whole_options(options: dict[str, Any]) -> dict[str, Any]:
    """`options`, which are to say what a run was asked for. Raises StoreDamaged when they do not."""
    return _formed(options, _OPTIONS.get(options.get("kind", ""), NoneType))


def expect_fold(options: dict[str, Any]) -> dict[str, Any]:
    """`options`, which are to say what a fold was asked for. Raises StoreDamaged when they do not."""
    return _formed(options, _OPTIONS["fold"])


def _formed(value: Any, form: Form) -> dict[str, Any]:
    if not _fits(value, form):
        shown = codec.to_json(value)[:200]
        raise StoreDamaged(f"a stored record is malformed: {shown}", NOT_WRITTEN)
    record: dict[str, Any] = value
    return record


def _fits(value: Any, form: Form) -> bool:
    if isinstance(form, tuple):
        return any(_fits(value, each) for each in form)
    if isinstance(form, list):
        return type(value) is list and all(_fits(item, form[0]) for item in value)
    if isinstance(form, dict):
        return type(value) is dict and _members_fit(value, form)
    return isinstance(value, form)


def _members_fit(value: dict[str, Any], form: dict[str, Form]) -> bool:
    needed = {name for name in form if name != "*" and not name.endswith("?")}
    others = form.get("*", object)
    return needed <= value.keys() and all(
        _fits(item, form.get(name, form.get(f"{name}?", others))) for name, item in value.items()
    )


def stored_line(line: bytes) -> Any:
    """The value of a recorded input, which may be as deep as lines are. Raises StoreDamaged when it is no
    JSON."""
    try:
        return codec.decode(line)
    except codec.DecodeError as error:
        raise StoreDamaged(f"a stored value cannot be read: {error}", NOT_WRITTEN) from None
