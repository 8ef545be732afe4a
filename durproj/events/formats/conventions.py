"""Conventions: how the systems that write event logs lay out their events.

The fields are those of each system's public documentation. What tells a convention are fields that all
of its events have; a log follows it when every sampled line has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from durproj.codec import to_json
from durproj.events.formats import shapes
from durproj.events.formats.kafka import kafka_shape
from durproj.events.formats.mapping import (
    CLOUDEVENTS,
    DEBEZIUM,
    FLATTENED_XES,
    PLAIN,
    Layers,
    Mapping,
)
from durproj.events.formats.paths import reader
from durproj.events.lines import an_object

Body = dict[str, Any]
Shape = Callable[[Any], Body | None]


@dataclass(frozen=True, slots=True)
class Convention:
    """One convention.

    mapping: where its events keep what. tells: paths that lead somewhere in each of them and, where the
    convention has no other, the values there. unwrap: from a line's value to the event's body; None when
    the line is no event. refine: from a body that has the tell-tale fields to the one in which paths are
    read; None when it is no event; raises ValueError. told: whether a log is taken for it unless told
    otherwise. flat: its lines need no look beyond their paths.
    """

    name: str
    mapping: Mapping
    tells: dict[str, tuple[Any, ...]]
    unwrap: Callable[[Any], Body | None] = an_object
    refine: Callable[[Body], Body | None] | None = None
    told: bool = True
    flat: bool = False

    def missing(self, body: Body) -> str | None:
        """What `body` lacks of the tell-tale fields, in words; None when it has them all."""
        for path, values in self.tells.items():
            value = _READERS[path](body)
            if value is None:
                return f"it has no {' or '.join(path.split('|'))}"
            if values and value not in values:
                expected = " or ".join(map(to_json, values))
                return f"its {path} is {_short(value)}, where {expected} was expected"
        return None

    def holds(self, value: Any) -> bool:
        """Whether a line's value follows the convention."""
        try:
            body = self.unwrap(value)
        except ValueError:
            return False
        return body is not None and self.missing(body) is None

    def shape(self, value: Any) -> Body | None:
        """The body in which paths are read, of a line's value; None when the line is no event. Raises
        ValueError with the reason when it does not follow the convention."""
        body = self.unwrap(value)
        if body is None:
            return None
        missing = self.missing(body)
        if missing is not None:
            raise ValueError(f"no event of the format {self.name}: {missing}")
        return body if self.refine is None else self.refine(body)


def shape_of(layers: Layers) -> Shape | None:
    """What makes a line's value the body in which paths are read; None where that is the line itself."""
    convention = CONVENTIONS.get(layers.convention or PLAIN)
    inner = None if convention is None or convention.flat else convention.shape
    if not layers.kafka:
        return inner
    row_key = layers.convention == DEBEZIUM
    return partial(kafka_shape, inner=inner, row_key=row_key)


def _short(value: Any) -> str:
    text = to_json(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


_ALL = (
    Convention(
        # https://github.com/cloudevents/spec/blob/main/cloudevents/formats/json-format.md
        CLOUDEVENTS,
        Mapping("subject|partitionkey", "type", "id", "time", "data", "sequence"),
        {"specversion": ()},
        refine=shapes.cloudevent,
    ),
    Convention(
        # https://debezium.io/documentation/reference/stable/connectors/postgresql.html
        DEBEZIUM,
        Mapping(None, "op", None, "ts_ms", "after|before", "source.lsn|source.pos|source.scn"),
        {"op": ("c", "u", "d", "r", "t", "m"), "source": ()},
        unwrap=shapes.change,
    ),
    Convention(
        # https://docs.stripe.com/api/events/object; a customer may be expanded into an object
        "stripe",
        Mapping(
            "data.object.customer.id|data.object.customer|data.object.id",
            *("type", "id", "created", "data.object"),
        ),
        {"object": ("event",), "data.object": (), "type": ()},
    ),
    Convention(
        # https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
        "eventbridge",
        Mapping("resources.0", "detail-type", "id", "time", "detail"),
        {"detail-type": (), "detail": (), "source": ()},
    ),
    Convention(
        # https://docs.kurrent.io/server/latest/http-api, and what its clients return
        "kurrent",
        Mapping(
            *("streamId", "eventType|type", "eventId|id", "created|updated|timestamp", "data"),
            "eventNumber|revision",
        ),
        {"streamId": (), "eventType|type": (), "eventNumber|revision": ()},
        refine=shapes.kurrent,
    ),
    Convention(
        # https://martendb.io/events/storage.html: the table mt_events
        "marten",
        Mapping("stream_id", "type", "id", "timestamp", "data", "version"),
        {"seq_id": (), "stream_id": (), "type": ()},
        refine=shapes.parsed_data,
    ),
    Convention(
        # http://docs.eventide-project.org/user-guide/message-db/server-functions.html
        "message-db",
        Mapping("stream_id", "type", "id", "time", "data", "position"),
        {"stream_name": (), "global_position": (), "type": ()},
        refine=shapes.message_db,
    ),
    Convention(
        # https://event-driven-io.github.io/emmett/: recorded messages, and the table emt_messages
        "emmett",
        Mapping(
            "stream_id|metadata.streamName",
            "message_type|type",
            "message_id|metadata.messageId",
            "created",
            "message_data|data",
            "stream_position|metadata.streamPosition",
        ),
        {
            "message_type|type": (),
            "stream_position|metadata.streamPosition": (),
            "stream_id|metadata.streamName": (),
        },
        refine=shapes.parsed_data,
    ),
    Convention(
        # https://segment.com/docs/connections/spec/common/
        "segment",
        Mapping("userId|anonymousId", "event|type", "messageId", "timestamp", "properties|traits"),
        {
            "messageId": (),
            "userId|anonymousId": (),
            "type": ("track", "identify", "page", "screen", "group", "alias"),
        },
        refine=shapes.segment,
    ),
    Convention(
        # https://developer.mixpanel.com/reference/raw-event-export
        "mixpanel",
        Mapping(
            *("properties.distinct_id", "event", "properties.$insert_id", "properties.time"),
            "properties",
        ),
        {"event": (), "properties.distinct_id": ()},
    ),
    Convention(
        # https://amplitude.com/docs/apis/analytics/export
        "amplitude",
        Mapping(
            *("user_id|device_id", "event_type", "uuid|$insert_id", "event_time"),
            *("event_properties", "event_id"),
        ),
        {"event_type": (), "event_properties": (), "user_id|device_id": ()},
    ),
    Convention(
        # https://www.gharchive.org and https://docs.github.com/en/rest/using-the-rest-api/github-event-types
        "github",
        Mapping("actor.login", "type", "id", "created_at", "payload"),
        {"actor.login": (), "repo.name": (), "payload": (), "type": ()},
    ),
    Convention(
        # The columns of https://www.tf-pm.org/resources/xes-standard as pm4py flattens them
        FLATTENED_XES,
        Mapping(r"case:concept:name", "concept:name", "identity:id", "time:timestamp", None),
        {"case:concept:name": (), "concept:name": ()},
        flat=True,
    ),
    Convention(
        # https://github.com/resonatehq-examples: a log of it is read as plain unless told otherwise
        "resonate",
        Mapping(None, "type", "eventId", "timestamp", "payload"),
        {"eventId": (), "type": (), "payload": ()},
        told=False,
    ),
)
CONVENTIONS = {convention.name: convention for convention in _ALL}
_READERS = {path: reader(path) for convention in _ALL for path in convention.tells}
