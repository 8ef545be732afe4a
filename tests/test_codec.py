"""P4: a value comes back from storage as it went, or it is refused with the place that cannot go."""

from __future__ import annotations

import enum
import json
import math
import uuid
from collections import Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durproj import codec
from durproj.errors import Unstorable

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=40
)


def same(one, two):
    """Equal, of the same types, keys in the same order."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float):
        return one == two and math.copysign(1, one) == math.copysign(1, two)
    return one == two


@given(values)
def test_every_json_value_comes_back_as_it_went(value):
    blob, settled = codec.settle(value)
    assert same(settled, value)
    assert same(codec.decode(blob), settled)
    assert codec.encode(value) == blob
    assert codec.settle(settled)[0] == blob
    assert b"\n" not in blob
    assert same(json.loads(blob), value)


@given(values)
def test_what_is_printed_is_the_same_json_and_safe(value):
    for indent in (False, True):
        text = codec.to_json(value, indent)
        assert same(json.loads(text), value)
        assert "\n" not in text or indent


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Name(str):
    __slots__ = ()


class Number(int):
    pass


@dataclass
class Point:
    x: int


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the plain one is what users have
INSTANT = datetime(2026, 1, 2, tzinfo=UTC)

# By its place in {"deep": [1, HERE]}: what is refused, and what the message says of it.
REFUSED = {
    "nan": (math.nan, "is nan"),
    "inf": (math.inf, "is inf"),
    "minus inf": (-math.inf, "is -inf"),
    "set": ({1}, r"is a set.*list\("),
    "frozenset": (frozenset({1}), "is a frozenset"),
    "bytes": (b"x", "is a bytes"),
    "bytearray": (bytearray(b"x"), "is a bytearray"),
    "Decimal": (Decimal("1.5"), "is a Decimal"),
    "UUID": (uuid.UUID(int=5), "is a UUID"),
    "Enum": (Colour.RED, "is a Colour"),
    "datetime": (INSTANT, "is a datetime"),
    "date": (date(2026, 1, 2), "is a date"),
    "time": (time(1, 2), "is a time"),
    "dataclass": (Point(1), "is a Point"),
    "Counter": (Counter("a"), r"is a Counter.*dict\("),
    "defaultdict": (defaultdict(int, a=1), r"is a defaultdict.*dict\("),
    "OrderedDict": (OrderedDict(a=1), r"is a OrderedDict.*dict\("),
    "namedtuple": (Pair(1, 2), "is a Pair"),
    "str subclass": (Name("x"), "is a Name"),
    "int subclass": (Number(5), "is a Number"),
    "complex": (1j, "is a complex"),
    "function": (len, "is a builtin_function_or_method"),
    "generator": ((x for x in ()), "is a generator"),
    "object": (object(), "is a object"),
    "int key": ({1: "x"}, "the key 1, a int; JSON keys are strings"),
    "None key": ({None: "x"}, "the key None, a NoneType"),
    "tuple key": ({(1, 2): "x"}, r"the key \(1, 2\), a tuple"),
    "str subclass key": ({Name("k"): "x"}, "the key 'k', a Name"),
    "Enum key": ({Colour.RED: 1}, "the key .*, a Colour"),
    "2^64": (2**64, "does not fit 64 bits"),
    "below -2^63": (-(2**63) - 1, "does not fit 64 bits"),
    "a huge integer": (10**5000, "does not fit 64 bits"),
    "lone surrogate": ("a\ud800", "lone surrogate"),
    "lone surrogate in a key": ({"\udfff": 1}, "lone surrogate"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_json_cannot_carry_is_refused_by_its_place(what):
    value, says = REFUSED[what]
    for wrapped, place in (
        ({"deep": [1, value]}, r"\$\.deep\[1\]"),
        ([{"a b": value}], r"\$\[0\]\.a b"),
        ({"x": None, "t": (value,)}, r"\$\.t\[0\]"),
        (value, r"\$"),
    ):
        with pytest.raises(Unstorable, match=f"^{place} .*{says}"):
            codec.settle(wrapped)


@given(values, st.sampled_from(sorted(REFUSED)), st.data())
def test_wherever_it_hides_it_is_found(value, what, data):
    bad = REFUSED[what][0]

    def hide(inside):
        if isinstance(inside, list) and inside and data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(inside) - 1))
            return [*inside[:at], hide(inside[at]), *inside[at + 1 :]]
        if isinstance(inside, dict) and inside and data.draw(st.booleans()):
            key = data.draw(st.sampled_from(sorted(inside)))
            return inside | {key: hide(inside[key])}
        return bad

    with pytest.raises(Unstorable):
        codec.settle(hide(value))


@pytest.mark.parametrize("value", [Level.LOW, Word.YES])
def test_an_enum_that_equals_its_value_becomes_it_for_the_next_step_and_for_a_replay(value):
    blob, settled = codec.settle({"x": [value]})
    assert same(settled, {"x": [value.value]})
    assert same(codec.decode(blob), settled)


def test_such_an_enum_may_stand_anywhere():
    value = {"t": (Level.LOW, Word.YES), Word.YES: [{Word.YES: Word.YES}]}
    blob, settled = codec.settle(value)
    assert same(settled, {"t": [1, "yes"], "yes": [{"yes": "yes"}]})
    assert same(codec.decode(blob), settled)
    with pytest.raises(Unstorable, match=r"the key .*, a Level"):
        codec.settle({Level.LOW: 1})


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_the_deepest_value_that_is_stored_and_the_first_that_is_not():
    blob, settled = codec.settle(nested(254))
    assert blob == b"[" * 254 + b"]" * 254
    assert settled == nested(254)
    for depth in (255, 256, 2000):
        with pytest.raises(Unstorable, match="nested deeper than 254"):
            codec.settle(nested(depth))


def test_a_value_that_holds_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(Unstorable, match="nested deeper"):
        codec.settle(value)


def test_tuples_become_lists():
    assert codec.settle({"a": (1, (2, ()))}) == (b'{"a":[1,[2,[]]]}', {"a": [1, [2, []]]})


def test_nothing_is_shared_with_what_was_given_or_within():
    part = {"n": 1}
    given_value = {"a": part, "b": part}
    _, settled = codec.settle(given_value)
    part["n"] = 2
    settled["a"]["n"] = 3
    assert settled == {"a": {"n": 3}, "b": {"n": 1}}
    assert given_value == {"a": {"n": 2}, "b": {"n": 2}}


@pytest.mark.parametrize("value", [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 123456789.123])
def test_floats_come_back_to_the_last_bit(value):
    assert same(codec.settle([value])[1], [value])


UNSAFE = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xFEFF,
]


@pytest.mark.parametrize("indent", [False, True])
def test_what_acts_on_a_terminal_is_escaped(indent):
    for code in UNSAFE:
        for value in ({"k": f"a{chr(code)}b"}, {f"a{chr(code)}b": 1}, {"é": chr(code), "日": "本"}):
            text = codec.to_json(value, indent)
            assert chr(code) not in text.replace("\n", "") if code == 10 else chr(code) not in text
            assert json.loads(text) == value


def test_other_text_is_printed_as_it_is():
    assert codec.to_json({"é": "日本 😀 \\u2028"}) == '{"é":"日本 😀 \\\\u2028"}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", 2**63),
        ("1000000000000000000", 10**18),
        ("-0", 0),
        ("1.00000000000000000000000000000000000001", 1.0),
        ("0.123456789012345678901234567890", 0.12345678901234568),
        ("123456789012345678901234567890.5", 1.2345678901234568e29),
        ("1e300", 1e300),
        ("12345678901234567890123e-2", 1.2345678901234568e20),
        ('"' + "9" * 5000 + '"', "9" * 5000),
        ('{"' + "9" * 30 + '": "\\"' + "9" * 30 + '"}', {"9" * 30: '"' + "9" * 30}),
    ],
)
def test_what_fits_is_decoded_exactly(text, value):
    for line, expected in ((text, value), (f'[{text},{{"a":{text}}}]', [value, {"a": value}])):
        assert same(codec.decode_exact(line.encode()), expected)


@pytest.mark.parametrize(
    "digits",
    [
        "18446744073709551616",
        "-9223372036854775809",
        "9" * 30,
        "-" + "9" * 19,
        "-" + "1" * 300,
    ],
)
def test_an_integer_that_does_not_fit_is_refused_by_its_digits(digits):
    for line in (digits, f'{{"a":[1,{{"b":{digits}}}]}}', f"[0.5,{digits}]"):
        with pytest.raises(codec.DecodeError, match="does not fit 64 bits") as caught:
            codec.decode_exact(line.encode())
        assert digits[:21] in str(caught.value)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("digits", ["9" * 5000, "-" + "1" * 100_000])
def test_an_integer_beyond_any_float_is_refused_at_once(digits):
    for line in (digits, f'{{"a":[1,{{"b":{digits}}}]}}'):
        with pytest.raises(codec.DecodeError) as caught:
            codec.decode_exact(line.encode())
        assert len(str(caught.value)) < 200


@given(st.integers(-(2**80), 2**80))
def test_an_integer_is_decoded_exactly_or_refused(number):
    line = b'{"n":%d}' % number
    if -(2**63) <= number < 2**64:
        assert codec.decode_exact(line) == {"n": number}
    else:
        with pytest.raises(codec.DecodeError):
            codec.decode_exact(line)


@given(values)
def test_decoding_exactly_is_decoding(value):
    blob = codec.encode(value)
    assert same(codec.decode_exact(blob), codec.decode(blob))


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"NaN", b"[Infinity]", b"1e400", b"\xff", b'"\\ud800"', b"1 2", b"[1,]", b"\xef\xbb\xbf1",
     b"[" * 1025 + b"]" * 1025, b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_json_is_refused(line):
    for way in (codec.decode, codec.decode_exact):
        with pytest.raises(codec.DecodeError):
            way(line)


def test_what_can_be_read_but_not_stored_is_refused_when_it_is_stored():
    value = codec.decode_exact(b"[" * 300 + b"]" * 300)
    with pytest.raises(Unstorable, match="nested deeper"):
        codec.settle(value)


@pytest.mark.parametrize("indent", [False, True])
@pytest.mark.parametrize("depth", [254, 256, 1020])
def test_whatever_can_be_read_can_be_printed(indent, depth):
    line = b'{"a":[' * (depth // 2) + b'"\xe2\x80\xae\xc3\xa9"' + b"]}" * (depth // 2)
    text = codec.to_json(codec.decode(line), indent)
    assert "".join(text.split()) == line.decode().replace("\u202e", r"\u202e")
