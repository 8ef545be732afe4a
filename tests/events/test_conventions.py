"""Every convention: its events read from a sample of its own, told from the others, refused when wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from durproj.errors import UsageError
from durproj.events.envelope import Envelope
from durproj.events.formats.detection import detect
from durproj.events.formats.mapping import CONVENTION_NAMES, Layers, Mapping
from durproj.events.lines import make_chunk
from durproj.events.log import Index
from durproj.events.reader import Source
from durproj.events.single import SingleStream

SAMPLES = Path(__file__).parent / "envelopes"
DEBEZIUM_KEY = "after.id|before.id"
PLACED = {"total": 12.5}

EXPECTED = {
    "cloudevents": [
        ("o-1", "com.example.placed", "a1", "2026-01-31T09:00:00Z", PLACED),
        ("o-1", "com.example.paid", "a2", "2026-01-31T09:00:01.25+01:00", {"paid": True}),
        ("o-2", "com.example.noted", "a1", None, "hello"),
        ("o-3", "com.example.old", "a4", None, "<a/>"),
    ],
    "message-db": [
        ("123-x", "Deposited", "5b2b7e0c-0001-4000-8000-000000000001", "2026-01-31 09:00:00.123456", {"amount": 11}),
        ("7", "Withdrawn", "5b2b7e0c-0002-4000-8000-000000000002", "2026-01-31 09:00:01", {"amount": 3}),
    ],
    "kurrent": [
        ("order-1", "OrderPlaced", "e-1", "2026-01-31T09:00:00.5Z", {"total": 5}),
        None,
        ("order-1", "OrderPaid", "e-3", "2026-01-31T09:00:02Z", {"by": "card"}),
    ],
    "marten": [
        ("3f6d-1", "member_joined", "0190-a", "2026-01-31 09:00:00.5+00", {"Name": "Ann"}),
        ("3f6d-1", "member_left", "0190-b", "2026-01-31 09:05:00+00", {"Name": "Bo"}),
    ],
    "emmett": [
        ("cart-1", "ProductAdded", "m-1", "2026-01-31T09:00:00+00:00", {"product": "shoes"}),
        ("cart-1", "CartConfirmed", "m-2", None, {"at": "noon"}),
    ],
    "segment": [
        ("u1", "Order Completed", "s-1", "2026-01-31T09:00:00.000Z", {"revenue": 9}),
        ("anon-1", "identify", "s-2", "2026-01-31T09:00:01.000Z", {"plan": "pro"}),
        ("anon-2", "page", "s-3", "2026-01-31T09:00:02.000Z", {"path": "/"}),
    ],
    "mixpanel": [
        ("d-1", "Signed up", "x1", 1769850000, {"time": 1769850000, "distinct_id": "d-1", "$insert_id": "x1", "plan": "free"}),
        ("13", "Upgraded", "x2", 1769850000123, {"time": 1769850000123, "distinct_id": 13, "$insert_id": "x2"}),
    ],
    "amplitude": [
        ("u1", "play", "am-1", "2026-01-31 09:00:00.123000", {"song": "a"}),
        ("d2", "stop", "am-2", "2026-01-31 09:00:03.000000", {}),
    ],
    "github": [
        ("alice", "PushEvent", "32100000001", "2026-01-31T09:00:00Z", {"size": 2}),
        ("bob", "WatchEvent", "32100000002", "2026-01-31T09:00:00Z", {"action": "started"}),
    ],
    "debezium": [
        ("1004", "c", None, 1769850000100, {"id": 1004, "name": "Anne"}),
        ("1004", "u", None, 1769850001100, {"id": 1004, "name": "Ann"}),
        ("1004", "d", None, 1769850002100, {"id": 1004, "name": "Ann"}),
        None,
    ],
    "stripe": [
        ("cus_9", "customer.created", "evt_1", 1769850000, {"id": "cus_9", "object": "customer", "email": "a@example.com"}),
        ("cus_9", "invoice.paid", "evt_2", 1769850005, {"id": "in_1", "object": "invoice", "customer": "cus_9", "total": 900}),
        ("cus_9", "charge.succeeded", "evt_3", 1769850009, {"id": "ch_1", "object": "charge", "customer": {"id": "cus_9", "object": "customer"}}),
    ],
    "eventbridge": [
        ("arn:aws:ec2:us-west-1:111122223333:instance/i-1", "EC2 Instance State-change Notification", "6a7e", "2026-01-31T09:00:00Z", {"instance-id": "i-1", "state": "terminated"}),
        ("arn:aws:ec2:us-west-1:111122223333:instance/i-2", "EC2 Instance State-change Notification", "6a7f", "2026-01-31T09:00:05Z", {"instance-id": "i-2", "state": "running"}),
    ],
    "pm4py": [
        ("A-17", "register", None, "2026-01-31T09:00:00+01:00", {"case:concept:name": "A-17", "concept:name": "register", "time:timestamp": "2026-01-31T09:00:00+01:00", "org:resource": "Sue"}),
        ("A-18", "decide", None, "2026-01-31T09:30:00+01:00", {"case:concept:name": "A-18", "concept:name": "decide", "time:timestamp": "2026-01-31T09:30:00+01:00", "org:resource": "Pete"}),
    ],
    "resonate": [
        (None, "UserRegistered", "evt_001", "2026-01-15T09:00:00Z", {"name": "Alice"}),
        (None, "EmailVerified", "evt_002", "2026-01-15T09:05:00Z", {}),
    ],
    "plain": [
        ("ann", "login", 1, "2026-01-31T09:00:00Z", {"id": 1, "type": "login", "user": "ann", "time": "2026-01-31T09:00:00Z", "ip": "10.0.0.1"}),
        ("bob", "logout", 2, 1769850000, {"id": 2, "type": "logout", "user": "bob", "time": 1769850000, "ip": "10.0.0.2"}),
    ],
    "kcat": [
        ("u1", "click", "c1", 1769850000000, {"x": 1}),
        ("u2", "scroll", "c2", 1769850000001, {}),
    ],
    "kcat+debezium": [
        ("1004", "c", None, 1769850000100, {"id": 1004}),
        ("1004", "d", None, 1769850000200, {"id": 1004}),
        None,
    ],
    "kcat+cloudevents": [
        ("o-1", "placed", "k1", None, {"n": 1}),
        ("o-1", "paid", "k2", None, {}),
    ],
}  # fmt: skip


def sample(name):
    return SAMPLES / f"{name}.jsonl"


def detected(name, **given):
    if name == "debezium":
        given.setdefault("key", DEBEZIUM_KEY)
    return detect(Source([str(sample(name))]).sample(), Mapping(**given))


def seen(event):
    return event and (event.key, event.type, event.id, event.time, event.data)


def test_there_is_a_sample_of_every_convention():
    assert {file.stem for file in SAMPLES.iterdir()} == set(EXPECTED)
    assert set(CONVENTION_NAMES) <= set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_events_of_a_convention_are_what_its_documentation_says(name):
    envelope = Envelope(detected(name, format=name))
    lines = sample(name).read_bytes().splitlines()
    for exact in (False, True):
        assert [seen(envelope.examine(line, exact)) for line in lines] == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_convention_is_told_from_the_others_by_its_events(name):
    found = detected(name)
    assert found.format == (None if name in {"plain", "resonate"} else name)
    explicit = detected(name, format=name)
    assert {**explicit.to_dict(), "format": None} == {**found.to_dict(), "format": None}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_events_are_the_same_however_they_are_read(name):
    envelope = Envelope(detected(name, format=name))
    expected = [event for event in EXPECTED[name] if event]
    chunk = make_chunk(sample(name).read_bytes(), "log", 1, 0, 0)
    for odd in (False, True):
        chunk.odd = odd
        for key in {event[0] for event in expected}:
            lines, events, _, error = SingleStream(envelope, key, "error").take(chunk)
            assert error is None
            assert [seen(event) for event in events] == [e for e in expected if e[0] == key]
            assert [seen(event) for event in envelope.events(lines, key)] == [
                e for e in expected if e[0] == key
            ]
            assert all(event.line == line for event, line in zip(events, lines, strict=True))
            assert all(event.body == json.loads(event.line) for event in events)
    if expected[0][0] is not None:
        with Index.build(Source([str(sample(name))]), envelope) as index:
            assert index.error is None
            assert list(index.keys) == list(dict.fromkeys(event[0] for event in expected))


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in {"plain", "pm4py"}])
def test_a_line_that_does_not_follow_the_convention_is_refused_with_what_is_missing(name):
    envelope = Envelope(detected(name, format=name))
    what = name.partition("+")[0]
    with pytest.raises(ValueError, match=f"no event of the format {what}: it has no "):
        envelope.examine(b'{"neither":"this","nor":"that"}', exact=False)
    with pytest.raises(ValueError, match="an array, where an event"):
        envelope.examine(b"[]", exact=False)


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("stripe", {"object": "list"}, 'its object is "list", where "event" was expected'),
        ("debezium", {"op": "x"}, 'its op is "x", where "c" or "u"'),
        ("segment", {"type": "buy"}, 'its type is "buy", where "track"'),
        ("kcat+cloudevents", {"payload": "{"}, "in the payload: "),
        ("kcat+cloudevents", {"payload": "text"}, "in the payload: a string, where"),
        ("kcat+cloudevents", {"payload": '{"specversion":"1.0"}'}, "in the payload: a CloudEvent"),
        ("message-db", {"data": '{"n":18446744073709551616}'}, "does not fit 64 bits"),
        ("message-db", {"data": "{'n':1}"}, "in the data: a field name must be a string"),
    ],
)
def test_wrong_values_are_named(name, changes, why):
    body = json.loads(sample(name).read_bytes().splitlines()[0]) | changes
    envelope = Envelope(detected(name, format=name))
    with pytest.raises(ValueError, match=why.replace("(", r"\(")):
        envelope.examine(json.dumps(body).encode(), exact=False)


def test_one_line_of_another_kind_and_the_log_is_plain():
    bodies = Source([str(sample("github"))]).sample()
    assert detect(bodies).format == "github"
    assert detect([*bodies, {"id": "3", "type": "x"}]).format is None


def test_what_is_given_wins_over_the_convention():
    found = detected("github", key="repo.name", data="", time="payload.at")
    assert (found.key, found.data, found.time) == ("repo.name", None, "payload.at")
    assert found.format == "github"
    assert detected("kcat", key="payload.id").key == "payload.id"


def test_the_primary_key_of_a_row_has_to_be_said():
    bodies = Source([str(sample("debezium"))]).sample()
    with pytest.raises(UsageError, match="which of its columns is the primary key") as met:
        detect(bodies)
    assert met.value.hint == "say it, as with: --key 'after.id|before.id'"
    assert detect(bodies, Mapping(key="")).key is None
    keyless = [
        {**record, "key": None} for record in Source([str(sample("kcat+debezium"))]).sample()
    ]
    with pytest.raises(UsageError) as met:
        detect(keyless)
    assert "--key 'payload.after.id|payload.before.id'" in met.value.hint


def test_a_key_that_is_on_no_line_is_none():
    bare = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    assert detect([bare]).key is None
    assert detect([bare, {**bare, "subject": "x"}]).key == "subject|partitionkey"
    assert detect([], Mapping(format="cloudevents")).key == "subject|partitionkey"


def test_kafka_records_of_text_are_events_and_those_of_nothing_are_none():
    record = {"topic": "t", "partition": 0, "offset": 1, "ts": 5, "key": "k", "payload": "hello"}
    bodies = [record, {**record, "payload": None}, {**record, "payload": "17"}]
    found = detect(bodies)
    assert found == Mapping("key", None, None, "ts", "payload", "offset", "kcat")
    envelope = Envelope(found)
    seen = [envelope.examine(json.dumps(body).encode(), exact=False) for body in bodies]
    assert [event and event.data for event in seen] == ["hello", None, "17"]


@pytest.mark.parametrize("name", CONVENTION_NAMES)
def test_a_tombstone_is_no_event_whatever_the_records_hold(name):
    mapping = Mapping(key="key", format=f"kcat+{name}")
    tombstone = b'{"topic":"t","partition":0,"offset":1,"ts":5,"key":"k","payload":null}'
    assert Envelope(mapping).examine(tombstone, exact=False) is None


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        (None, Layers(None, kafka=False, convention=None)),
        ("auto", Layers(None, kafka=False, convention=None)),
        ("array+auto", Layers("array", kafka=False, convention=None)),
        ("plain", Layers(None, kafka=False, convention="plain")),
        ("csv", Layers("csv", kafka=False, convention=None)),
        ("kcat+plain", Layers(None, kafka=True, convention="plain")),
        ("array+kcat+github", Layers("array", kafka=True, convention="github")),
        ("xes", Layers("xes", kafka=False, convention="pm4py")),
    ],
)
def test_names_of_formats(name, layers):
    assert Layers.parse(name) == layers
    again = Layers.parse(layers.resolved().name).resolved()
    assert again == layers.resolved()
    assert layers.fits(again)


@pytest.mark.parametrize(
    "name",
    ["nope", "kcat+nope", "github+kcat", "csv+xes", "xes+github", "kcat+kcat", "\x1b[2J", "+"],
)
def test_unknown_formats_are_refused_with_those_there_are(name):
    with pytest.raises(UsageError, match="no such format") as met:
        Layers.parse(name)
    assert met.value.message.isprintable()
    assert "cloudevents" in met.value.hint


def test_no_other_format_fits():
    stored = Layers.parse("array+github").resolved()
    assert Layers.parse("array").fits(stored)
    assert not Layers.parse("github").fits(stored)
    assert not Layers.parse("array+kcat").fits(stored)
    assert not Layers.parse("array+stripe").fits(stored)
    assert not Layers.parse("csv").fits(stored)


def test_the_whole_event_is_the_data_as_it_is_read_and_the_body_as_it_is_written():
    envelope = Envelope(detected("message-db", data=""))
    line = sample("message-db").read_bytes().splitlines()[0]
    event = envelope.examine(line, exact=False)
    assert event.data == json.loads(line) | {
        "category": "account",
        "stream_id": "123-x",
        "data": {"amount": 11},
    }
    assert event.body == json.loads(line)
