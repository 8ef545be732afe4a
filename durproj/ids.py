"""Workflow ids: `<name>/<key>`, `<name>/<key>#<step>` for one step of one, and `<name>/<key>#<step>..<step>`
for what lies between two.

In keys `#`, `%` and control characters are percent-encoded (as UTF-8 bytes), nothing else is, so
distinct keys have distinct ids and an id is one line that a shell can take in quotes.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from durproj.errors import UsageError

_ENCODED = re.compile("[#%\x00-\x1f\x7f-\x9f]")
_NAME = re.compile("[^/#%\x00-\x20\x7f-\x9f]+")


def workflow_id(name: str, key: str) -> str:
    """The id of the workflow `name` over the stream `key`."""
    return f"{name}/{encode_key(key)}"


def encode_key(key: str) -> str:
    """`key` as it stands in an id."""
    return _ENCODED.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), key)


def split_id(id: str) -> tuple[str, str]:
    """The (name, key) of an id, the key decoded. Raises UsageError when `id` has no such form."""
    name, slash, key = id.partition("/")
    if slash and "#" in key:
        raise UsageError(
            f"{id!r} names a step, and a whole workflow is asked for",
            f"it takes no step: leave {key[key.index('#') :]!r} out; a # inside a key is written %23",
        )
    if not slash or not _NAME.fullmatch(name) or _ENCODED.search(key.replace("%", "")):
        raise UsageError(
            f"{id!r} is not a workflow id", "write it as name/key, such as projection/u1"
        )
    return name, unquote(key)


def split_step(text: str) -> tuple[str, int | None]:
    """`projection/u1#5` as ("projection/u1", 5); the step is None when the text names none. Raises
    UsageError for what is no step."""
    id, mark, step = text.partition("#")
    return id, _step(text, step) if mark else None


def split_range(text: str) -> tuple[str, int | None, int | None] | None:
    """`projection/u1#4..6` as ("projection/u1", 4, 6), None for an end that is left open; None when the
    text names no range. Raises UsageError for what is no step."""
    id, _, steps = text.partition("#")
    first, dots, last = steps.partition("..")
    if not dots:
        return None
    return id, _step(text, first) if first else None, _step(text, last) if last else None


def _step(text: str, step: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", step):
        raise UsageError(
            f"{text!r}: {step!r} is not a step number",
            "write projection/u1#5; a # inside a key is written %23",
        )
    return int(step)


def check_name(name: str) -> str:
    """`name` itself. Raises UsageError when it cannot stand before the slash of an id."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name", "a name is not empty and holds no / # % or blank"
        )
    return name
