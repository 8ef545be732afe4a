from __future__ import annotations

import pytest

from durproj.errors import UsageError
from durproj.events.envelope import Envelope
from durproj.events.formats.detection import Mapping, detect, infrequent_keys, split_path

RESONATE = {
    "eventId": "evt_001",
    "type": "Placed",
    "timestamp": "2026-01-15T09:00:00Z",
    "payload": {"a": 1},
}


@pytest.mark.parametrize(
    ("body", "mapping"),
    [
        (RESONATE, Mapping(None, "type", "eventId", "timestamp", "payload")),
        (
            {"messageId": "m", "event": "Paid", "userId": 7, "timestamp": 1, "properties": {}},
            Mapping("userId", "event", "messageId", "timestamp", "properties"),
        ),
        (
            {
                "id": 3,
                "stream_name": "account-1",
                "type": "t",
                "time": "x",
                "data": {},
                "position": 1,
            },
            Mapping("stream_name", "type", "id", "time", "data"),
        ),
        (
            {"action": "edit", "@timestamp": 1.5, "user": "é"},
            Mapping("user", "action", None, "@timestamp", None),
        ),
        ({"type": {"nested": 1}, "id": True, "time": [], "key": 1.5, "data": None}, Mapping()),
        ({}, Mapping()),
    ],
)
def test_detects_the_conventions(body, mapping):
    assert detect([body, body]) == mapping


def test_a_field_must_be_on_every_sampled_line():
    lines = [{"eventId": "1", "id": "a", "type": "x"}, {"id": "b", "type": "x"}]
    assert detect(lines).id == "id"
    assert detect([]) == Mapping()


def test_data_missing_on_a_few_lines_is_still_the_data():
    with_data = {"type": "x", "payload": {"a": 1}}
    assert detect([with_data, with_data, {"type": "logout"}]).data == "payload"
    assert detect([with_data, {"type": "y"}]).data is None


def test_two_key_candidates_are_refused_with_both_shown():
    with pytest.raises(UsageError) as met:
        detect([{"userId": "u1", "account_id": "\x1b[31mx"}])
    assert 'userId       for example "u1"' in met.value.message
    assert 'account_id   for example "\\u001b[31mx"' in met.value.message
    assert met.value.hint == "choose one: --key userId"
    assert met.value.exit_code == 2


def test_a_given_path_wins_even_over_ambiguity():
    lines = [{"userId": "u1", "account_id": 2, "type": "x"}]
    assert detect(lines, Mapping(key="account_id")).key == "account_id"
    assert detect(lines, Mapping(key="actor.login")).key == "actor.login"
    assert detect(lines, Mapping(key="")).key is None
    assert detect([RESONATE], Mapping(data="")).data is None


def test_a_name_with_dots_taken_for_a_path_is_pointed_out():
    lines = [{"id.orig_h": "10.0.0.1"}]
    with pytest.raises(UsageError, match="leads nowhere") as met:
        detect(lines, Mapping(key="id.orig_h"))
    assert met.value.hint == "write --key 'id\\.orig_h'"
    assert Envelope(Mapping(key="id\\.orig_h")).key_of(lines[0]) == "10.0.0.1"


def test_keys_on_some_lines_are_told():
    lines = [{"subject": "a"}, {"subject": None}, {"user": 1.5}, {"userId": 1}]
    assert infrequent_keys(lines) == {"userId": 1, "subject": 1}
    assert infrequent_keys([{"userId": 1}]) == {}
    assert infrequent_keys([]) == {}


