"""The forms of a reducer: handlers by type, and an upcast of old events."""

from __future__ import annotations

import itertools
import sys
import textwrap

import pytest
from conftest import ROOT

from durproj.errors import UsageError
from durproj.events.envelope import Envelope
from durproj.events.event import Event
from durproj.events.formats.detection import Mapping
from durproj.projections.reducer import from_function, load
from durproj.runtime.known import applied

COUNTER = itertools.count()

SHOP = """
    STEP = 1

    def orders(state, event):
        match event.type:
            case "OrderPlaced":
                return placed(state, event)
            case "OrderPaid":
                return paid(state, event)
            case "OrderShipped" | "OrderCancelled":
                return closed(state, event)
            case _:
                return state

    def placed(state, event):
        return state | {"open": state["open"] + STEP}

    def paid(state, event):
        return state | {"revenue": state["revenue"] + event.data["amount"]}

    def closed(state, event):
        return state | {"open": state["open"] - STEP}

    initial = {"open": 0, "revenue": 0}
    summary = lambda state: f"open={state['open']}"
    version = "of the module, not of the handlers"

    on = {
        "OrderPlaced": placed,
        "OrderPaid": paid,
        "OrderShipped": closed,
        "OrderCancelled": closed,
    }

    def strict(state, event):
        raise ValueError(f"no handler for {event.type}")

    strict.on = {"OrderPlaced": placed}
    strict.initial = {"open": 5}

    def modern(event):
        if event.type == "Bought":
            return event.replace(type="OrderPlaced")
        if event.type == "PaidCents":
            return event.replace(type="OrderPaid", data={"amount": event.data["cents"] / 100})
        return event

    def late(state, event):
        return paid(state, event) if event.type == "OrderPaid" else state

    late.initial = {"revenue": 0}
    late.upcast = modern

    class Old:
        initial = lambda key: {"open": 0, "revenue": 0, "key": key}
        upcast = modern
        on = on
"""


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.fixture
def shop(tmp_path):
    def write(*changes):
        text = textwrap.dedent(SHOP)
        for was, now in changes:
            assert was in text
            text = text.replace(was, now)
        path = tmp_path / f"shop_{next(COUNTER)}.py"
        path.write_text(text)
        return lambda name: load(f"{path.name}:{name}", None, tmp_path)

    return write


def event(kind, data=None):
    return Event("k", kind, "e1", None, {} if data is None else data, b"{}")


def shop_events():
    lines = (ROOT / "sample_events" / "shop.jsonl").read_bytes().splitlines()
    mapping = Mapping("userId", "type", "eventId", "timestamp", "payload")
    return Envelope(mapping).events(lines, "k")


def test_handlers_fold_as_the_match_function_does(shop):
    load = shop()
    whole, handlers = load("orders"), load("on")
    one = two = handlers.initial("k")
    for each in [*shop_events(), event("Unheard")]:
        one, two = whole.fn(one, each), handlers.fn(two, each)
        assert one == two
    assert one["revenue"] > 0


def test_handlers_bring_what_stands_beside_them(shop):
    handlers = shop()("on")
    assert handlers.initial("k") == {"open": 0, "revenue": 0}
    assert handlers.summary({"open": 3}) == "open=3"
    assert handlers.types == {"OrderPlaced", "OrderPaid", "OrderShipped", "OrderCancelled"}
    assert shop()("Old.on").initial("u7") == {"open": 0, "revenue": 0, "key": "u7"}


def test_a_function_takes_the_types_it_has_no_handler_for(shop):
    strict = shop()("strict")
    assert strict.fn(strict.initial("k"), event("OrderPlaced")) == {"open": 6}
    with pytest.raises(ValueError, match="no handler for OrderPaid"):
        strict.fn({}, event("OrderPaid"))
    assert strict.types is None  # it takes all others itself


def test_old_events_are_brought_to_their_present_form_first(shop):
    load = shop()
    state = applied(load("late"))({"revenue": 1}, event("PaidCents", {"cents": 250}))
    assert state == {"revenue": 3.5}
    old = load("Old.on")
    assert applied(old)({"open": 0}, event("Bought")) == {"open": 1}
    assert applied(old)({"open": 0}, event("OrderPlaced")) == {"open": 1}
    assert "Bought" not in old.types
    assert load("late").types is None


def test_a_plain_function_is_called_as_it_is():
    def plain(state, event):
        return state

    assert from_function(plain).fn is plain


