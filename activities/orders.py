"""The order book: one row an order and run of its job, which says what was sold and how far it is."""

import json
from typing import Any

import azure.durable_functions as df
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from jobs import clock, order_changes, sales
from jobs.call import Call, outcome
from jobs.clients import clients
from jobs.errors import PermanentError
from jobs.etags import if_match
from jobs.order_book import CONFIRMED, HANDED_OVER, ROW, WITHDRAWN, OrderMissingError
from jobs.sales import Sale
from jobs.settings import settings

blueprint = df.Blueprint()


class OrderWithdrawnError(PermanentError):
    """The order was taken back, and must not be confirmed again."""


@blueprint.activity_trigger(input_name="call")
async def confirm_order(call: dict) -> dict:
    return await outcome(confirm, call)


@blueprint.activity_trigger(input_name="call")
async def withdraw_order(call: dict) -> dict:
    return await outcome(withdraw, call)


@blueprint.activity_trigger(input_name="call")
async def hand_over_order(call: dict) -> dict:
    return await outcome(hand_over, call)


async def confirm(call: Call) -> None:
    """Enter the order in the book. Input: `lines` with prices, `total` in minor units, `currency`, `charge`."""
    confirmed_at = clock.now()
    row = {
        **_keys(call),
        "state": CONFIRMED,
        # Tells this job from another of the same id: see `jobs.order_book`.
        "submittedAt": call.job.submitted_at,
        "confirmedAt": confirmed_at,
        # Kept, since the app may be set to another time zone before the order is handed over.
        "day": clock.local_day(confirmed_at).isoformat(),
        "lines": json.dumps(call.input["lines"]),
        "total": EntityProperty(call.input["total"], EdmType.INT64),
        "currency": call.input["currency"],
        "charge": call.input["charge"],
    }
    try:
        await _table().create_entity(row)
    except ResourceExistsError:
        order = await _table().get_entity(call.job.id, call.job.of_run(ROW))
        if order["state"] == WITHDRAWN:
            raise OrderWithdrawnError(f"order {call.job.id} was withdrawn") from None


async def withdraw(call: Call) -> None:
    """Mark the order as withdrawn, also when it was never confirmed: then a straggling `confirm` finds the mark.

    It is no sale from now on.
    """
    await _table().upsert_entity({**_keys(call), "state": WITHDRAWN}, mode=UpdateMode.MERGE)
    order = await _table().get_entity(call.job.id, call.job.of_run(ROW))
    if "day" in order:
        await sales.strike_out(order["day"], call.job.id, call.job.instance_id)


async def hand_over(call: Call) -> dict[str, bool]:
    """Enter the sale and hand the parcel to the carrier, unless the order was withdrawn: the money is back by then.

    Returns whether there is a `carrier` at which the parcel is to be booked.

    The row's `address` names the claim whose `customer.address` is where the parcel goes: the newest that was asked for
    (see `jobs.order_changes`), or else the order's input. Raises OrderMissingError, OrderWithdrawnError.
    """
    while True:
        try:
            order = await _table().get_entity(call.job.id, call.job.of_run(ROW))
        except ResourceNotFoundError:
            raise OrderMissingError(f"order {call.job.id} is not in the book: was its row deleted?") from None
        if order["state"] == WITHDRAWN:
            raise OrderWithdrawnError(f"order {call.job.id} was withdrawn")
        if order["state"] == HANDED_OVER:
            return {"carrier": settings().carrier_url is not None}
        await sales.enter(_sale(call, order))
        changes = await order_changes.read(call.job.id)
        row = {**_keys(call), "state": HANDED_OVER, "address": changes.address or call.job.claim}
        handed_over = "update", row, {"mode": UpdateMode.MERGE, **if_match(order.metadata["etag"])}
        if await order_changes.enter(handed_over, changes.closed(call.job.instance_id)):
            return {"carrier": settings().carrier_url is not None}


def _sale(call: Call, order: TableEntity) -> Sale:
    # An order that an older version of the app confirmed does not say when: it was the last that happened to its row.
    confirmed_at = order.get("confirmedAt") or order.metadata["timestamp"]
    return Sale(
        order_id=call.job.id,
        instance_id=call.job.instance_id,
        day=order.get("day") or clock.local_day(confirmed_at).isoformat(),
        confirmed_at=confirmed_at,
        total=order["total"].value,
        currency=order["currency"],
        lines=json.loads(order["lines"]),
    )


def _keys(call: Call) -> dict[str, Any]:
    return {"PartitionKey": call.job.id, "RowKey": call.job.of_run(ROW)}


def _table() -> TableClient:
    return clients().table("orders")
