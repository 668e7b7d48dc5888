"""The order book: an order is confirmed once, and never after it was withdrawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from azure.data.tables.aio import TableClient

from activities import orders
from activities.orders import OrderWithdrawnError
from jobs import clock, sales
from jobs.clients import clients
from jobs.sales import Sale
from tests.unit.activities.calls import call
from tests.unit.jobs.crashes import dies

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]

SOLD = {
    "lines": [{"sku": "MUG", "quantity": 1000, "price": 10_000_000}],
    "total": 10_000_000_000,
    "currency": "EUR",
    "charge": "charge_1",
}


async def state(id: str) -> str:
    return (await clients().table("orders").get_entity(id, "order"))["state"]


async def test_the_way_of_an_order():
    id = uuid4().hex
    for _ in range(2):
        await orders.confirm(call("confirm_order", SOLD, id))
    assert await state(id) == "Confirmed"
    for _ in range(2):
        await orders.hand_over(call("hand_over_order", {}, id))
    assert await state(id) == "HandedOver"
    await orders.confirm(call("confirm_order", SOLD, id))
    assert await state(id) == "HandedOver"


async def test_a_large_total_is_kept():
    id = uuid4().hex
    await orders.confirm(call("confirm_order", SOLD, id))
    row = await clients().table("orders").get_entity(id, "order")
    assert row["total"].value == SOLD["total"]


async def test_a_withdrawn_order_stays_withdrawn():
    id = uuid4().hex
    for _ in range(2):
        await orders.withdraw(call("withdraw_order", SOLD, id))
    with pytest.raises(OrderWithdrawnError):
        await orders.confirm(call("confirm_order", SOLD, id))
    assert await state(id) == "Withdrawn"


async def test_a_confirmed_order_can_be_withdrawn():
    id = uuid4().hex
    await orders.confirm(call("confirm_order", SOLD, id))
    await orders.withdraw(call("withdraw_order", SOLD, id))
    assert await state(id) == "Withdrawn"


async def test_an_order_that_is_not_in_the_book_cannot_be_handed_over():
    with pytest.raises(orders.OrderMissingError):
        await orders.hand_over(call("hand_over_order"))


async def test_an_order_that_was_withdrawn_is_sold_in_another_run_of_its_job():
    id = uuid4().hex
    await orders.withdraw(call("withdraw_order", SOLD, id))
    for step, name in ((orders.confirm, "confirm_order"), (orders.hand_over, "hand_over_order")):
        first = call(name, SOLD, id)
        await step(replace(first, job=replace(first.job, run=2)))
    assert await state(id) == "Withdrawn"
    assert (await clients().table("orders").get_entity(id, "order~2"))["state"] == "HandedOver"


async def test_a_withdrawn_order_is_not_handed_over_by_a_straggler():
    id = uuid4().hex
    await orders.confirm(call("confirm_order", SOLD, id))
    await orders.withdraw(call("withdraw_order", SOLD, id))
    with pytest.raises(OrderWithdrawnError):
        await orders.hand_over(call("hand_over_order", {}, id))
    assert await state(id) == "Withdrawn"


async def test_an_order_withdrawn_while_it_is_handed_over_stays_withdrawn(monkeypatch):
    id = uuid4().hex
    await orders.confirm(call("confirm_order", SOLD, id))
    read = TableClient.get_entity

    async def overtaken(*arguments, **options):
        row = await read(*arguments, **options)
        monkeypatch.undo()
        await orders.withdraw(call("withdraw_order", SOLD, id))
        return row

    monkeypatch.setattr(TableClient, "get_entity", overtaken)
    with pytest.raises(OrderWithdrawnError):
        await orders.hand_over(call("hand_over_order", {}, id))
    assert await state(id) == "Withdrawn"


@pytest.fixture
def midnight(monkeypatch) -> None:
    """Half past midnight in Berlin, where the app is, and still the day before in UTC."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 20, 23, 30, tzinfo=UTC))
    monkeypatch.setattr(clock, "zone", lambda: ZoneInfo("Europe/Berlin"))


