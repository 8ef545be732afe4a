"""The law of the typed decoder: read the fast way, a line is what it is read the careful way."""

from __future__ import annotations

import pickle
import sys
from copy import deepcopy

import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from durproj import codec
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.formats.detection import Mapping
from durproj.events.lines import bad_event, make_chunk
from durproj.events.log import Index
from durproj.events.reader import Source
from durproj.events.single import SingleStream

MAPPINGS = {
    "flat": Mapping("k", "t", "i", "w", "d"),
    "one name for key and id": Mapping("k", "t", "k", "w", "d"),
    "a deep key": Mapping("d.k", "t", "i", "w", "d"),
    "deep time and data": Mapping("k", "t", "i", "w.x", "d.0"),
    "the whole line is the data": Mapping("k", "t", "i", "w"),
    "data alone": Mapping(data="d"),
    "key alone": Mapping("k"),
    "no type": Mapping("k", None, "i", None, "d"),
    "odd names": Mapping("é\u2028", "/", "a\\.b", "k k", "\U0001d11e"),
    "a name with a quote in it": Mapping("k", "t", 'q"', "w", "d"),
    "names of an Event's own": Mapping("line", "_body", "type", "id", "key"),
    "stand-ins": Mapping(" key", " line", " _body", " type", " data"),
    "each other's stand-ins": Mapping(" id", None, " key", None, "d"),
    "a stand-in in use": Mapping(" type", None, "i", None, "d"),
}
ENVELOPES = {name: Envelope(mapping) for name, mapping in MAPPINGS.items()}
FLAT = ENVELOPES["flat"]
DECODED = {name for name, each in ENVELOPES.items() if each.decode != each._decode}
KEYED = {name for name, each in ENVELOPES.items() if each.decode_key != each._decode}

ODD_NEIGHBOUR = b'\n{"k":"another","n":1234567890123456789}\n'
NOBODY = "nobody"
"""Whose the lines without a key are."""


# -- reading a line


def seen(event):
    """All that a reducer can tell of an event."""
    # JSON text, and not values, tells 1 from 1.0 and one order of fields from another.
    rest = codec.to_json([event.time, event.data, event.body])
    return event.key, event.type, type(event.id), event.id, rest


def carefully(envelope, chunk):
    """What the first line of a chunk is: what is seen of its event, the text of an error, or None."""
    line = chunk.lines[0]
    try:
        event = envelope.examine(line, exact=True)
    except ValueError as error:
        return str(bad_event(chunk, 0, error))
    if event is None:
        return None
    event.key = NOBODY if event.key is None else event.key
    return seen(event)


def taken(envelope, chunk, key):
    """The same, as the fold of one stream has it."""
    lines, events, _, error = SingleStream(envelope, key, NOBODY).take(chunk)
    if error and error.line == 1:
        return str(error)
    return seen(events[0]) if lines[:1] == chunk.lines[:1] and chunk.lines[0].strip() else None


class OneChunk:
    """A source of one chunk."""

    seekable = True
    parts = ()

    def __init__(self, chunk):
        self._chunk = chunk

    def chunks(self, _start):
        yield self._chunk

    def cursor(self, _taken):
        return None


def filed(envelope, chunk):
    """The key under which an index files the first line of a chunk, the text of an error, or None."""
    with Index.build(OneChunk(chunk), envelope, on_missing_key=NOBODY) as index:
        if index.error and index.error.line == 1:
            return str(index.error)
        return next(iter(index.keys)) if len(index) and index._lines[0] == 0 else None


def expect_the_same(envelope, line):
    """However `line` is read, and whatever its chunk says, the same comes of it."""
    for rest in (b"\n", ODD_NEIGHBOUR):
        chunk = make_chunk(line + rest, "log", 1, 0, 0)
        expected = carefully(envelope, chunk)
        is_event = isinstance(expected, tuple)
        key = expected[0] if is_event else "another"
        assert taken(envelope, chunk, key) == expected
        assert filed(envelope, chunk) == (key if is_event else expected)
    if is_event:
        (event,) = envelope.events([chunk.lines[0]], key)
        assert seen(event) == expected
        assert event.line == chunk.lines[0]
    return expected


def refused(line, why):
    """Every way of reading `line` refuses it, for this reason."""
    for name, envelope in ENVELOPES.items():
        assert why in str(expect_the_same(envelope, line)), name


# -- lines


def joined(*parts, max_size):
    return st.lists(st.one_of(*parts), max_size=max_size).map(b"".join)


