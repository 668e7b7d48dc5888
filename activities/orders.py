"""The order book: one row an order and run of its job, which says what was sold and how far it is."""

import json
from typing import Any

import azure.durable_functions as df
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, UpdateMode
from azure.data.tables.aio import TableClient

from jobs import order_changes
from jobs.call import Call, outcome
from jobs.clients import clients
from jobs.errors import PermanentError

blueprint = df.Blueprint()

CONFIRMED, WITHDRAWN, HANDED_OVER = "Confirmed", "Withdrawn", "HandedOver"
ROW = "order"


class OrderWithdrawnError(PermanentError):
    """The order was taken back, and must not be confirmed again."""


class OrderMissingError(PermanentError):
    """The order is not in the book."""


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
    row = {
        **_keys(call),
        "state": CONFIRMED,
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
    """Mark the order as withdrawn, also when it was never confirmed: then a straggling `confirm` finds the mark."""
    await _table().upsert_entity({**_keys(call), "state": WITHDRAWN}, mode=UpdateMode.MERGE)


async def hand_over(call: Call) -> None:
    """Hand the parcel to the carrier, unless the order was withdrawn: the customer has the money back by then.

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
            return
        changes = await order_changes.read(call.job.id)
        row = {**_keys(call), "state": HANDED_OVER, "address": changes.address or call.job.claim}
        guard = {"etag": order.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
        handed_over = "update", row, {"mode": UpdateMode.MERGE, **guard}
        if await order_changes.enter(handed_over, changes.closed(call.job.instance_id)):
            return


def _keys(call: Call) -> dict[str, Any]:
    return {"PartitionKey": call.job.id, "RowKey": call.job.of_run(ROW)}


def _table() -> TableClient:
    return clients().table("orders")
