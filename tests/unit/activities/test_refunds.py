"""Refunds of one order, step by step: never more than its charge, whatever runs at once and whatever is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from activities import mail, orders, payments, refunds
from activities.gateway import GatewayUnavailableError
from jobs import clock, ledger, sales
from jobs import refunds as book
from jobs.call import Call
from jobs.clients import clients
from jobs.errors import PermanentError
from jobs.job import Envelope, parse
from jobs.ledger import JobRef
from jobs.sales import PaidRefund
from tests.orders import order
from tests.unit.activities.calls import claimed
from tests.unit.jobs.crashes import dies

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

TOTAL = 3000


class Sold:
    """An order that was charged and handed over, and refunds of it."""

    def __init__(self, world, call: Call) -> None:
        self.world, self.call = world, call
        self.id, self.reference = call.job.id, call.job.instance_id

    def refund(self, amount: int | None = None, id: str | None = None) -> Call:
        job = JobRef("refund", id or uuid4().hex, "correlation-2", ledger.now())
        return Call(job, "pay_refund", {"order": self.id, "amount": amount})

    async def sums(self) -> tuple[int, int]:
        """What is promised, and what is given back, by the order's row."""
        row = await clients().table("orders").get_entity(self.id, self.call.job.of_run("order"))
        return tuple(row[name].value if name in row else 0 for name in ("refundReserved", "refunded"))

    async def counted(self, day: str | None = None) -> list[PaidRefund]:
        """The refunds that a report of the day subtracts."""
        entries = [
            entry
            for shard in range(sales.SHARDS)
            async for page in sales.pages(day or today(), shard)
            for entry in page
        ]
        return [entry for entry in entries if entry.order_id == self.id and isinstance(entry, PaidRefund)]

    @property
    def given_back(self) -> int:
        """What is given back, by the gateway's ledger."""
        entries = self.world.ledger(self.reference)["entries"]
        return sum(entry["amount"] for entry in entries if entry["kind"] == "refund")


def today() -> str:
    return clock.local_day().isoformat()


async def charged(world, run: int = 1) -> Sold:
    id = uuid4().hex
    call = await claimed("charge_payment", order(id), {"amount": TOTAL, "currency": "EUR"}, id)
    call = replace(call, job=replace(call.job, run=run))
    charge = (await payments.charge(call))["charge"]
    await orders.confirm(replace(call, input={"lines": [], "total": TOTAL, "currency": "EUR", "charge": charge}))
    return Sold(world, call)


@pytest.fixture
async def sold(world) -> AsyncIterator[Sold]:
    found = await charged(world)
    await orders.hand_over(found.call)
    return found


async def test_all_that_is_left(sold):
    part = sold.refund(1000)
    assert (await refunds.reserve(part))["amount"] == 1000
    rest = sold.refund()
    assert await refunds.reserve(rest) == {"amount": 2000, "currency": "EUR", "written": "20.00 EUR"}
    assert await sold.sums() == (3000, 0)
    for each in (part, rest):
        await refunds.pay(each)
    assert (await sold.sums(), sold.given_back) == ((0, 3000), 3000)
    with pytest.raises(book.RefundTooLargeError, match="nothing is left"):
        await refunds.reserve(sold.refund())


async def test_a_refund_counts_on_the_day_of_its_payment_and_once(sold, monkeypatch):
    """Where the app is, a day begins earlier than in UTC; and it may be set to another zone before the repetition."""
    sold_on = today()
    moment = datetime(2031, 3, 4, 23, 30, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)
    monkeypatch.setattr(clock, "zone", lambda: ZoneInfo("Europe/Berlin"))
    refund = sold.refund(700)
    await refunds.reserve(refund)
    for day in (sold_on, "2031-03-05"):
        assert await sold.counted(day) == [], "what is promised is not paid"
    await refunds.pay(refund)
    monkeypatch.setattr(clock, "now", lambda: moment + timedelta(days=1))
    monkeypatch.setattr(clock, "zone", lambda: UTC)
    await refunds.pay(refund)
    (counted,) = await sold.counted("2031-03-05")
    assert (counted.amount, counted.currency, counted.paid_at) == (700, "EUR", moment)
    assert (counted.refund_id, counted.sale) == (refund.job.id, sold.reference)
    for day in (sold_on, "2031-03-04", "2031-03-06"):
        assert await sold.counted(day) == []


