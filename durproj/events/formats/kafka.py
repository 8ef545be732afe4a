"""Kafka records as `kcat -J` prints them: a JSON object around the text that the record holds.

    {"topic":"t","partition":0,"offset":7,"tstype":"create","ts":1700000000000,"key":"u1","payload":"{…}"}

The fields are those of https://github.com/edenhill/kcat (json.c). Paths are read in the object, with its
payload parsed: `payload.type`, `key`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durproj import codec
from durproj.events.formats.mapping import Mapping
from durproj.events.formats.paths import within
from durproj.events.lines import an_object, parse_text

Body = dict[str, Any]

_FIELDS = ("topic", "partition", "offset", "payload")


def is_kafka(body: Any) -> bool:
    """Whether a line's value is a record as kcat prints it."""
    return type(body) is dict and all(name in body for name in _FIELDS)


def payload_of(body: Body) -> Any:
    """What a record holds: JSON where its text is an object or an array, else the text; None for none."""
    try:
        return parse_text(body["payload"])
    except ValueError:
        return body["payload"]


def kafka_shape(
    value: Any, inner: Callable[[Any], Body | None] | None, row_key: bool
) -> Body | None:
    """The record with its payload parsed and shaped by `inner`; None when that is no event, as a tombstone
    is: a record without a payload, by which Kafka forgets the key. `row_key`: the key is a row's primary
    key in JSON, of which the value is taken where it is one column.

    Raises ValueError when it is no record, or its payload not what it should be.
    """
    body = an_object(value)
    for name in _FIELDS:
        if name not in body:
            raise ValueError(f"no event of the format kcat: it has no {name}")
    if body["payload"] is None:
        return None
    try:
        payload = parse_text(body["payload"])
        shaped = payload if inner is None else inner(payload)
    except ValueError as error:
        raise ValueError(f"in the payload: {error}") from None
    if shaped is None:
        return None
    key = _column(body.get("key")) if row_key else body.get("key")
    return {**body, "key": key, "payload": shaped}


def in_kafka(path: str) -> str:
    """`path`, which is read in the payload, as it is read in the record."""
    return within("payload", path)


def from_kafka(mapping: Mapping, *, own_key: bool) -> Mapping:
    """`mapping`, which is of the payload, for the whole record; what the payload has not comes from the
    record. `own_key`: records have a key."""
    paths = {name: in_kafka(path) for name, path in mapping.paths().items()}
    from_record = {
        "key": "key" if own_key else None,
        "time": "ts",
        "data": "payload",
        "seq": "offset",
    }
    return Mapping(**{**from_record, **paths})


def _column(key: Any) -> Any:
    """The value of a key `{"id":7}`, also within a schema (`{"schema":…,"payload":{"id":7}}`); any other
    key as it is."""
    try:
        row = parse_text(key)
    except ValueError:
        return key
    if type(row) is dict and set(row) == {"schema", "payload"}:
        row = row["payload"]
    if type(row) is not dict:
        return key
    if len(row) == 1:
        return next(iter(row.values()))
    return codec.encode(row).decode()
