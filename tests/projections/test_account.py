from __future__ import annotations

import pytest

from durproj.events.event import Event
from durproj.projections.account import account


def event(type, **payload):
    return Event("u1", type, None, None, payload, b"")


LIFE = [
    event("UserRegistered", userId="u1", name="Alice Chen", email="alice@example.com"),
    event("ProfileUpdated", name="Alice Chen-Watson"),
    event("SubscriptionActivated", plan="pro"),
    event("OrderPlaced", orderId="ord_001", total=89.99),
    event("OrderPlaced", orderId="ord_002", total=24.99),
    event("OrderShipped", orderId="ord_001", carrier="UPS"),
    event("OrderCancelled", orderId="ord_002"),
    event("SubscriptionRenewed", period="2027-annual"),
]


def fold(*events):
    state = account.initial("u1")
    for item in events:
        state = account(state, item)
    return state


def test_a_life_cycle():
    state = fold(*LIFE)
    assert list(state.items()) == [
        ("userId", "u1"),
        ("name", "Alice Chen-Watson"),
        ("email", "alice@example.com"),
        ("subscription", "active"),
        ("subscriptionRenewals", 1),
        ("totalOrders", 2),
        ("cancelledOrders", 1),
        ("activeOrders", []),
        ("shippedOrders", ["ord_001"]),
        ("eventsProcessed", 8),
    ]


@pytest.mark.parametrize(
    ("events", "summary"),
    [
        (0, "{}"),
        (1, 'name="Alice Chen"'),
        (3, 'name="Alice Chen-Watson" sub=active'),
        (5, 'name="Alice Chen-Watson" sub=active orders=2 active=[ord_001,ord_002]'),
        (6, 'name="Alice Chen-Watson" sub=active orders=2 active=[ord_002] shipped=[ord_001]'),
        (8, 'name="Alice Chen-Watson" sub=active orders=2 shipped=[ord_001] renewals=1'),
    ],
)
def test_summary(events, summary):
    assert account.summary(fold(*LIFE[:events])) == summary


def test_summary_of_a_foreign_state():
    assert account.summary({}) == "{}"
    assert "\x1b" not in account.summary({"name": "\x1b[2J"})


def test_an_unknown_type_changes_nothing():
    state = fold(*LIFE)
    assert account(state, event("Teleported", name="x")) is state


def test_a_profile_update_without_a_field_keeps_it():
    state = fold(LIFE[0], event("ProfileUpdated", email="new@example.com", name=None))
    assert (state["name"], state["email"]) == ("Alice Chen", "new@example.com")
    assert fold(LIFE[0], event("ProfileUpdated"))["eventsProcessed"] == 2


@pytest.mark.parametrize("missing", [{}, {"orderId": None}])
@pytest.mark.parametrize("type", ["OrderPlaced", "OrderShipped", "OrderCancelled"])
def test_an_order_event_without_an_order_is_an_error(type, missing):
    with pytest.raises(ValueError, match=f"{type} has no orderId in its payload"):
        fold(event(type, **missing))


def test_other_missing_fields():
    with pytest.raises(ValueError, match="UserRegistered has no email"):
        fold(event("UserRegistered", name="x"))
    with pytest.raises(ValueError, match="not an object"):
        account(account.initial("u"), Event("u", "OrderPlaced", None, None, ["x"], b""))


def test_the_state_before_is_left_alone():
    before = fold(*LIFE[:5])
    copy = {key: list(value) if isinstance(value, list) else value for key, value in before.items()}
    for item in LIFE:
        account(before, item)
    assert before == copy