async def test_a_refund_that_an_older_version_has_paid_counts_when_it_is_repeated(sold, monkeypatch):
    day, now = today(), clock.now
    refund = sold.refund(700)
    await refunds.reserve(refund)
    with pytest.MonkeyPatch.context() as older:
        older.setattr(sales, "enter", AsyncMock())
        await refunds.pay(refund)
    row = await clients().table("orders").get_entity(sold.id, refund.job.instance_id)
    assert row.pop("day") == day
    await clients().table("orders").update_entity(row, mode="replace")
    assert await sold.counted(day) == []
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(days=1))
    await refunds.pay(refund)
    assert [entry.amount for entry in await sold.counted(day)] == [700]


async def test_too_much_says_how_much_is_left(sold):
    await refunds.reserve(sold.refund(2999))
    with pytest.raises(book.RefundTooLargeError, match=r"0\.01 EUR \(1 in minor units\) is left"):
        await refunds.reserve(sold.refund(2))
    assert await sold.sums() == (2999, 0)


async def test_what_is_released_can_be_refunded_again(sold):
    dropped = sold.refund(TOTAL)
    await refunds.reserve(dropped)
    for _ in range(2):
        await refunds.release(dropped)
    assert (await refunds.reserve(sold.refund()))["amount"] == TOTAL
    for straggling in (refunds.reserve, refunds.pay):
        with pytest.raises(book.RefundEndedError):
            await straggling(dropped)
    assert sold.given_back == 0


async def test_a_reservation_that_comes_after_its_release_finds_the_mark(sold):
    refund = sold.refund(1)
    await refunds.release(refund)
    with pytest.raises(book.RefundEndedError):
        await refunds.reserve(refund)
    assert await sold.sums() == (0, 0)


async def test_what_an_earlier_job_of_its_id_was_paid_is_no_payment_of_this_one(sold):
    """The row of the job in the ledger goes by its age, that of the refund stays."""
    earlier = sold.refund(1000)
    await refunds.reserve(earlier)
    await refunds.pay(earlier)
    later = sold.refund(500, earlier.job.id)
    with pytest.raises(book.RefundExistsError, match="new id"):
        await refunds.reserve(later)
    await refunds.release(later)
    assert (await sold.sums(), sold.given_back) == ((0, 1000), 1000)


async def test_orders_that_were_never_sold(world):
    missing = Sold(world, (await claimed("", {}, {})))
    with pytest.raises(orders.OrderMissingError):
        await refunds.reserve(missing.refund())
    await refunds.release(missing.refund())
    confirmed = await charged(world)
    with pytest.raises(book.OrderNotRefundableError, match="Confirmed"):
        await refunds.reserve(confirmed.refund())
    await orders.withdraw(confirmed.call)
    with pytest.raises(book.OrderNotRefundableError, match="Withdrawn"):
        await refunds.reserve(confirmed.refund())


async def test_an_order_that_was_sold_in_its_second_run(world):
    sold = await charged(world, run=2)
    await orders.withdraw(replace(sold.call, job=replace(sold.call.job, run=1)))
    await orders.hand_over(sold.call)
    refund = sold.refund(700)
    await refunds.reserve(refund)
    await refunds.pay(refund)
    assert (await sold.sums(), sold.given_back) == ((0, 700), 700)


async def test_the_currency_is_the_orders(sold):
    row = {"PartitionKey": sold.id, "RowKey": "order", "currency": "JPY"}
    await clients().table("orders").update_entity(row)
    assert await refunds.reserve(sold.refund(1200)) == {"amount": 1200, "currency": "JPY", "written": "1200 JPY"}


async def test_a_payment_whose_answer_is_always_lost_is_found_in_the_ledger(sold):
    sold.world.fault({"when": {"operation": "refund"}, "fault": "drop_after"})
    refund = sold.refund(500)
    await refunds.reserve(refund)
    payment = await refunds.pay(refund)
    sold.world.clear_faults()
    assert await refunds.pay(refund) == payment
    assert (await sold.sums(), sold.given_back) == ((0, 500), 500)