def test_a_key_on_half_of_the_lines_or_more_is_asked_for():
    lines = [{"userId": "a"}, {"user": "a", "userId": 2}, {"user": "b"}, {"subject": "c"}]
    with pytest.raises(UsageError, match="userId is on 2, user is on 2 of the first 4") as met:
        infrequent_keys(lines)
    assert "--key userId --no-key skip" in met.value.hint


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a", ("a",)),
        ("actor.login", ("actor", "login")),
        ("a\\.b.c", ("a.b", "c")),
        ("a\\\\.b", ("a\\", "b")),
        ("$insert_id", ("$insert_id",)),
        ("ocel:activity", ("ocel:activity",)),
        ("@timestamp", ("@timestamp",)),
        ("/a.b/c~1d/~0e", ("a.b", "c/d", "~e")),
        ("/", ("",)),
        ("/~01", ("~1",)),
    ],
)
def test_paths(path, parts):
    assert split_path(path) == parts


@pytest.mark.parametrize("path", ["", ".", "a..b", ".a", "a.", "a\\", "a.b\\"])
def test_unreadable_paths_are_refused(path):
    with pytest.raises(UsageError, match="cannot be read"):
        split_path(path)


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("k", {"k": "u1"}, "u1"),
        ("k", {"k": ""}, ""),
        ("k", {"k": 0}, "0"),
        ("k", {"k": -7}, "-7"),
        ("k", {"k": 2**63}, "9223372036854775808"),
        ("k", {"k": None}, None),
        ("k", {}, None),
        ("a.b", {"a": {"b": "x"}}, "x"),
        ("a.b", {"a": "text"}, None),
        ("a.b", {"a.b": "literal"}, None),
        ("a.1", {"a": ["x", "y"]}, "y"),
        ("a.9", {"a": ["x", "y"]}, None),
        ("a.²", {"a": ["x", "y"]}, None),
        ("/a~1b", {"a/b": "x"}, "x"),
        (None, {"k": "x"}, None),
    ],
)
def test_key_text(path, body, key):
    assert Envelope(Mapping(key=path)).key_of(body) == key


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true or false"),
        (1.0, "a number with a fraction"),
        ({}, "an object"),
        (["a"], "an array"),
    ],
)
def test_other_kinds_are_no_key_type_or_id(value, text):
    envelope = Envelope(Mapping(key="k", type="t", id="i"))
    with pytest.raises(ValueError, match=f"the key \\(k\\) is {text}"):
        envelope.key_of({"k": value})
    for deep in (Mapping(type="t", id="i"), Mapping(type="t", id="i", data="a.b")):
        with pytest.raises(ValueError, match=f"the type is {text}"):
            Envelope(deep).event({"t": value}, b"", "k")
        with pytest.raises(ValueError, match=f"the id is {text}"):
            Envelope(deep).event({"i": value}, b"", "k")


@pytest.mark.parametrize("nested", [False, True])
def test_event(nested):
    outer = "e." if nested else ""
    envelope = Envelope(Mapping("k", f"{outer}t", f"{outer}i", f"{outer}w", f"{outer}d"))

    def seen(**fields):
        body = {"e": fields} if nested else fields
        event = envelope.event(body, b"line", "u1")
        assert (event.key, event.line) == ("u1", b"line")
        return event.type, event.id, event.time, event.data

    assert seen(t="Placed", i="e1", w="now", d=[1]) == ("Placed", "e1", "now", [1])
    assert seen(t=7, i=8, w=1.5, d=0) == ("7", 8, 1.5, 0)
    assert seen() == ("event", None, None, {})
    assert seen(t=None, d=None) == ("event", None, None, {})


def test_without_a_data_path_the_whole_line_is_the_data():
    body = {"t": "x"}
    assert Envelope(Mapping(type="t")).event(body, b"", "k").data is body
    assert Envelope(Mapping(type="t", id="a.b")).event(body, b"", "k").data is body


def test_mapping_describes_itself_and_comes_back():
    mapping = Mapping(None, "type", "eventId", "timestamp", "payload")
    assert mapping.describe() == "id=eventId type=type key=(none) time=timestamp data=payload"
    assert Mapping.from_dict(mapping.to_dict()) == mapping
    assert Mapping(type="\x1b[2J").describe().isprintable()
    assert Mapping().describe().endswith("data=(whole line)")