NUMBERS = st.from_regex(
    rb"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
) | st.sampled_from([
    b"1e999", b"1E+400", b"1e-999", b"1e308", b"1e309", b"1e00400", b"0e999", b"-0", b"-0.0", b"5e-324",
    b"1.7976931348623159e308", b"2.2250738585072011e-308", b"9007199254740993.0", b"999999999999999999e99",
    b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"18446744073709551616",
    b"-9223372036854775808", b"-9223372036854775809", b"1234567890123456789012345",
])  # fmt: skip
NO_NUMBERS = st.sampled_from(
    [b"01", b"-01", b"1.", b".5", b"+1", b"-", b"1e", b"1e+", b"1.e400", b"NaN", b"-Infinity", b"0x10"]
)  # fmt: skip
PIECES = st.sampled_from([
    b"a", b"k", "é".encode(), "\u2028".encode(), "\U0001d11e".encode(), b"\\n", b'\\"', b"\\\\", b"\\/",
    b"\\u0000", b"\\ud83d\\ude00", b"\\u00e9", b"\x7f", b"0e400,", b"1234567890123456789", b"[{", b"}]",
])  # fmt: skip
NO_PIECES = st.sampled_from([
    b"\\ud800", b"\\udc00", b"\\ud800\\ud800", b"\\ud83dn", b"\\q", b"\\u12", b"\\u12g4", b"\\u+123", b"\x00",
    b"\x01", b"\x1f", b"\t", b"\r", b"\xff", b"\xc0\x80", b"\xe2\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\",
])  # fmt: skip
STRINGS = joined(PIECES, max_size=4).map(b'"%b"'.__mod__)
NO_STRINGS = st.tuples(joined(PIECES, max_size=1), NO_PIECES).map(b'"%b%b"'.__mod__)
WORDS = st.sampled_from([b"null", b"true", b"false"])
NO_WORDS = st.sampled_from(
    [b"nul", b"True", b"undefined", b"", b"1 2", b"/**/1", b"'a'", b"[1,]", b"{1:2}", b"\x0b1"]
)
SPACES = st.sampled_from([b"", b"", b"", b" ", b"\t", b"\r", b" \r "])
NAMES = st.sampled_from([
    b"k", b"t", b"i", b"w", b"d", b"x", b"0", b"\\u006b", "é\u2028".encode(), b"\\u00e9\\u2028", b"", b"a.b",
    b"k k", "\U0001d11e".encode(), b'q\\"', b"line", b"_body", b"type", b"id", b"key", b" key", b" line",
    b" _body", b" type", b" id", b" data", b"\\u0020key",
])  # fmt: skip


def objects(values, max_size):
    pairs = st.tuples(NAMES, SPACES, SPACES, values, SPACES).map(b'"%b"%b:%b%b%b'.__mod__)
    return st.lists(pairs, max_size=max_size).map(b",".join).map(b"{%b}".__mod__)


def arrays(values):
    return st.lists(values, max_size=3).map(b", ".join).map(b"[%b]".__mod__)


SCALARS = NUMBERS | STRINGS | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: arrays(inner) | objects(inner, max_size=3), max_leaves=6
)
NO_VALUES = NO_NUMBERS | NO_STRINGS | NO_WORDS
SOUND = objects(SCALARS | VALUES, max_size=8)
# Fit for a stream as far as the decoder looks, so that what it skips is what matters.
FITTING = st.tuples(VALUES, VALUES | NO_VALUES, VALUES).map(
    b'{"k":"a","t":"T","i":7,"d":%b,"x":%b,"w":%b}'.__mod__
)
BROKEN = objects(SCALARS | VALUES | NO_VALUES, max_size=8)
FRAMED = st.tuples(
    SPACES, SOUND, st.sampled_from([b"", b" ", b"\r", b"\t \r", b"\x0b", b"\0", b"{}", b",", b"\xef\xbb\xbf"])
).map(b"".join)  # fmt: skip
LINES = SOUND | FITTING | BROKEN | FRAMED | VALUES | NO_VALUES | SPACES


@st.composite
def mutated(draw):
    """A line of which some bytes were flipped, deleted, inserted or cut off."""
    line = bytearray(draw(FITTING | SOUND))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        match draw(st.sampled_from(["flip", "delete", "insert", "truncate", "repeat"])):
            case "flip" if at < len(line):
                line[at] ^= 1 << draw(st.integers(0, 7))
            case "delete":
                del line[at : at + draw(st.integers(1, 3))]
            case "insert":
                line[at:at] = draw(
                    st.sampled_from(list(b'{}[],:"\\0eE+-. \t\r\0\xff')).map(chr)
                ).encode("latin-1")
            case "truncate":
                del line[at:]
            case _:
                line[at:at] = line[at : at + draw(st.integers(1, 20))]
    return bytes(line).replace(b"\n", b"")


