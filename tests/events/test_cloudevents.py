"""CloudEvents: valid ones are read, invalid ones refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from durproj.events.envelope import Envelope
from durproj.events.formats.detection import detect
from durproj.events.formats.mapping import Mapping

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "cloudevents"
GIVEN = Mapping("subject", "type", "id", "time", "data", "sequence", "cloudevents")
ENVELOPE = Envelope(GIVEN)
MINIMAL = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}

VALID = {
    "base64_json_data": {},
    "base64_json_data_with_ext": {},
    "base64_text_data": "Hello World Lorena!",
    "base64_xml_data": "<stuff></stuff>",
    "binary_attr": {},
    "json_data": {},
    "json_data_with_ext": {},
    "json_data_with_fractional_time": {},
    "min": {},
    "min_subject_null": {},
    "numeric_ext": {},
    "text_data": "Hello World Lorena!",
    "xml_data": "<stuff></stuff>",
}
INVALID = {
    "fail_numeric_decimal": "attribute decimal is 42.42, where text, true, false or an integer of 32 bits",
    "fail_numeric_long": "attribute long is 4247483647, where text, true, false or an integer of 32 bits",
    "json_data_with_ext_invalid": 'attribute named "a_invalid_name", where only a-z and 0-9',
    "json_data_with_ext_upper_case": 'attribute named "aString", where only a-z and 0-9',
}


def read(body):
    return ENVELOPE.examine(json.dumps(body).encode(), exact=False)


needs_vectors = pytest.mark.skipif(
    not VECTORS.exists(), reason="the real data is not here (../shared/data)"
)


@needs_vectors
def test_every_vector_is_known():
    assert {file.stem for file in VECTORS.glob("*.json")} == {*VALID, *INVALID}


@needs_vectors
@pytest.mark.parametrize("name", VALID)
def test_a_valid_vector_is_read(name):
    body = json.loads((VECTORS / f"{name}.json").read_bytes())
    assert detect([body]).format == "cloudevents"
    event = read(body)
    assert (event.id, event.type, event.data) == ("1", "mock.test", VALID[name])
    assert (event.key, event.time) == (body.get("subject"), body.get("time"))
    assert event.body == body


@needs_vectors
@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_vector_is_refused_with_the_reason(name):
    with pytest.raises(ValueError, match=INVALID[name]):
        read(json.loads((VECTORS / f"{name}.json").read_bytes()))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": None}, "without id"),
        ({"source": None}, "without source"),
        ({"type": None}, "without type"),
        ({"id": ""}, 'id is "", where text'),
        ({"id": 7}, "id is 7, where text"),
        ({"specversion": "2.0"}, 'version "2.0", where 1.0 or 0.3'),
        ({"specversion": 1.0}, "version 1.0, where 1.0 or 0.3"),
        ({"time": "yesterday"}, 'time is "yesterday"'),
        ({"time": "2026-01-31T09:00:00"}, "time is"),
        ({"time": "2026-01-31T25:00:00Z"}, "time is"),
        ({"subject": ""}, 'subject is ""'),
        ({"ext": {"a": 1}}, "attribute ext is "),
        ({"ext": [1]}, "attribute ext is "),
        ({"ext": 2**31}, "attribute ext is 2147483648"),
        ({"data": 1, "data_base64": "e30="}, "both data and data_base64"),
        ({"data_base64": "e30"}, "data_base64 is not base64"),
        ({"data_base64": "e 30="}, "data_base64 is not base64"),
        ({"data_base64": {"a": 1}}, "data_base64 is not base64"),
        ({"data_base64": "bm8="}, "in the data_base64 of a CloudEvent"),
        ({"data_base64": "MTg0NDY3NDQwNzM3MDk1NTE2MTY="}, "does not fit 64 bits"),
        (
            {"specversion": "0.3", "datacontentencoding": "base64", "data": "?"},
            "data is not base64",
        ),
        ({"\x1b[2J": 1}, r"attribute named .\\u001b\[2J"),
    ],
)
def test_an_invalid_event_is_refused_with_the_reason(changes, why):
    with pytest.raises(ValueError, match=why) as met:
        read(MINIMAL | changes)
    assert str(met.value).isprintable()


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({"data": "<a/>", "datacontenttype": "application/xml"}, "<a/>"),
        ({"data": [1, None]}, [1, None]),
        ({"data": None, "data_base64": "WzFd"}, [1]),
        ({"data_base64": "WzFd", "datacontenttype": "application/vnd.x+json; charset=utf-8"}, [1]),
        ({"data_base64": "aGk=", "datacontenttype": "text/csv; charset=utf-8"}, "hi"),
        ({"data_base64": "/w==", "datacontenttype": "text/plain"}, "/w=="),
        ({"data_base64": "WzFd", "datacontenttype": "application/octet-stream"}, "WzFd"),
        ({"specversion": "0.3", "ext": {"any": 1}, "data": 1}, 1),
        ({"ext": -(2**31), "flag": False, "time": "2026-01-31t09:00:60.123456789z"}, {}),
    ],
)
def test_data_is_what_its_content_type_says(changes, data):
    assert read(MINIMAL | changes).data == data


def test_an_id_is_unique_with_its_source():
    first, second = read(MINIMAL), read(MINIMAL | {"source": "/other"})
    assert first.id == second.id
    assert ENVELOPE.event_id(first) != ENVELOPE.event_id(second)
    assert ENVELOPE.sequence(json.dumps(MINIMAL | {"sequence": "00001"}).encode()) == "00001"
    assert ENVELOPE.sequence_is_text
