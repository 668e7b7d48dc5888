"""Cases are looked at in time for what the demo does to them."""

from __future__ import annotations

from typing import cast

from demo.approver import Approver
from demo.outcomes import Case, Following
from demo.receiver import Receiver
from demo.scenarios import HTTP, Scenario
from demo.shop import Shop


class ShopThatPays:
    """Each look finds the jobs one step further; what is cancelled and what was looked at is kept."""

    def __init__(self) -> None:
        self.looked: list[str] = []
        self.cancelled: list[str] = []

    def status(self, kind: str, id: str) -> dict:
        self.looked.append(id)
        step = "charge_payment" if self.looked.count(id) > 1 else "reserve_stock"
        return {"status": "Running", "progress": {"step": step, "percent": 0}}

    def cancel(self, scenario: Scenario) -> None:
        self.cancelled.append(scenario.id)


def test_what_must_be_cancelled_in_time_is_looked_at_alone():
    shop = ShopThatPays()
    late = Scenario("A-2", HTTP, "cancelled while paying", "Cancelled", cancel_at="charge_payment")
    cases = [Case(Scenario("A-1", HTTP, "sold", "Completed"), is_submitted=True), Case(late, is_submitted=True)]
    following = Following(cast(Shop, shop), cases, cast(Approver, None), cast(Receiver, None))
    assert (following.hurry(), shop.cancelled) == (True, [])
    assert (following.hurry(), shop.cancelled) == (False, ["A-2"])
    assert (following.hurry(), shop.looked) == (False, ["A-2", "A-2"])