# -- the law


def test_the_law_is_put_to_the_test_where_lines_are_decoded_straight_into_events():
    straight = {"flat", "data alone", "no type", "odd names", "names of an Event's own"}
    assert straight | {"each other's stand-ins"} == DECODED
    assert KEYED - straight >= {"the whole line is the data", "key alone", "deep time and data"}


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
@examples(40)
@given(line=LINES)
def test_a_line_is_the_same_read_fast_or_with_care(envelope, line):
    expect_the_same(envelope, line)


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
@examples(40)
@given(line=mutated())
def test_a_damaged_line_is_the_same_read_fast_or_with_care(envelope, line):
    expect_the_same(envelope, line)


@examples(50)
@given(
    lines=st.lists(FITTING | SOUND | st.just(b"") | st.just(b" \r"), max_size=8),
    last=LINES | mutated(),
    block=st.sampled_from([1, 40, 1 << 20]),
    name=st.sampled_from(["flat", "the whole line is the data", "one name for key and id"]),
)
def test_a_log_is_its_lines_one_by_one_however_they_fall_into_chunks(
    tmp_path_factory, lines, last, block, name
):
    # No line of the hypothesis's making may be taken for the mark of another kind of file.
    lines, envelope = [b'{"k":"first"}', *lines, last], ENVELOPES[name]
    path = tmp_path_factory.getbasetemp() / "envelope.jsonl"
    path.write_bytes(b"\n".join(lines))
    expected, error = {}, None
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        one = carefully(envelope, make_chunk(line + b"\n", "log", 1, 0, 0))
        if isinstance(one, str):
            error = (number, one.split(": ", 2)[-1])
            break
        if one:
            expected.setdefault(one[0], []).append(one)
    with Index.build(Source([str(path)], block=block), envelope, on_missing_key=NOBODY) as index:
        assert (index.error and (index.error.line, index.error.why)) == error
        assert list(index.keys) == list(expected)
        for key, events in expected.items():
            found = [envelope.events(batch, key) for batch in index.lines(key)]
            assert [seen(event) for batch in found for event in batch] == events
    for key, events in expected.items():
        single, found, met = SingleStream(envelope, key, NOBODY), [], None
        for chunk in Source([str(path)], block=block).chunks():
            _, more, _, met = single.take(chunk)
            found += [seen(event) for event in more]
            if met:
                break
        assert found == events
        assert (met and (met.line, met.why)) == error


# -- what no field may hold, looked at or not

