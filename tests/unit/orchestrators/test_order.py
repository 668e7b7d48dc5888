"""An order from submission to end: the real orchestrator and activities, against Azurite and the sandbox."""

from __future__ import annotations

import json
from functools import partial
from uuid import uuid4

import pytest

from activities import analytics, articles, closing, mail, orders, payments, stock
from activities.articles import Article
from jobs import intake, ledger
from jobs.call import outcome
from jobs.clients import clients
from jobs.job import Envelope, parse
from orchestrators.order import sell
from tests.orders import article, order
from tests.unit.orchestrators.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

ACTIVITIES = {
    "reserve_stock": stock.reserve,
    "release_stock": stock.release,
    "charge_payment": payments.charge,
    "refund_payment": payments.refund,
    "confirm_order": orders.confirm,
    "withdraw_order": orders.withdraw,
    "hand_over_order": orders.hand_over,
    "mail_confirmation": mail.confirm,
    "record_sale": analytics.sale,
    "end_job": closing.end,
}


class Shop:
    """One article on the shelf, one order for it, and what there is to see afterwards."""

    def __init__(self, durable, world):
        self.durable, self.world = durable, world
        self.sku, self.id = f"A{uuid4().hex[:12].upper()}", uuid4().hex
        self.instance_id = f"order-{self.id}"
        self.perform = outcome

    async def sell(self, quantity: int = 1, available: int = 5, events: dict[str, str] | None = None) -> ledger.Entry:
        await articles.put(Article(**article(self.sku, available)))
        job = parse(Envelope(kind="order", id=self.id, input=order(self.id, self.sku, quantity)))
        await intake.submit(job, self.durable)
        return await self.run(events)

    async def run(self, events: dict[str, str] | None = None) -> ledger.Entry:
        activities = {name: partial(self.perform, work) for name, work in ACTIVITIES.items()}
        self.engine = Engine(sell, self.durable.started[self.instance_id], activities)
        self.engine.events = events or {}
        await self.engine.run(self.instance_id)
        return await ledger.get("order", self.id)

    def fault(self, operation: str, fault: str, **fields) -> None:
        when = {"operation": operation}
        when |= {"recipient": f"{self.id}@example.com"} if operation == "mail" else {"reference": self.instance_id}
        self.world.fault({"when": when, "fault": fault} | fields)

    async def pieces(self) -> tuple[int, int]:
        """How many are free, and how many are held."""
        return {article.sku: (article.available, held) async for article, held in articles.on_sale()}[self.sku]

    @property
    def balance(self) -> int:
        return self.world.ledger(self.instance_id)["balance"]

    async def in_the_book(self) -> str:
        return (await clients().table("orders").get_entity(self.id, "order"))["state"]


@pytest.fixture
def shop(durable, world) -> Shop:
    return Shop(durable, world)


async def test_a_good_order(shop):
    entry = await shop.sell(quantity=2)
    assert entry.state == "Completed"
    assert entry.result["total"] == 2000
    assert entry.result["lines"] == [{"sku": shop.sku, "quantity": 2, "price": 1000}]
    assert (await shop.pieces(), shop.balance, await shop.in_the_book()) == ((3, 2), 2000, "HandedOver")
    assert len(shop.world.mailbox(f"{shop.id}@example.com")["messages"]) == 1


async def test_out_of_stock(shop):
    entry = await shop.sell(quantity=6)
    assert (entry.state, entry.error["type"], entry.error["retryable"]) == ("Failed", "OutOfStock", False)
    assert (await shop.pieces(), shop.balance) == ((5, 0), 0)
    assert shop.engine.pauses == []


async def test_a_declined_card(shop):
    shop.fault("authorize", "decline")
    entry = await shop.sell()
    assert (entry.state, entry.error["type"], entry.error["retryable"]) == ("Failed", "CardDeclined", False)
    assert (await shop.pieces(), shop.balance) == ((5, 0), 0)
    assert len(shop.world.requests(shop.instance_id)["requests"]) == 1


