"""The account projection: a user's profile, subscription and orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durproj.codec import to_json

if TYPE_CHECKING:
    from durproj.events.event import Event

    State = dict[str, Any]


def account(state: State, event: Event) -> State:
    """The account after `event`; an event of another type leaves it as it is.

    Raises ValueError when the payload lacks a field that the event's type needs.
    """
    match event.type:
        case "UserRegistered":
            change = {"name": _field(event, "name"), "email": _field(event, "email")}
        case "ProfileUpdated":
            change = _present(event, "name", "email")
        case "SubscriptionActivated":
            change = {"subscription": "active"}
        case "SubscriptionRenewed":
            change = {"subscriptionRenewals": state["subscriptionRenewals"] + 1}
        case "OrderPlaced":
            change = {
                "totalOrders": state["totalOrders"] + 1,
                "activeOrders": [*state["activeOrders"], _field(event, "orderId")],
            }
        case "OrderShipped":
            order = _field(event, "orderId")
            change = {
                "activeOrders": _without(state, order),
                "shippedOrders": [*state["shippedOrders"], order],
            }
        case "OrderCancelled":
            change = {
                "activeOrders": _without(state, _field(event, "orderId")),
                "cancelledOrders": state["cancelledOrders"] + 1,
            }
        case _:
            return state
    return {**state, **change, "eventsProcessed": state["eventsProcessed"] + 1}


def _initial(key: str) -> State:
    return {
        "userId": key,
        "name": "",
        "email": "",
        "subscription": "none",
        "subscriptionRenewals": 0,
        "totalOrders": 0,
        "cancelledOrders": 0,
        "activeOrders": [],
        "shippedOrders": [],
        "eventsProcessed": 0,
    }


def _summary(state: State) -> str:
    """The state in one line, leaving out whatever is still at its beginning."""
    parts = []
    if state.get("name"):
        parts.append(f"name={to_json(state['name'])}")
    if state.get("subscription", "none") != "none":
        parts.append(f"sub={state['subscription']}")
    if state.get("totalOrders"):
        parts.append(f"orders={state['totalOrders']}")
    for label, field in (("active", "activeOrders"), ("shipped", "shippedOrders")):
        if state.get(field):
            parts.append(f"{label}=[{','.join(map(str, state[field]))}]")
    if state.get("subscriptionRenewals"):
        parts.append(f"renewals={state['subscriptionRenewals']}")
    return " ".join(parts) or "{}"


def _field(event: Event, name: str) -> Any:
    value = _payload(event).get(name)
    if value is None:
        raise ValueError(f"{event.type} has no {name} in its payload")
    return value


def _present(event: Event, *names: str) -> State:
    payload = _payload(event)
    return {name: payload[name] for name in names if payload.get(name) is not None}


def _payload(event: Event) -> State:
    if not isinstance(event.data, dict):
        raise ValueError(f"the payload of {event.type} is not an object")  # noqa: TRY004
    return event.data


def _without(state: State, order: Any) -> list[Any]:
    return [active for active in state["activeOrders"] if active != order]


account.initial = _initial  # type: ignore[attr-defined]
account.summary = _summary  # type: ignore[attr-defined]
account.types = frozenset(  # type: ignore[attr-defined]
    {
        *("UserRegistered", "ProfileUpdated", "SubscriptionActivated", "SubscriptionRenewed"),
        *("OrderPlaced", "OrderShipped", "OrderCancelled"),
    }
)
account.version = "1"  # type: ignore[attr-defined]