async def test_a_refund_that_was_paid_unseen_cannot_be_released(sold, monkeypatch):
    refund = sold.refund(500)
    await refunds.reserve(refund)
    with monkeypatch.context() as lost:

        async def unavailable(*_):
            raise GatewayUnavailableError("no answer")

        lost.setattr(refunds, "_paid", unavailable)
        sold.world.fault({"when": {"operation": "refund"}, "fault": "drop_after", "times": 1})
        with pytest.raises(GatewayUnavailableError):
            await refunds.pay(refund)
    with pytest.raises(book.RefundEndedError, match="refund_"):
        await refunds.release(refund)
    assert (await sold.sums(), sold.given_back) == ((0, 500), 500)
    assert [entry.amount for entry in await sold.counted()] == [500]


async def test_the_customer_is_told_once(sold):
    job = parse(Envelope(kind="order", id=sold.id, input=order(sold.id)))
    await ledger.submit(job.ref, job.digest)
    told = replace(sold.refund(), step="mail_refund", input={"order": sold.id, "written": "5.00 EUR"})
    for _ in range(2):
        await refunds.tell(told)
    (message,) = sold.world.mailbox(f"{sold.id}@example.com")["messages"]
    assert sold.id in message["subject"] and "5.00 EUR" in message["text"]


async def test_a_customer_whose_data_is_deleted_gets_no_mail(sold, monkeypatch):
    monkeypatch.setattr(mail, "deliver", None)
    told = replace(sold.refund(), input={"order": sold.id, "written": "5.00 EUR"})
    with pytest.raises(refunds.CustomerForgottenError):
        await refunds.tell(told)
    job = parse(Envelope(kind="order", id=sold.id, input=order(sold.id)))
    await ledger.submit(replace(job.ref, claim="order/gone.json"), job.digest)
    with pytest.raises(refunds.CustomerForgottenError):
        await refunds.tell(told)


async def test_many_refunds_at_once_never_exceed_the_charge(sold):
    chance = random.Random(5)
    for fault in ("drop_after", "drop_before", "error"):
        sold.world.fault({"when": {"operation": "refund"}, "fault": fault, "times": 2})

    async def give_back(refund: Call, is_approved: bool) -> None:
        try:
            await refunds.reserve(refund)
        except book.RefundTooLargeError:
            return
        await asyncio.sleep(0)
        while is_approved:
            try:
                await refunds.pay(refund)
                return
            except GatewayUnavailableError:
                pass
        await refunds.release(refund)

    wanted = [(sold.refund(chance.randint(1, 1200)), chance.random() < 0.7) for _ in range(7)]
    # Each is done by two workers, as after a crash.
    await asyncio.gather(*(give_back(*each) for each in wanted for _ in range(2)))
    reserved, refunded = await sold.sums()
    assert (reserved, refunded) == (0, sold.given_back)
    assert refunded <= TOTAL
    assert sum(entry.amount for entry in await sold.counted()) == refunded


STEPS = (refunds.reserve, refunds.pay, refunds.release)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_a_crash_at_any_call_to_storage_leaves_the_books_right(sold, crashes, step):
    before = STEPS[: STEPS.index(step)] if step is not refunds.release else (refunds.reserve,)
    expected = {"reserve": (10, 0, 0), "pay": (0, 10, 10), "release": (0, 0, 0)}[step.__name__]
    done = (0, 0)
    for call in range(1, 12):
        for after in (False, True):
            refund = sold.refund(10)
            for each in before:
                await each(refund)
            given_back = sold.given_back
            crashes.die_at(call, after=after)
            died = await dies(lambda refund=refund: step(refund))
            crashes.restart()
            await step(refund)
            sums = await sold.sums()
            assert (sums[0] - done[0], sums[1] - done[1], sold.given_back - given_back) == expected
            assert sum(entry.amount for entry in await sold.counted()) == sums[1], "what is given back is subtracted"
            done = sums
            if step is refunds.pay:
                with pytest.raises(PermanentError):
                    await refunds.release(refund)
        if not died:
            break
    assert not died and call > 2
