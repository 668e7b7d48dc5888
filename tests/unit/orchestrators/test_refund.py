"""A refund from submission to end: the real orchestrator and activities, against Azurite and the sandbox."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest

from activities import approvals, closing, orders, refunds
from jobs import intake, ledger
from jobs.call import outcome
from jobs.clients import clients
from jobs.job import Envelope, parse
from jobs.ledger import JobRef
from jobs.settings import settings
from orchestrators.refund import give_back
from tests.unit.activities.test_refunds import TOTAL, Sold, charged
from tests.unit.jobs.crashes import dies
from tests.unit.orchestrators.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

APPROVED = {"decision": "approved", "by": "ada@example.com", "at": "2026-01-01T00:00:00Z", "via": "link", "reason": ""}
ACTIVITIES = {
    "reserve_refund": refunds.reserve,
    "release_refund": refunds.release,
    "open_approval": approvals.open_question,
    "withdraw_approval": approvals.withdraw,
    "pay_refund": refunds.pay,
    "mail_refund": refunds.tell,
    "end_job": closing.end,
}


class Refunds:
    """Refunds of one order that was sold, which a person decides at once."""

    def __init__(self, durable, world, sold: Sold):
        self.durable, self.world, self.sold = durable, world, sold
        self.decision = APPROVED
        self.perform = outcome
        self.engine: Engine

    async def make(self, amount: int | None = None, events: dict[str, str] | None = None) -> ledger.Entry:
        self.id = uuid4().hex
        self.ref: JobRef = await self.submit(amount)
        await self.run(events)
        return await ledger.get("refund", self.id)

    async def submit(self, amount: int | None) -> JobRef:
        input = {"order": self.sold.id, "amount": amount, "reason": "Broken on arrival"}
        job = parse(Envelope(kind="refund", id=self.id, input=input))
        await intake.submit(job, self.durable)
        return job.ref

    async def run(self, events: dict[str, str] | None = None) -> None:
        async def decide(arguments: dict) -> dict:
            return self.decision

        activities = {name: partial(self.perform, work) for name, work in ACTIVITIES.items()}
        started = self.durable.started[self.ref.instance_id]
        self.engine = Engine(give_back, started, {**activities, "decision": decide})
        self.engine.events = events or {}
        await self.engine.run(self.ref.instance_id)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.engine.calls]

    async def books(self) -> tuple[int, int, int]:
        """What is promised and what is given back by the order's row, and by the gateway's ledger."""
        return (*await self.sold.sums(), self.sold.given_back)


@pytest.fixture
async def refund(durable, world, bus, monkeypatch) -> Refunds:
    monkeypatch.setenv("APPROVERS", "ada@example.com")
    monkeypatch.setenv("SIGNING_KEY", "a key that nobody knows but this test")
    settings.cache_clear()
    sold = await charged(world)
    await refunds_of(sold)
    return Refunds(durable, world, sold)


async def refunds_of(sold: Sold) -> None:
    """The order is sold, and in the ledger, where its customer is found."""
    await orders.hand_over(sold.call)
    await ledger.submit(sold.call.job, "digest")


async def test_what_is_approved_is_paid(refund):
    entry = await refund.make(1000)
    assert (entry.state, entry.error) == ("Completed", None)
    (paid,) = (each for each in refund.world.ledger(refund.sold.reference)["entries"] if each["kind"] == "refund")
    assert entry.result == {
        "order": refund.sold.id,
        "amount": 1000,
        "currency": "EUR",
        "refund": paid["id"],
        "approval": APPROVED,
    }
    assert await refund.books() == (0, 1000, 1000)
    (mail,) = refund.world.mailbox(f"{refund.sold.id}@example.com")["messages"]
    assert "10.00 EUR" in mail["text"]
    assert refund.engine.statuses[2]["waitingFor"] == "approval"


async def test_what_is_rejected_is_released(refund):
    refund.decision = APPROVED | {"decision": "rejected", "reason": "Not broken"}
    entry = await refund.make()
    assert (entry.state, entry.error["type"]) == ("Failed", "ApprovalRejected")
    assert "Not broken" not in entry.error["message"], "whoever gets a callback need not know"
    assert await refund.books() == (0, 0, 0)
    assert "pay_refund" not in refund.names


async def test_what_is_withdrawn_is_released(refund):
    refund.decision = APPROVED | {"decision": "withdrawn"}
    entry = await refund.make()
    assert (entry.state, entry.error) == ("Cancelled", None)
    assert await refund.books() == (0, 0, 0)


@pytest.mark.parametrize("during", ["reserve_refund", "open_approval", "decision"])
async def test_a_cancelled_refund_leaves_nothing_behind(refund, during):
    entry = await refund.make(events={during: "cancel"})
    assert (entry.state, await refund.books()) == ("Cancelled", (0, 0, 0))


async def test_a_cancel_while_it_is_paid_comes_too_late(refund):
    entry = await refund.make(events={"pay_refund": "cancel"})
    assert (entry.state, await refund.books()) == ("Completed", (0, TOTAL, TOTAL))
    assert {shown["cancellable"] for shown in refund.engine.statuses if shown["step"] == "pay_refund"} == {False}


async def test_a_gateway_that_refuses_leaves_nothing_promised(refund):
    refund.world.fault({"when": {"operation": "refund"}, "fault": "decline"})
    entry = await refund.make()
    assert (entry.state, await refund.books()) == ("Failed", (0, 0, 0))


async def test_nobody_is_asked_for_a_refund_that_is_too_large(refund):
    entry = await refund.make(TOTAL + 1)
    assert (entry.state, entry.error["type"], entry.error["retryable"]) == ("Failed", "RefundTooLarge", False)
    assert "30.00 EUR (3000 in minor units) is left" in entry.error["message"]
    assert refund.names == ["reserve_refund", "release_refund", "end_job"]


async def test_without_the_customers_data_it_is_paid_all_the_same(refund):
    job = refund.sold.call.job
    await clients().table("jobs").delete_entity("order", job.id)
    entry = await refund.make()
    assert (entry.state, await refund.books()) == ("Completed", (0, TOTAL, TOTAL))
    assert entry.result["incomplete"]["mail_refund"]["type"] == "CustomerForgotten"


async def test_every_activity_may_run_twice(refund):
    async def twice(work, arguments):
        await outcome(work, arguments)
        return await outcome(work, arguments)

    refund.perform = twice
    assert (await refund.make(1000)).state == "Completed"
    assert await refund.books() == (0, 1000, 1000)
    assert len(refund.world.mailbox(f"{refund.sold.id}@example.com")["messages"]) == 1
    refund.decision = APPROVED | {"decision": "rejected"}
    assert (await refund.make()).state == "Failed"
    assert await refund.books() == (0, 1000, 1000)


async def test_a_worker_that_dies_while_it_pays_has_paid_once(refund, crashes):
    calls = 0

    async def dying(work, arguments):
        nonlocal calls
        if work is not refunds.pay:
            return await outcome(work, arguments)
        calls += 1
        if calls <= 2:
            # The host has the dead worker's call run again.
            crashes.die_at(2, after=bool(calls % 2))
            assert await dies(lambda: outcome(work, arguments))
            crashes.restart()
        return await outcome(work, arguments)

    refund.perform = dying
    for _ in range(2):
        await refund.make(100)
    assert await refund.books() == (0, 200, 200)