@pytest.mark.parametrize("given", ["None", "{}", "event.type"])
def test_an_upcast_that_gives_no_event_fails_the_step(shop, given):
    load = shop(("    return event\n", f"    return {given}\n"))
    with pytest.raises(TypeError, match=r"upcast returned a \w+ for an event of type Other"):
        applied(load("late"))({"revenue": 1}, event("Other"))


def test_a_replaced_event_keeps_its_key_and_its_line():
    one = Event("k", "T", "e1", 5, {"a": 1}, b'{"t":"T"}')
    two = one.replace(type="U", id=None, time=6, data=None)
    assert (two.key, two.type, two.id, two.time, two.data) == ("k", "U", None, 6, None)
    assert (two.line, two.body) == (one.line, {"t": "T"})
    assert (one.type, one.data) == ("T", {"a": 1})
    assert one.replace().data == {"a": 1}
    with pytest.raises(TypeError):
        one.replace(key="other")


CHANGES = [
    ("on", ('state["revenue"] + event', 'state["revenue"] - event'), True),
    ("on", ("STEP = 1", "STEP = 2"), True),
    ("on", ('"OrderCancelled": closed', '"OrderCancelled": paid'), True),
    ("on", ('    "OrderPaid": paid,\n', ""), True),
    ("on", ('"OrderPaid": paid', '"OrderPayed": paid'), True),
    ("on", ('    "OrderPaid": paid,\n', '    "OrderPaid": paid,  # noted\n'), False),
    ("on", ("not of the handlers", "another"), False),
    ("on", ("no handler for", "unknown"), False),
    ("strict", ('{"OrderPlaced": placed}', '{"OrderPlaced": closed}'), True),
    ("strict", ("no handler for", "unknown"), True),
    ("late", ('event.data["cents"] / 100', 'event.data["cents"] / 10'), True),
    ("late", ("late.upcast = modern\n", ""), True),
    ("late", ("strict.on = ", "strict.off = "), False),
    ("Old.on", ('event.data["cents"] / 100', 'event.data["cents"] / 10'), True),
]


@pytest.mark.parametrize(("name", "change", "counts"), CHANGES)
def test_the_fingerprint_covers_handlers_their_table_and_the_upcast(shop, name, change, counts):
    before, after = shop()(name), shop(change)(name)
    assert (before.fingerprint != after.fingerprint) is counts


def test_a_version_of_the_function_stands_for_its_handlers_and_upcast(shop):
    version = ("strict.initial", 'strict.version = "1"\nstrict.initial')
    other = ("strict.on = {", 'strict.on = {"OrderPaid": paid, ')
    assert shop(version)("strict").fingerprint == shop(version, other)("strict").fingerprint


def test_handlers_at_hand():
    on = {"Add": lambda state, event: state + event.data}
    reducer = from_function(on, 1)
    on["Other"] = on.pop("Add")
    assert reducer.fn(reducer.initial("k"), event("Add", 2)) == 3
    assert reducer.program
    assert from_function(reducer, 7).initial("k") == 7
    assert from_function(reducer, 7).fingerprint == reducer.fingerprint
    assert from_function(reducer, 7).fn is reducer.fn


@pytest.mark.parametrize(
    ("fn_on", "text"),
    [
        ({}, "has no handlers"),
        ({"A": 3}, "a handler for 'A' that cannot be used: it is a int"),
        ({"A": lambda state: state}, "its parameters are (state)"),
        ({3: lambda state, _event: state}, "a handler for 3"),
        ([], "handlers of r are a list"),
    ],
)
def test_what_is_no_handler_is_explained(fn_on, text):
    def reducer(state, event):
        return state

    reducer.on = fn_on
    with pytest.raises(UsageError) as met:
        from_function(reducer)
    assert text.replace(" r ", f" {__name__}:{reducer.__qualname__} ") in met.value.message


@pytest.mark.parametrize(
    ("upcast", "text"),
    [
        (3, "it is a int"),
        (lambda: 1, "its parameters are ()"),
        ({"Old": "New"}, "it is a dict, not a function"),
    ],
)
def test_what_is_no_upcast_is_explained(upcast, text):
    def reducer(state, event):
        return state

    reducer.upcast = upcast
    with pytest.raises(UsageError, match="upcast that cannot be used") as met:
        from_function(reducer)
    assert text in met.value.message
