"""The order book: an order is confirmed once, and never after it was withdrawn."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableClient

from activities import orders
from activities.orders import OrderWithdrawnError
from jobs.clients import clients
from tests.unit.activities.calls import call

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
