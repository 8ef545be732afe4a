"""Testing reducers: given some events, when some more come, then the state is this. No store is needed.

    from durproj.testing import given

    def test_a_paid_order_counts():
        placed = ("OrderPlaced", {"orderId": "A-17"})
        paid = ("OrderPaid", {"orderId": "A-17", "amount": 40})
        given(placed).when(paid).using(orders).then({"open": 1, "revenue": 40})

The fold is the one of `durproj run`: each step is given the state as decoded from its stored form. It
is made twice, and a reducer that goes by a clock, a random number or anything kept outside the state
fails the test. `crash_everywhere` also folds into real stores, in processes that die.
"""

from durproj.testing.crashes import crash_everywhere
from durproj.testing.scenario import Scenario, given, given_log
from durproj.testing.streams import EventLike

__all__ = ["EventLike", "Scenario", "crash_everywhere", "given", "given_log"]
