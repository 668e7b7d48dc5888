"""The stock on real storage: never sold twice, never lost, however often and in whatever order things are repeated."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest

from activities import articles, stock
from activities.articles import Article
from activities.stock import OutOfStockError, ReservationReleasedError, UnknownArticleError
from jobs.call import Call
from tests.orders import article
from tests.unit.activities.calls import call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("storage")]


async def shelf(available: int, price: int = 1000) -> str:
    """A new article; returns its sku."""
    sku = f"A{uuid4().hex[:12].upper()}"
    await articles.put(Article(**article(sku, available, price)))
    return sku


async def figures(sku: str) -> tuple[int, int]:
    """How many pieces are free, and how many are held."""
    return {article.sku: (article.available, held) async for article, held in articles.on_sale()}[sku]


def reserving(quantities: dict[str, int], id: str | None = None, currency: str = "EUR") -> Call:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in quantities.items()]
    return call("reserve_stock", {"lines": lines, "currency": currency}, id)


async def test_pieces_are_held_at_the_shops_price():
    first, second = await shelf(5, price=250), await shelf(5, price=1000)
    reserved = await stock.reserve(reserving({first: 2, second: 1}))
    assert reserved["total"] == 1500
    assert {line["sku"]: line["price"] for line in reserved["lines"]} == {first: 250, second: 1000}
    assert (await figures(first), await figures(second)) == ((3, 2), (4, 1))


async def test_20_parallel_orders_for_10_pieces_sell_exactly_10():
    sku = await shelf(10)
    outcomes = await asyncio.gather(*(stock.reserve(reserving({sku: 1})) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, OutOfStockError) for outcome in outcomes) == 10
    assert await figures(sku) == (0, 10)


async def test_a_repeated_reservation_holds_once_and_answers_the_same():
    sku = await shelf(3)
    order = reserving({sku: 3})
    first = await stock.reserve(order)
    await articles.put(Article(**article(sku, 0, price=9999)))
    assert await stock.reserve(order) == first
    assert await figures(sku) == (0, 3)


async def test_the_same_reservation_in_parallel_holds_once():
    sku = await shelf(5)
    order = reserving({sku: 2})
    await asyncio.gather(*(stock.reserve(order) for _ in range(5)))
    assert await figures(sku) == (3, 2)


async def test_a_release_puts_back_once():
    sku = await shelf(5)
    order = reserving({sku: 2})
    await stock.reserve(order)
    await asyncio.gather(*(stock.release(order) for _ in range(3)))
    await stock.release(order)
    assert await figures(sku) == (5, 0)


async def test_a_release_before_the_reservation_keeps_it_from_happening():
    sku = await shelf(5)
    order = reserving({sku: 2})
    await stock.release(order)
    with pytest.raises(ReservationReleasedError):
        await stock.reserve(order)
    assert await figures(sku) == (5, 0)


async def test_a_reservation_after_its_release_is_refused_even_when_sold_out():
    sku = await shelf(2)
    order = reserving({sku: 2})
    await stock.reserve(order)
    await stock.release(order)
    await stock.reserve(reserving({sku: 2}))
    with pytest.raises(ReservationReleasedError):
        await stock.reserve(order)


async def test_what_one_line_lacks_undoes_the_others():
    plenty, short = await shelf(10), await shelf(1)
    order = reserving({plenty: 2, short: 2})
    with pytest.raises(OutOfStockError, match="2 wanted, 1 left"):
        await stock.reserve(order)
    await stock.release(order)
    assert (await figures(plenty), await figures(short)) == ((10, 0), (1, 0))


async def test_what_the_shop_does_not_sell():
    sku = await shelf(5)
    for order in (reserving({"NOTHING": 1}), reserving({sku: 1}, currency="USD")):
        with pytest.raises(UnknownArticleError):
            await stock.reserve(order)
        await stock.release(order)
    assert await figures(sku) == (5, 0)


async def test_pieces_never_appear_or_vanish_in_a_crowd():
    skus = [await shelf(6) for _ in range(3)]
    dice = random.Random(7)

    async def customer() -> None:
        order = reserving({sku: dice.randint(1, 2) for sku in dice.sample(skus, 2)})
        try:
            await stock.reserve(order)
        except OutOfStockError:
            await stock.release(order)
        else:
            if dice.random() < 0.5:
                await stock.release(order)

    await asyncio.gather(*(customer() for _ in range(15)))
    for sku in skus:
        available, held = await figures(sku)
        assert available >= 0
        assert available + held == 6
