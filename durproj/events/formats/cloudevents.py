"""CloudEvents 1.0 and 0.3 in JSON: what makes one valid, and the data in it.

After https://github.com/cloudevents/spec: cloudevents/spec.md (context attributes, type system) and
cloudevents/formats/json-format.md (data, data_base64). A null attribute is an unset one.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from durproj.codec import to_json
from durproj.events.lines import is_odd, parse_value

Body = dict[str, Any]

_VERSIONS = ("1.0", "0.3")
_REQUIRED = ("id", "source", "type")
_TEXTS = (
    *("id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "schemaurl"),
    "datacontentencoding",
)
_DATA = ("data", "data_base64")
_NAME = re.compile("[a-z0-9]+")
# RFC 3339; the letters may be small.
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_JSON = re.compile(r"[^;]*[/+]json\s*(;.*)?", re.IGNORECASE | re.DOTALL)
_TEXT = re.compile(r"(text/[^;]*|[^;]*[/+]xml\s*)(;.*)?", re.IGNORECASE | re.DOTALL)


def checked(body: Body) -> Body:
    """The CloudEvent `body`, its base64 data decoded: to JSON or text by its `datacontenttype`, and left
    as base64 text when it is neither. Raises ValueError with the reason when it is no valid CloudEvent."""
    version = body["specversion"]
    if version not in _VERSIONS:
        raise ValueError(
            f"a CloudEvent of version {_shown(version)}, where 1.0 or 0.3 was expected"
        )
    for name in _REQUIRED:
        if body.get(name) is None:
            raise ValueError(f"a CloudEvent without {name}")
    for name, value in body.items():
        if value is not None and name not in _DATA:
            _check_attribute(name, value, strict=version == "1.0")
    if body.get("data_base64") is not None:
        if body.get("data") is not None:
            raise ValueError("a CloudEvent with both data and data_base64")
        return {**body, "data": _decoded(body, body["data_base64"], "data_base64")}
    if version == "0.3" and body.get("datacontentencoding") is not None:
        return {**body, "data": _decoded(body, body.get("data"), "data")}
    return body


def _check_attribute(name: str, value: Any, *, strict: bool) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a CloudEvent's attribute named {_shown(name)}, where only a-z and 0-9 are allowed"
        )
    if name in _TEXTS:
        if type(value) is not str or not value:
            raise ValueError(
                f"a CloudEvent whose {name} is {_shown(value)}, where text was expected"
            )
        if name == "time" and not _TIME.fullmatch(value):
            raise ValueError(
                f"a CloudEvent whose time is {_shown(value)}, where one such as 2026-01-31T09:00:00Z"
                " was expected"
            )
    elif strict and not _is_attribute(value):
        raise ValueError(
            f"a CloudEvent whose attribute {name} is {_shown(value)}, where text, true, false or an"
            " integer of 32 bits was expected"
        )


def _is_attribute(value: Any) -> bool:
    return type(value) in (str, bool) or (type(value) is int and -(2**31) <= value < 2**31)


def _decoded(body: Body, text: Any, name: str) -> Any:
    try:
        if type(text) is not str:
            raise ValueError
        blob = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise ValueError(f"a CloudEvent whose {name} is not base64") from None
    kind = body.get("datacontenttype") or "application/json"
    if _JSON.fullmatch(kind):
        try:
            return parse_value(blob, is_odd(blob))
        except ValueError as error:
            raise ValueError(
                f"in the {name} of a CloudEvent, which is {_shown(kind)}: {error}"
            ) from None
    if _TEXT.fullmatch(kind):
        try:
            return blob.decode()
        except UnicodeDecodeError:
            return text
    return text


def _shown(value: Any) -> str:
    text = to_json(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
