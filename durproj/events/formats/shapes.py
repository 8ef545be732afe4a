"""Shapes: what some conventions need beyond paths, each a function from an event to the body in which
paths are read, or None when there is no event in it. A ValueError says why it is none though it should be."""

from __future__ import annotations

from typing import Any

from durproj.events.lines import an_object, parse_text

Body = dict[str, Any]


def cloudevent(body: Body) -> Body:
    """A CloudEvent, its data decoded (see `durproj.events.formats.cloudevents`)."""
    from durproj.events.formats.cloudevents import checked

    return checked(body)


def change(value: Any) -> Body | None:
    """Debezium's change of a row, out of the envelope with its schema; None for a tombstone, which Kafka
    keeps as a record without a value."""
    if type(value) is dict and "payload" in value and "schema" in value and "op" not in value:
        value = value["payload"]
    return None if value is None else an_object(value)


def kurrent(body: Body) -> Body | None:
    """An event of KurrentDB; None for the system's own, whose types begin with `$`."""
    kind = body.get("eventType", body.get("type"))
    if type(kind) is str and kind.startswith("$"):
        return None
    return parsed_data(body)


def message_db(body: Body) -> Body:
    """A message of message-db, with the two parts of its stream's name, cut at the first `-`, in the fields
    `category` and `stream_id`; without the latter where the name is of a whole category."""
    category, dash, id = str(body["stream_name"]).partition("-")
    return {**parsed_data(body), "category": category, "stream_id": id if dash else None}


def segment(body: Body) -> Body:
    """A message of Segment; `event` is the name of a `track` call only."""
    if body["type"] == "track" or "event" not in body:
        return body
    return {name: value for name, value in body.items() if name != "event"}


def parsed_data(body: Body) -> Body:
    """`body` with its payload parsed where a client of the database printed it as text."""
    found = {}
    for name in _TEXTS:
        if type(body.get(name)) is str:
            try:
                found[name] = parse_text(body[name])
            except ValueError as error:
                raise ValueError(f"in the {name}: {error}") from None
    return {**body, **found} if found else body


_TEXTS = ("data", "metadata", "message_data", "message_metadata")