async def test_a_gateway_that_fails_twice(shop):
    shop.fault("charge", "error", times=2)
    assert (await shop.sell()).state == "Completed"
    assert shop.balance == 1000
    assert len(shop.engine.pauses) == 2


async def test_a_gateway_that_drops_the_connection_after_booking(shop):
    shop.fault("charge", "drop_after", times=1)
    assert (await shop.sell()).state == "Completed"
    assert shop.balance == 1000


async def test_a_charge_whose_outcome_stays_unknown_is_given_back(shop):
    shop.fault("charge", "drop_after")
    entry = await shop.sell()
    assert (entry.state, entry.error["type"], entry.error["retryable"]) == ("Failed", "GatewayUnavailable", True)
    assert (await shop.pieces(), shop.balance) == ((5, 0), 0)
    assert "refund" in [each["kind"] for each in shop.world.ledger(shop.instance_id)["entries"]]


@pytest.mark.parametrize("during", ["reserve_stock", "charge_payment", "confirm_order"])
async def test_a_cancelled_order_leaves_nothing_behind(shop, during):
    entry = await shop.sell(events={during: "cancel"})
    assert (entry.state, entry.error) == ("Cancelled", None)
    assert (await shop.pieces(), shop.balance) == ((5, 0), 0)


async def test_a_cancel_after_the_parcel_is_handed_over_changes_nothing(shop):
    assert (await shop.sell(events={"hand_over_order": "cancel"})).state == "Completed"


async def test_a_refund_that_fails_for_good_leaves_the_order_failed_and_says_so(shop):
    shop.fault("refund", "decline")
    entry = await shop.sell(events={"confirm_order": "cancel"})
    assert entry.state == "Failed"
    assert entry.error["openCompensations"] == ["refund_payment"]
    assert (await shop.pieces(), shop.balance, await shop.in_the_book()) == ((5, 0), 1000, "Withdrawn")


async def test_a_mail_that_cannot_be_sent_undoes_nothing(shop):
    shop.fault("mail", "decline")
    entry = await shop.sell()
    assert entry.state == "Completed"
    assert entry.result["incomplete"]["mail_confirmation"]["type"] == "MailRefused"
    assert shop.balance == 1000


async def twice(work, arguments):
    await outcome(work, arguments)
    return await outcome(work, arguments)


async def test_every_activity_may_run_twice(shop):
    shop.perform = twice
    assert (await shop.sell()).state == "Completed"
    assert (await shop.pieces(), shop.balance) == ((4, 1), 1000)
    assert len(shop.world.mailbox(f"{shop.id}@example.com")["messages"]) == 1


async def test_every_undo_may_run_twice(shop):
    shop.perform = twice
    assert (await shop.sell(events={"confirm_order": "cancel"})).state == "Cancelled"
    assert (await shop.pieces(), shop.balance) == ((5, 0), 0)


async def test_a_second_start_of_an_ended_order_changes_nothing(shop):
    await shop.sell()
    entry = await shop.run()
    assert [name for name, _ in shop.engine.calls] == ["reserve_stock"]
    assert (entry.state, await shop.pieces(), shop.balance) == ("Completed", (4, 1), 1000)


async def test_the_history_holds_nothing_sensitive(shop):
    shop.fault("charge", "error", times=1)
    await shop.sell()
    history = json.dumps(shop.engine.history)
    assert shop.sku in history
    for secret in ("Ada Lovelace", "@example.com", "tok_visa", "St James"):
        assert secret not in history


async def test_one_line_at_the_start_and_one_at_the_end(shop, caplog):
    caplog.set_level("INFO", "nightshift")
    entry = await shop.sell()
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nightshift"]
    assert [line["event"] for line in lines] == ["JobStarted", "JobCompleted"]
    assert {line["correlationId"] for line in lines} == {entry.job.correlation_id}
    assert "Ada" not in caplog.text
