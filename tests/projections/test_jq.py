"""A reducer in jq: what it is given, what it may give, and that no number changes on the way."""

from __future__ import annotations

import json
import math

import pytest
from conftest import ROOT, examples
from hypothesis import given
from hypothesis import strategies as st

from durproj.errors import Unstorable, UsageError
from durproj.events.event import Event
from durproj.projections.jq import JqError, Program
from durproj.projections.reducer import load

SAFE = 2**53 - 1
EVENT = Event("ada", "Paid", "e1", "2026-01-02", {"n": 3}, b'{"user":"ada","n":3,"more":[1]}')


def event(data):
    return Event("k", "T", None, None, data, json.dumps({"data": data}).encode())


def apply(program, state=None, to=EVENT):
    return load(f"jq:{program}", None, ROOT).fn({} if state is None else state, to)


def refused(program, base=ROOT):
    with pytest.raises(UsageError) as met:
        load(f"jq:{program}", None, base)
    return f"{met.value.message}\n{met.value.hint}"


def failed(program, state=None, to=EVENT):
    with pytest.raises(JqError) as met:
        apply(program, state, to)
    return str(met.value)


def test_a_program_is_given_the_state_and_the_event():
    event = {"key": "ada", "type": "Paid", "id": "e1", "time": "2026-01-02", "data": {"n": 3}}
    event["body"] = {"user": "ada", "n": 3, "more": [1]}
    assert apply("{s: .state, e: .event}", {"a": 1}) == {"s": {"a": 1}, "e": event}
    assert apply("[$state, $event]", {"a": 1}) == [{"a": 1}, event]


def test_it_folds_as_the_same_reducer_in_python_does():
    def orders(state, event):
        match event.type:
            case "OrderPlaced":
                return state | {"open": state["open"] + 1}
            case "OrderPaid":
                return state | {"revenue": state["revenue"] + event.data["amount"]}
            case "OrderShipped" | "OrderCancelled":
                return state | {"open": state["open"] - 1}
        return state

    program = load(
        """jq:
        def opened: {"OrderPlaced": 1, "OrderShipped": -1, "OrderCancelled": -1}[$event.type] // 0;
        .state
        | .open += opened
        | if $event.type == "OrderPaid" then .revenue += $event.data.amount else . end
        """,
        '{"open":0,"revenue":0}',
        ROOT,
    )
    one, two = program.initial("k"), program.initial("k")
    lines = (ROOT / "sample_events" / "shop.jsonl").read_bytes().splitlines()
    for line in lines:
        body = json.loads(line)
        event = Event("k", body["type"], body["eventId"], None, body["payload"], line)
        one, two = orders(one, event), program.fn(two, event)
        assert one == two
    assert len(lines) == 280
    assert one["revenue"] > 0


def test_the_text_is_what_tells_programs_apart(tmp_path):
    (tmp_path / "count.jq").write_text(".state | .n += 1\n")
    inline = load("jq:.state | .n += 1", None, tmp_path)
    in_file = load("jq:@count.jq", None, tmp_path)
    assert in_file.ref == inline.ref == "jq:.state | .n += 1"
    assert in_file.fingerprint == inline.fingerprint
    assert load("jq:.state | .n += 2", None, tmp_path).fingerprint != inline.fingerprint
    assert inline.initial("k") == {}
    # What durproj does around a program may change; the stores that it made may not be refused for it.
    assert inline.fingerprint == "4ab0e5f67bbc415e"


def test_a_program_that_begins_with_a_format_is_no_file(tmp_path):
    (tmp_path / "text.jq").write_text('@text "\\(.event.type)"')
    loaded = load("jq:@text.jq", None, tmp_path)
    assert load(loaded.ref, None, tmp_path).ref == loaded.ref
    assert load(loaded.ref, None, tmp_path).fn({}, EVENT) == "Paid"


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (".state |", "syntax error"),
        (".state | nothing_of_this_name", "nothing_of_this_name/0 is not defined"),
        (".state) | (.", "syntax error"),
        ("$other", "$other is not defined"),
        ("", "empty"),
        (" \n", "empty"),
        (".\0|error", "NUL"),
        (".\udcff", "UTF-8"),
        ("@none.jq", "none.jq: No such file"),
        ("@.", ".: Is a directory"),
        ('import "none" as none; .', "module not found"),
    ],
)
def test_what_does_not_compile_is_refused_with_the_reason(program, text, tmp_path):
    assert text in refused(program, tmp_path)


def test_where_it_does_not_compile_is_counted_in_the_program_itself():
    assert "line 2, column 3" in refused(".state\n| )")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "bytes.jq").write_bytes(b".state \xff")
    assert "bytes.jq is not UTF-8: byte 7" in refused("@bytes.jq", tmp_path)


def test_modules_are_out_of_reach(tmp_path):
    (tmp_path / "lib.jq").write_text("def one: 1;")
    assert "module" in refused(f'import "lib" as lib {{search: "{tmp_path}"}}; lib::one')
    assert "modules" in failed('"lib" | modulemeta')


