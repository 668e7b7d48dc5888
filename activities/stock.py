"""The stock: what there is of each article and what it costs, and the pieces that orders have reserved.

One table partition an article: its row `stock`, and a row for each order's reservation. Both change in one transaction
guarded by the stock row's ETag, so of two orders for the last piece one comes too late, and none is counted twice.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import azure.durable_functions as df
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient

from jobs import order_book
from jobs.call import Call, outcome
from jobs.clients import clients
from jobs.errors import PermanentError, TransientError
from jobs.etags import if_match
from jobs.settings import settings

blueprint = df.Blueprint()

STOCK = "stock"
HELD, RELEASED = "Held", "Released"
TRIES = 20
"""In each round of a race for one article somebody wins, so this many lose only when very many race."""

Row = dict[str, Any]
Answer = TypeVar("Answer")


class OrderExistsError(PermanentError):
    """The order book has an order of this id, which another job has made."""


class OutOfStockError(PermanentError):
    """There are fewer pieces left than the order wants."""


class UnknownArticleError(PermanentError):
    """The shop does not sell this article, or not in this currency."""


class ReservationReleasedError(PermanentError):
    """The reservation was taken back, and must not be made again."""


@blueprint.activity_trigger(input_name="call")
async def reserve_stock(call: dict) -> dict:
    return await outcome(reserve, call)


@blueprint.activity_trigger(input_name="call")
async def release_stock(call: dict) -> dict:
    return await outcome(release, call)


async def reserve(call: Call) -> dict[str, Any]:
    """Hold the pieces of every line, article by article. Returns the lines with their prices, and the total,
    and `needsApproval` when a person must approve of so much.

    Input: `lines` (`sku`, `quantity`) and `currency`. Amounts are in minor units of the currency.
    Raises OutOfStockError, UnknownArticleError; what was held until then stays held for `release`. Raises
    OrderExistsError when another job has used the id, whose row in the ledger is gone by its age.
    """
    if await order_book.is_taken(call.job):
        raise OrderExistsError(f"an order {call.job.id} was made before: submit this one under a new id")
    currency = call.input["currency"]
    lines = []
    for line in _in_order(call.input["lines"]):
        price = await _once_more(_hold, call.job.instance_id, line["sku"], line["quantity"], currency)
        lines.append({**line, "price": price})
    total = sum(line["quantity"] * line["price"] for line in lines)
    reserved = {"lines": lines, "total": total, "currency": currency}
    return {**reserved, "needsApproval": True} if total > settings().order_approval_limit else reserved


async def release(call: Call) -> None:
    """Put back what `reserve` held for this job, and see to it that a straggling `reserve` holds nothing any more.

    What another job of the same id has sold stays sold.
    """
    if await order_book.is_taken(call.job):
        return
    for line in _in_order(call.input["lines"]):
        await _once_more(_put_back, call.job.instance_id, line["sku"])


def _in_order(lines: list[Row]) -> list[Row]:
    return sorted(lines, key=lambda line: line["sku"])


async def _once_more(change: Callable[..., Awaitable[Answer]], *arguments: Any) -> Answer:
    """Try a change again as long as others are quicker, after a short random pause that grows."""
    for attempt in range(TRIES):
        try:
            return await change(*arguments)
        except _OvertakenError:
            await asyncio.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 6)))
    raise TransientError("too many orders want the same article at once")


class _OvertakenError(Exception):
    """Somebody changed a row between our reading and our writing of it."""


async def _hold(owner: str, sku: str, quantity: int, currency: str) -> int:
    stock = await _find(sku, STOCK)
    if stock is None or stock["currency"] != currency:
        raise UnknownArticleError(f"the shop does not sell {sku} in {currency}")
    if stock["available"] < quantity:
        # Perhaps this order holds its pieces since an earlier attempt.
        held = await _find(sku, owner)
        if held is None:
            raise OutOfStockError(f"{sku}: {quantity} wanted, {stock['available']} left")
        return _price_held(held)
    reservation = {"state": HELD, "quantity": quantity, "price": stock["price"]}
    try:
        await _table().submit_transaction(
            [
                _update(stock, available=stock["available"] - quantity),
                ("create", {"PartitionKey": sku, "RowKey": owner, **reservation}),
            ]
        )
    except TableTransactionError as error:
        if error.status_code == 409 and (held := await _find(sku, owner)):
            return _price_held(held)
        raise _overtaken(error) from error
    return stock["price"]


def _price_held(reservation: Row) -> int:
    if reservation["state"] == RELEASED:
        raise ReservationReleasedError(f"the reservation of {reservation['PartitionKey']} was taken back")
    return reservation["price"]


async def _put_back(owner: str, sku: str) -> None:
    reservation = await _find(sku, owner)
    if reservation is None:
        # A mark in its place keeps a straggler from reserving after all.
        row = {"PartitionKey": sku, "RowKey": owner, "state": RELEASED, "quantity": 0}
        try:
            await _table().create_entity(row)
        except ResourceExistsError:
            raise _OvertakenError from None
        return
    if reservation["state"] == RELEASED:
        return
    stock = await _find(sku, STOCK)
    try:
        await _table().submit_transaction(
            [
                _update(stock, available=stock["available"] + reservation["quantity"]),
                _update(reservation, state=RELEASED),
            ]
        )
    except TableTransactionError as error:
        raise _overtaken(error) from error


def _table() -> TableClient:
    return clients().table("stock")


async def _find(sku: str, row_key: str) -> Row | None:
    try:
        return await _table().get_entity(sku, row_key)
    except ResourceNotFoundError:
        return None


def _update(row: Row, **changes: Any) -> tuple:
    """One operation of a transaction: change the row unless somebody else has since it was read."""
    guard = {"mode": UpdateMode.MERGE, **if_match(row.metadata["etag"])}
    return "update", {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"], **changes}, guard


def _overtaken(error: HttpResponseError) -> Exception:
    return _OvertakenError() if error.status_code == 412 else error