async def counted(id: str, day: str = "2026-11-21") -> list[Sale]:
    """The sales of the order that a report of the day counts."""
    found = []
    for shard in range(sales.SHARDS):
        async for page in sales.pages(day, shard):
            found += [sale for sale in page if sale.order_id == id]
    return found


async def test_an_order_counts_on_the_day_of_its_confirmation_and_once(midnight, monkeypatch):
    id = uuid4().hex
    await orders.confirm(call("confirm_order", SOLD, id))
    assert await counted(id) == []
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 22, 12, tzinfo=UTC))
    for _ in range(2):
        await orders.hand_over(call("hand_over_order", {}, id))
    (sale,) = await counted(id)
    assert (sale.total, sale.currency, sale.lines) == (SOLD["total"], "EUR", SOLD["lines"])
    assert sale.confirmed_at == datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    assert await counted(id, "2026-11-20") == await counted(id, "2026-11-22") == []


async def test_an_order_that_an_older_version_confirmed_is_handed_over_and_counts():
    id = uuid4().hex
    await orders.confirm(call("confirm_order", SOLD, id))
    row = await clients().table("orders").get_entity(id, "order")
    older = {name: value for name, value in row.items() if name not in ("day", "confirmedAt")}
    await clients().table("orders").update_entity(older, mode="replace")
    await orders.hand_over(call("hand_over_order", {}, id))
    assert len(await counted(id, clock.local_day().isoformat())) == 1


@pytest.mark.parametrize("after", [False, True])
async def test_wherever_a_hand_over_dies_its_repetition_leaves_one_sale(midnight, crashes, after):
    deaths = 0
    while True:
        id = uuid4().hex
        await orders.confirm(call("confirm_order", SOLD, id))
        hand_over = partial(orders.hand_over, call("hand_over_order", {}, id))
        crashes.die_at(deaths + 1, after=after)
        has_died = await dies(hand_over)
        crashes.restart()
        assert (await state(id) == "Confirmed") or len(await counted(id)) == 1, "what was handed over counts"
        await hand_over()
        assert (len(await counted(id)), await state(id)) == (1, "HandedOver")
        if not has_died:
            break
        deaths += 1
    assert deaths == 4, "reads of the order and of its changes, the sale, the hand-over"


@pytest.mark.parametrize("after", [False, True])
async def test_wherever_a_withdrawal_dies_its_repetition_leaves_no_sale(midnight, crashes, after):
    deaths = 0
    while True:
        id = uuid4().hex
        await orders.confirm(call("confirm_order", SOLD, id))
        await orders.hand_over(call("hand_over_order", {}, id))
        withdraw = partial(orders.withdraw, call("withdraw_order", SOLD, id))
        crashes.die_at(deaths + 1, after=after)
        has_died = await dies(withdraw)
        crashes.restart()
        await withdraw()
        assert await counted(id) == []
        if not has_died:
            break
        deaths += 1
    assert deaths == 3


async def test_a_straggler_that_hands_over_a_withdrawn_order_sells_nothing(midnight, monkeypatch):
    id = uuid4().hex
    await orders.confirm(call("confirm_order", SOLD, id))
    enter = sales.enter

    async def overtaken(sale):
        monkeypatch.setattr(sales, "enter", enter)
        await orders.withdraw(call("withdraw_order", SOLD, id))
        await enter(sale)

    monkeypatch.setattr(sales, "enter", overtaken)
    with pytest.raises(OrderWithdrawnError):
        await orders.hand_over(call("hand_over_order", {}, id))
    assert await counted(id) == []


async def test_an_order_that_was_undone_and_sold_in_another_run_counts_once(midnight):
    id = uuid4().hex
    first = call("hand_over_order", SOLD, id)
    second = replace(first, job=replace(first.job, run=2))
    for step in (orders.confirm, orders.hand_over, orders.withdraw):
        await step(first)
    for step in (orders.confirm, orders.hand_over):
        await step(second)
    (sale,) = await counted(id)
    assert sale.instance_id == second.job.instance_id