@pytest.mark.parametrize(
    "program",
    [
        *("now", "input", "[inputs]", "env", "env.HOME", "$ENV.HOME", "0 | localtime"),
        *('0 | strflocaltime("%Z")', "def f: now; f", "[1] | map(now)", "try input catch error"),
    ],
)
def test_what_depends_on_more_than_the_input_is_out_of_reach(program):
    assert failed(program)


def test_a_program_may_have_names_of_its_own():
    assert apply("def now: .event.time; def tojson: 1; now") == "2026-01-02"
    assert apply(".state.now # a comment \\", {"now": 3}) == 3


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("empty", "no output"),
        ("halt", "halt would end the program"),
        (".state, halt", "halt would end the program"),
        ('"why" | halt_error', "halt_error would end the program"),
        ('"why" | halt_error(3)', "halt_error would end the program"),
        ("if .event.type == 1 then .state else empty end", "no output"),
        (".state, .state", "several outputs"),
        ("repeat(.state)", "several outputs"),
        (".state.nothing", "gave null"),
        (".state.n += 1", "begin with .state |"),
        (".event.data + 1", "cannot be added"),
        ('error("its own words")', "its own words"),
        ("error({code: 3})", '{"code": 3}'),
        ("nan", "NaN"),
        (".state | .deep = [{n: nan}]", "NaN"),
        ("infinite", "infinity"),
        ("-infinite", "infinity"),
    ],
)
def test_a_step_without_one_sound_output_fails(program, text):
    assert text in failed(program)


def test_a_program_goes_on_after_a_failure():
    program = Program(
        "if .state == 1 then .state, .state elif .state == 2 then error else .state end"
    )
    for _ in range(3):
        for state in (1, 2):
            with pytest.raises(JqError):
                program(state, EVENT)
        assert program(3, EVENT) == 3


def test_null_may_stay_null():
    assert load("jq:.state", "null", ROOT).fn(None, EVENT) is None


@pytest.mark.parametrize("n", [SAFE, -SAFE, 0, 1])
def test_integers_that_a_double_holds_stay_as_they_are(n):
    assert apply("[.state, .event.data]", n, event(n)) == [n, n]


@pytest.mark.parametrize("n", [SAFE + 1, -SAFE - 1, 2**53 + 1, 2**63, 2**64 - 1])
def test_integers_beyond_come_as_their_digits_and_never_out_of_a_sum(n):
    given = apply("[.event.data, .event.body.data, (.event.data | type)]", to=event(n))
    assert given == [str(n), str(n), "string"]
    assert "cannot be added" in failed(".event.data + 1", to=event(n))
    assert f"holds the number {SAFE + 1}" in failed(".state + 1", SAFE)
    assert "the next state holds" in failed(f"{abs(n)}")
    assert f"the state it was given holds the number {n}" in failed(".state", n)
    assert "holds the number 1" in failed("10000000000 * 10000000000")


@pytest.mark.parametrize("x", [1e16, -1e17, 1e300, 1.7976931348623157e308])
def test_a_large_number_with_an_exponent_is_no_state_either(x):
    assert "the next state holds the number" in failed(".event.data", to=event(x))
    assert apply(".event.data | tostring | type", to=event(x)) == "string"


def test_long_digits_in_a_string_are_no_number():
    assert apply(".state", {"id": "12345678901234567890", "hex": "7e12"}) == {
        "id": "12345678901234567890",
        "hex": "7e12",
    }


@pytest.mark.parametrize("x", [1.0, -0.0, 0.1, 1.5e15, 3.3333333333333335, 1e-300, 5e-324])
def test_a_number_with_a_fraction_or_an_exponent_stays_the_same(x):
    found = apply(".event.data", to=event(x))
    assert (found, math.copysign(1, found)) == (x, math.copysign(1, x))


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)


def all_in(value):
    """Whether every number in `value` is within what a double counts exactly."""
    if isinstance(value, dict | list):
        return all(all_in(item) for item in (value.values() if type(value) is dict else value))
    return not isinstance(value, int | float) or abs(value) <= SAFE


def in_doubles(value):
    if isinstance(value, dict):
        return {key: in_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [in_doubles(item) for item in value]
    beyond = type(value) is int and abs(value) > SAFE
    return str(value) if beyond else value


PASS_ON = Program("[.event.data, .state]")


@examples(50)
@given(values)
def test_what_passes_through_is_what_came_or_its_digits(value):
    for one, state in ((event(value), {"kept": True}), (EVENT, value)):
        expected = [in_doubles(one.data), state]
        try:
            found = PASS_ON(state, one)
        except JqError as error:
            assert "holds the number" in str(error)  # noqa: PT017  never changed, at worst refused
            assert not all_in(value)
        else:
            assert found == expected


def test_what_is_nested_too_deep_fails():
    deep = json.loads("[" * 253 + "]" * 253)
    with pytest.raises(Unstorable, match="nested deeper"):
        apply(".state", to=event(deep))
