"""Refunds by the doors that people and programs use: approved and paid, or refused with the money as it was."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.jobs_seen import PRICE, Jobs, fresh

APPROVER = "refund-approver@example.com"


class Refunds:
    """Refunds in one shop, and the orders that they are of."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs

    def sold(self, quantity: int = 1, *, declined: int = 0) -> str:
        """An order that is sold, unless the bank declines it so many times."""
        id = fresh("sale")
        if declined:
            self.jobs.sandbox.fault({"when": {"customer": id}, "fault": "decline", "times": declined})
        assert self.jobs.submit(id, self.jobs.order(id, quantity)).status_code == 202
        self.jobs.shop.drain()
        return id

    def ask(self, order: str, amount: int | None = None) -> str:
        """A refund that waits for its approval, or has been refused at once."""
        id = fresh("refund")
        input = {"order": order, "reason": "Broken on arrival"} | ({} if amount is None else {"amount": amount})
        assert self.jobs.submit(id, input, kind="refund").status_code == 202
        return id

    def decide(self, id: str, decision: str) -> None:
        vote = {"decision": decision, "by": APPROVER, "reason": "I have seen it"}
        assert self.jobs.shop.post(f"/api/approvals/refund-{id}/decision", json=vote).status_code == 200

    def made(self, order: str, amount: int | None = None, decision: str = "approve") -> dict:
        id = self.ask(order, amount)
        self.jobs.shop.drain()
        if self.jobs.status(id, "refund")["status"] != "Failed":
            self.decide(id, decision)
            self.jobs.shop.drain()
        return self.jobs.ended(id, "refund")

    def paid(self, order: str) -> list[int]:
        """What the gateway has given back of the order."""
        entries = self.jobs.sandbox.ledger(f"order-{order}")["entries"]
        return [entry["amount"] for entry in entries if entry["kind"] == "refund"]

    def sums(self, order: str) -> tuple[int, int]:
        """What is promised back, and what is given back, by the order book."""
        (row,) = self.jobs.rows("orders", f"PartitionKey eq '{order}' and state eq 'HandedOver'")
        return tuple(row[name].value if name in row else 0 for name in ("refundReserved", "refunded"))


@pytest.fixture
def refunds(open_shop, jobs_of) -> Refunds:
    return Refunds(jobs_of(open_shop(APPROVERS=APPROVER, SIGNING_KEY="a long text that only tests know")))


def test_parts_of_an_order_are_given_back_until_nothing_is_left(refunds):
    order = refunds.sold(quantity=2)
    id = refunds.ask(order, 1000)
    refunds.jobs.shop.drain()
    waiting = refunds.jobs.status(id, "refund")
    assert waiting["progress"]["step"] == "decision"
    assert (refunds.sums(order), refunds.paid(order)) == ((1000, 0), [])
    refunds.decide(id, "approve")
    refunds.jobs.shop.drain()
    done = refunds.jobs.ended(id, "refund")
    (entry,) = (each for each in refunds.jobs.sandbox.ledger(f"order-{order}")["entries"] if each["kind"] == "refund")
    approval = done["result"].pop("approval")
    assert (approval["decision"], approval["by"], approval["via"]) == ("approved", APPROVER, "api")
    assert done["result"] == {"order": order, "amount": 1000, "currency": "EUR", "refund": entry["id"]}

    too_much = refunds.made(order, 2 * PRICE - 1000 + 1)
    assert (too_much["status"], too_much["error"]["type"]) == ("Failed", "RefundTooLarge")
    assert "15.00 EUR (1500 in minor units) is left" in too_much["error"]["message"]
    assert refunds.made(order, 300)["status"] == "Completed"
    assert refunds.made(order)["result"]["amount"] == 1200
    assert (refunds.sums(order), refunds.paid(order)) == ((0, 2 * PRICE), [1000, 300, 1200])
    subtracted = [row["total"].value for row in refunds.jobs.rows("sales", f"orderId eq '{order}' and refund ne ''")]
    assert sorted(subtracted) == [-1200, -1000, -300]
    assert refunds.jobs.balance(order) == 0
    mails = [mail["subject"] for mail in refunds.jobs.mails(order)]
    assert mails == [f"Your order {order}", *[f"Refund for your order {order}"] * 3]


def test_what_is_not_to_be_refunded_is_not(refunds):
    order = refunds.sold()
    rejected = refunds.made(order, decision="reject")
    assert (rejected["status"], rejected["error"]["type"]) == ("Failed", "ApprovalRejected")
    id = refunds.ask(order)
    refunds.jobs.shop.drain()
    assert refunds.jobs.shop.post(f"/api/jobs/refund/{id}/cancel").status_code == 202
    refunds.jobs.shop.drain()
    assert refunds.jobs.ended(id, "refund")["status"] == "Cancelled"
    assert (refunds.sums(order), refunds.paid(order)) == ((0, 0), [])

    for never_sold in (fresh("nowhere"), refunds.sold(declined=1)):
        refused = refunds.made(never_sold)
        assert (refused["status"], refused["error"]["type"]) == ("Failed", "OrderMissing")


def test_refunds_at_once_never_exceed_the_charge(refunds):
    chance = random.Random(7)
    order = refunds.sold(quantity=4)
    refunds.jobs.sandbox.fault({"when": {"operation": "refund"}, "fault": "drop_after", "times": 2})
    refunds.jobs.sandbox.fault({"when": {"operation": "refund"}, "fault": "error", "times": 2})
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: refunds.ask(order, chance.randint(700, 1500)), range(7)))
        refunds.jobs.shop.drain()
        waiting = [id for id in ids if refunds.jobs.status(id, "refund")["status"] != "Failed"]
        list(pool.map(lambda id: refunds.decide(id, "reject" if id == waiting[0] else "approve"), waiting))
    refunds.jobs.shop.advance(minutes=10)
    ended = {id: refunds.jobs.ended(id, "refund") for id in ids}
    paid = [each["result"]["amount"] for each in ended.values() if each["status"] == "Completed"]
    assert len(waiting) - 1 == len(paid) < len(ids) - 1
    assert refunds.sums(order) == (0, sum(paid))
    assert sorted(refunds.paid(order)) == sorted(paid)
    assert sum(paid) <= 4 * PRICE