PLACES = [
    b'{"k":"a","t":"T","d":{"v":%b}}', b'{"k":"a","t":"T","d":1,"x":%b}', b'{"k":"a","x":[[{"y":[1,%b ]}]]}',
    b'{"k":"a","w":%b,"d":{}}', b'{"x":%b,"x":1,"k":"a"}', b'{"k":"a","d":%b,"d":1}', b'{"x":\t%b\t,"k":"a"}',
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"18446744073709551616", "does not fit 64 bits"),
        (b"-9223372036854775809", "does not fit 64 bits"),
        (b"1" * 25, "does not fit 64 bits"),
        (b"1" * 5000, "a number too large"),
        (b"1e309", "a number too large"),
        (b"-1E+400", "a number too large"),
        (b"1e00400", "a number too large"),
        (b"1e" + b"0" * 50 + b"400", "a number too large"),
        (b"1" * 18 + b"e999", "a number too large"),
        (b"0.1e310", "a number too large"),
        (b"1" * 400 + b".5", "a number too large"),
        (b"NaN", "NaN and Infinity"),
        (b"-Infinity", "not JSON"),
        (b"01", "not JSON"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b'{"\\udc00":1}', "half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "invalid UTF-8"),
        (b'"\xff"', "invalid UTF-8"),
        (b'"a\tb"', "a control character"),
        (b'"a\x00b"', "a control character"),
        (b'"\\q"', "not JSON"),
        (b"[1,]", "a comma with nothing after it"),
        (b"{1:2}", "a field name must be a string"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_every_field(place, value, why):
    refused(place % value, why)


@pytest.mark.parametrize(
    "value",
    [b"18446744073709551615", b"-9223372036854775808", b"1.7976931348623157e308", b"1e-999", b"0e999",
     b"-0.0", b"1234567890123456789.5", b'"\\ud83d\\ude00"', b'"1e999,"', b'"18446744073709551616"'],
)  # fmt: skip
@pytest.mark.parametrize("place", PLACES)
def test_what_can_just_be_kept_is_accepted_in_every_field(place, value):
    line = place % value
    for envelope in ENVELOPES.values():
        assert isinstance(expect_the_same(envelope, line), tuple)


KINDS = [
    b"null",
    b"true",
    b"0",
    b"-0",
    b"7",
    b"1.0",
    b"1e2",
    b'""',
    b'"a"',
    b"[]",
    b"{}",
    b"[null]",
]


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_a_field_of_any_kind_is_the_same_read_fast_or_with_care(envelope):
    paths = envelope.mapping.to_dict().values()
    for name in {codec.encode(path.replace("\\.", ".")) for path in paths if path}:
        for kind in KINDS:
            expect_the_same(envelope, b"{%b:%b}" % (name, kind))
            for sound in (b"7", b'"a"', b"null"):
                expect_the_same(envelope, b"{%b:%b,%b:%b}" % (name, kind, name, sound))


DEPTHS = [900, 990, 1000, 1022, 1023, 1024, 1025, 1100]


@pytest.mark.parametrize("place", [b'{"k":"a","d":%b}', b'{"k":"a","x":%b}'], ids=["d", "x"])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_deep_line_is_the_same_read_fast_or_with_care(place, brackets, depth):
    opening, closing = brackets
    found = expect_the_same(FLAT, place % (opening * depth + b"1" + closing * depth))
    assert isinstance(found, tuple) == (depth < 1024)


def test_a_line_beyond_the_depth_is_refused_whatever_the_interpreter_would_allow():
    limit = sys.getrecursionlimit()
    try:
        # As a reducer's module may do.
        sys.setrecursionlimit(10_000)
        for depth in (1023, 1024, 1500):
            found = expect_the_same(FLAT, b'{"k":"a","x":%b}' % (b"[" * depth + b"]" * depth))
            assert isinstance(found, tuple) == (depth < 1024)
    finally:
        sys.setrecursionlimit(limit)


# -- nothing passes for what it is not

FOREIGN = [b'" key"', b'" type"', b'" id"', b'" time"', b'" data"', b'" line"', b'" _body"', b'"_body"',
           b'"line"', b'"key"', b'"type"', b'"id"', b'"data"', b'"body"', b'"\\u0020key"', b'"\\u0020_body"']  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("value", [b'"event"', b'"b"', b"7", b"null", b"{}", b'{"v":1}', b'"e30="'])
def test_a_field_with_a_name_of_ours_is_a_field_like_any_other(name, value):
    plain = {
        "absent": Mapping(),
        "key": Mapping("k"),
        "data": Mapping("k", data="d"),
        "flat": FLAT.mapping,
    }
    for mapping in plain.values():
        line = b'{"k":"a","d":[],%b:%b}' % (name, value)
        key, kind, _, ident, rest = expect_the_same(Envelope(mapping), line)
        assert key == (NOBODY if mapping.key is None else "a")
        assert (kind, ident) == ("event", None)
        time, data, body = codec.decode(rest)
        assert body == codec.decode(line)
        assert (time, data) == (None, body if mapping.data is None else [])


def test_a_key_that_is_no_string_or_integer_does_not_pass_for_one():
    for value in (b"1.0", b"1e0", b"1E2", b"-0.0", b"true", b"[]", b"{}", b"9" * 18 + b".0"):
        for name, field in ((b"k", "key"), (b"t", "type"), (b"i", "id")):
            line = b'{"k":"a","%b":%b}' % (name, value)
            assert f"the {field}" in expect_the_same(FLAT, line)
    assert expect_the_same(FLAT, b'{"k":-0,"t":0}')[:2] == ("0", "0")
    assert expect_the_same(FLAT, b'{"k":"1","k":2}')[0] == "2"


def test_an_event_can_be_copied_and_pickled_however_it_was_read():
    envelope = Envelope(Mapping("k", "t", "i", "w", "d"))
    line = b'{"k":"a","t":"T","i":7,"w":1.5,"d":{"x":[1]}}'
    (event,) = envelope.events([line], "a")
    for copy in (pickle.loads(pickle.dumps(event)), deepcopy(event)):
        assert type(copy) is Event
        assert (copy.key, copy.type, copy.id, copy.time, copy.data, copy.line) == (
            *("a", "T", 7, 1.5, {"x": [1]}),
            line,
        )
        assert copy.data is not event.data
        assert copy.body == event.body
