"""Paths with alternatives, and keys of several values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durproj.errors import UsageError
from durproj.events.envelope import Envelope
from durproj.events.formats.detection import detect
from durproj.events.formats.mapping import Mapping
from durproj.events.formats.paths import EACH, alternatives, dig, split_path, within, written
from durproj.events.lines import make_chunk
from durproj.events.log import Index
from durproj.events.reader import Source
from durproj.events.single import SingleStream


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a|b", (("a",), ("b",))),
        ("a.b|c", (("a", "b"), ("c",))),
        (r"a\|b", (("a|b",),)),
        (r"a\\|b", (("a\\",), ("b",))),
        ("/a|/b/c", (("a",), ("b", "c"))),
        (r"/a\|b", (("a|b",),)),
        ("items[].id", (("items", EACH, "id"),)),
        ("a.items[]", (("a", "items", EACH),)),
        ("a[][].b", (("a", EACH, EACH, "b"),)),
        (r"items\[]", (("items[]",),)),
        ("/items[]", (("items[]",),)),
        ("a[0]", (("a[0]",),)),
    ],
)
def test_alternatives_and_elements(path, parts):
    found = alternatives(path)
    assert found == parts
    marks = [part is EACH for each in found for part in each]
    assert marks == [part is EACH for each in parts for part in each]


@pytest.mark.parametrize("path", ["|", "a|", "|a", "a||b", "[]", "[].a", "a.[]", "a|b.", "a|b\\"])
def test_half_a_path_is_refused(path):
    with pytest.raises(UsageError, match="cannot be read"):
        alternatives(path)


@given(name=st.text(min_size=1))
def test_every_name_can_be_written(name):
    if not name.startswith("/"):
        assert split_path(written(name)) == (name,)
        assert alternatives(written(name)) == ((name,),)
        assert dig({name: 7}, split_path(written(name))) == 7


def test_a_path_from_outside_of_a_field():
    assert within("payload", r"a.b|c\|d") == r"payload.a.b|payload.c\|d"


def key_of(path, body):
    return Envelope(Mapping(key=path)).key_of(body)


@pytest.mark.parametrize(
    ("body", "key"),
    [({"u": "1", "a": "2"}, "1"), ({"a": 2}, "2"), ({"u": None, "a": "2"}, "2"), ({"u": ""}, ""), ({}, None)],
)  # fmt: skip
def test_the_first_alternative_that_is_there(body, key):
    assert key_of("u|a", body) == key


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({"items": [{"id": "b"}, {"id": 1}, {"id": "b"}, {"id": "1"}]}, ("b", "1")),
        ({"items": [{"id": None}, {}, "x", {"id": "a"}]}, ("a",)),
        ({"items": []}, None),
        ({"items": "text"}, None),
        ({"items": {"id": "a"}}, None),
        ({}, None),
    ],
)
def test_every_element_once_in_order_of_appearance(body, keys):
    assert key_of("items[].id", body) == keys


def test_an_element_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"the key \(items\[\]\.id\) is true or false"):
        key_of("items[].id", {"items": [{"id": "a"}, {"id": True}]})


@pytest.mark.parametrize("name", ["type", "id", "time", "data", "seq"])
def test_only_the_key_may_be_many(name):
    with pytest.raises(UsageError, match=f"an event has one {name}"):
        Envelope(Mapping(**{name: "items[].x"}))


@pytest.mark.parametrize("name", ["items[]", "a|b", "a.b"])
def test_a_name_taken_for_a_path_is_pointed_out(name):
    with pytest.raises(UsageError, match="leads nowhere") as met:
        detect([{name: "x"}], Mapping(key=name))
    fixed = met.value.hint.removeprefix("write --key '").removesuffix("'")
    assert key_of(fixed, {name: "x"}) == "x"


LINES = [
    b'{"items":[{"id":"a"},{"id":"b"}],"n":1}',
    b'{"items":[{"id":"b"},{"id":"b"}],"n":2}',
    b"",
    b'{"items":[{"id":"c"},{"id":"a"},{"id":"b"}],"n":3}',
]
STREAMS = {"a": [0, 3], "b": [0, 1, 3], "c": [3]}
ENVELOPE = Envelope(Mapping(key="items[].id"))


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("asked", [None, frozenset("a"), frozenset("bc")])
@pytest.mark.parametrize("block", [1, 1 << 16])
def test_a_line_is_filed_under_each_of_its_keys(tmp_path, asked, block, places):
    path = tmp_path / "log"
    path.write_bytes(b"\n".join(LINES))
    source = Source([str(path)], block=block)
    with Index.build(source, ENVELOPE, asked, places=places) as index:
        found = {key: [line for lines in index.lines(key) for line in lines] for key in index.keys}
        expected = {key: at for key, at in STREAMS.items() if asked is None or key in asked}
        assert found == {key: [LINES[n] for n in at] for key, at in expected.items()}
        if places:
            named = {key: [index.place(n) for n in index.numbers(key)] for key in index.keys}
            assert named == {key: [f"{path}:{n + 1}" for n in at] for key, at in expected.items()}


@pytest.mark.parametrize("key", STREAMS)
def test_a_single_stream_takes_the_lines_that_it_is_among_the_keys_of(key):
    chunk = make_chunk(b"\n".join(LINES), "log", 1, 0, 0)
    single = SingleStream(ENVELOPE, key, "error")
    lines, events, _, error = single.take(chunk)
    assert error is None
    assert lines == [LINES[n] for n in STREAMS[key]]
    assert {event.key for event in events} == {key}
    assert single.others <= set(STREAMS) - {key}


def test_a_line_without_any_key_is_one_without_a_key():
    chunk = make_chunk(b'{"items":[]}', "log", 1, 0, 0)
    assert "no key" in str(SingleStream(ENVELOPE, "a", "error").take(chunk)[3])
    assert SingleStream(ENVELOPE, "a", "skip").take(chunk)[0] == []
    assert SingleStream(ENVELOPE, "x", "x").take(chunk)[0] == [b'{"items":[]}']
