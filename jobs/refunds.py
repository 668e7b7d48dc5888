"""Refunds in the order book: what of an order's money is promised back or given back, never more than it was charged.

A refund's row lies beside its order's, under the instance id of its job. Whatever changes one changes both, in one
transaction that fails when either is no more as it was read: so refunds of one order may run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from jobs import clock, money, order_book, order_changes, sales
from jobs.clients import clients
from jobs.entry import JobRef, written
from jobs.errors import PermanentError
from jobs.etags import if_match
from jobs.ledger import now
from jobs.order_book import HANDED_OVER, OrderMissingError
from jobs.sales import PaidRefund

RESERVED, PAID, RELEASED = "Reserved", "Paid", "Released"


class OrderNotRefundableError(PermanentError):
    """The order is not sold (yet, or any more), so no money of it is the shop's to give back."""


class RefundTooLargeError(PermanentError):
    """More is asked for than what is left of the order's charge."""


class RefundExistsError(PermanentError):
    """The order has a refund of this id, which another job has made whose row in the ledger is gone by its age."""


class RefundEndedError(PermanentError):
    """The refund was paid or released before, and must not be touched again."""


@dataclass(frozen=True)
class Refund:
    """A refund's row. Amounts are in minor units."""

    id: str
    """The instance id of its job."""
    order_id: str
    state: str
    amount: int
    currency: str
    charge: str
    """The gateway's id of what is given back."""
    reference: str
    """The one under which the gateway has booked it: the instance id of the order's job."""
    payment: str | None
    """The gateway's id of the refund, once it is paid."""
    row: TableEntity

    def is_of(self, job: JobRef) -> bool:
        """Whether that job has made it. One that an older version of the app has made is of whoever asks."""
        return self.row.get("submittedAt", job.submitted_at) == job.submitted_at


async def reserve(order_id: str, job: JobRef, amount: int | None) -> Refund:
    """Set an amount of the order's charge aside, or (None) all that is left of it. Done again it changes nothing.

    Raises OrderMissingError, OrderNotRefundableError, RefundTooLargeError, RefundExistsError; RefundEndedError when it
    was released.
    """
    while True:
        if refund := await find(order_id, job.instance_id):
            if not refund.is_of(job):
                raise RefundExistsError(f"a refund {job.id} of the order was made before: ask under a new id")
            if refund.state == RELEASED:
                raise RefundEndedError(f"refund {refund.id} was taken back")
            return refund
        order = await _sold(order_id)
        left = _number(order, "total") - _number(order, "refundReserved") - _number(order, "refunded")
        wanted = left if amount is None else amount
        _check(order_id, wanted, left, order["currency"])
        row = _row(order, job, RESERVED, wanted)
        await order_changes.enter(_moved(order, refundReserved=wanted), ("create", row))


async def settle(order_id: str, job: JobRef, payment: str) -> None:
    """Enter that a reserved refund is paid, as the gateway's `payment`. Raises RefundEndedError if it was released.

    The refund counts on the day of this moment, in the sales. Done again it enters there what a crash has left out.
    """
    moment = clock.now()
    await _end(order_id, job.instance_id, PAID, moment, payment=payment, day=clock.local_day(moment).isoformat())
    paid = await find(order_id, job.instance_id)
    paid_at = datetime.fromisoformat(paid.row["endedAt"])
    await sales.enter(
        PaidRefund(
            order_id=order_id,
            sale=paid.reference,
            refund_id=job.id,
            instance_id=job.instance_id,
            # One that an older version of the app has paid does not say.
            day=paid.row.get("day") or clock.local_day(paid_at).isoformat(),
            paid_at=paid_at,
            amount=paid.amount,
            currency=paid.currency,
        )
    )


async def release(order_id: str, job: JobRef) -> None:
    """Give back what was set aside, also when it never was: then a straggling `reserve` finds the mark.

    Raises RefundEndedError if the refund was paid.
    """
    while await find(order_id, job.instance_id) is None:
        try:
            order = await _sold(order_id)
        except (OrderMissingError, OrderNotRefundableError):
            return
        if await order_changes.enter(("create", _row(order, job, RELEASED, 0))):
            return
    await _end(order_id, job.instance_id, RELEASED, clock.now())


async def find(order_id: str, refund_id: str) -> Refund | None:
    """The refund's row, if it has one."""
    try:
        row = await _table().get_entity(order_id, refund_id)
    except ResourceNotFoundError:
        return None
    return Refund(
        id=refund_id,
        order_id=order_id,
        state=row["state"],
        amount=_number(row, "amount"),
        currency=row["currency"],
        charge=row["charge"],
        reference=row["reference"],
        payment=row.get("payment"),
        row=row,
    )


async def _end(order_id: str, refund_id: str, state: str, moment: datetime, **values: str) -> None:
    while True:
        refund = await find(order_id, refund_id)
        if refund.state == state:
            return
        if refund.state != RESERVED:
            raise RefundEndedError(f"refund {refund_id} has ended: it is {refund.state}")
        order = await _table().get_entity(order_id, refund.row["sale"])
        paid = refund.amount if state == PAID else 0
        changed = {**_keys(refund.row), "state": state, "endedAt": written(moment), **values}
        if await order_changes.enter(
            _moved(order, refundReserved=-refund.amount, refunded=paid), ("update", changed, _guard(refund.row))
        ):
            return


async def _sold(order_id: str) -> TableEntity:
    """The row of the order's run that was sold. Raises OrderMissingError, OrderNotRefundableError."""
    rows = [row async for row in order_book.rows_of(order_id)]
    for row in rows:
        if row["state"] == HANDED_OVER:
            return row
    if not rows:
        raise OrderMissingError(f"order {order_id} is not in the book: is its id right, and was it ever confirmed?")
    raise OrderNotRefundableError(
        f"order {order_id} is {rows[-1]['state']}, and only what was handed over can be refunded: "
        "cancel the order if it still runs"
    )


def _check(order_id: str, wanted: int, left: int, currency: str) -> None:
    if 0 < wanted <= left:
        return
    rest = f"{money.written(left, currency)} {currency} ({left} in minor units)" if left else "nothing"
    raise RefundTooLargeError(
        f"of order {order_id} {rest} is left to refund: the rest was given back, or is promised to other refunds"
    )


def _row(order: TableEntity, job: JobRef, state: str, amount: int) -> dict[str, Any]:
    return {
        "PartitionKey": order["PartitionKey"],
        "RowKey": job.instance_id,
        # Tells its job from another of the same id.
        "submittedAt": job.submitted_at,
        "state": state,
        "sale": order["RowKey"],
        "amount": EntityProperty(amount, EdmType.INT64),
        "currency": order["currency"],
        "charge": order["charge"],
        "reference": f"order-{order['PartitionKey']}{order['RowKey'].removeprefix(order_book.ROW)}",
        "reservedAt": now(),
    }


def _moved(order: TableEntity, **changes: int) -> order_changes.Operation:
    """One operation of a transaction: these sums of the order's row change by so much."""
    sums = {name: EntityProperty(_number(order, name) + change, EdmType.INT64) for name, change in changes.items()}
    return "update", {**_keys(order), **sums}, _guard(order)


def _guard(row: TableEntity) -> dict[str, Any]:
    return {"mode": UpdateMode.MERGE, **if_match(row.metadata["etag"])}


def _keys(row: TableEntity) -> dict[str, str]:
    return {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}


def _number(row: TableEntity, name: str) -> int:
    return row[name].value if name in row else 0


def _table() -> TableClient:
    return clients().table("orders")
