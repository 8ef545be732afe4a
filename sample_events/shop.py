"""The tutorial's reducer: durproj run shop.jsonl --reducer shop.py:orders"""


def orders(state, event):
    """Open and shipped orders, and the money taken, of one customer."""
    match event.type:
        case "OrderPlaced":
            return state | {"open": state["open"] + 1}
        case "OrderPaid":
            return state | {"revenue": round(state["revenue"] + event.data["amount"], 2)}
        case "OrderShipped":
            return state | {"open": state["open"] - 1, "shipped": state["shipped"] + 1}
        case "OrderCancelled":
            refunded = round(state["revenue"] - event.data["refund"], 2)
            return state | {"open": state["open"] - 1, "revenue": refunded}
        case _:
            return state


orders.initial = {"open": 0, "revenue": 0.0, "shipped": 0}
