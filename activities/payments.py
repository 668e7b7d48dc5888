"""Payments: the order's money is taken once, and given back once."""

import azure.durable_functions as df

from activities import gateway
from jobs.call import Call, outcome
from jobs.inputs import OrderInput

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="call")
async def charge_payment(call: dict) -> dict:
    return await outcome(charge, call)


@blueprint.activity_trigger(input_name="call")
async def refund_payment(call: dict) -> dict:
    return await outcome(refund, call)


async def charge(call: Call) -> dict[str, str]:
    """Authorize and charge the card. Input: `amount` in minor units, `currency`. Returns the two ids.

    Both requests carry a key of this job: after a lost answer they find what was booked instead of booking again.
    """
    order = await call.job_input(OrderInput)
    about = {
        "reference": call.job.instance_id,
        "customer": order.customer.id,
        "amount": call.input["amount"],
        "currency": call.input["currency"],
    }
    correlation_id = call.job.correlation_id
    authorization = await gateway.authorize(f"{call.key}/authorize", correlation_id, card=order.card, **about)
    charged = await gateway.charge(f"{call.key}/charge", correlation_id, authorization=authorization, **about)
    return {"authorization": authorization, "charge": charged}


async def refund(call: Call) -> None:
    """Give back what was charged for this job, and release what was only authorized.

    It asks the gateway's ledger rather than the step's result, which is missing exactly when the outcome is unknown.
    """
    authorized, charges, refunded = await _booked(call)
    if authorized and not charges and not await _void(call, authorized):
        # The charge was still on its way when the ledger was read.
        _, charges, refunded = await _booked(call)
    for charge_id, amount in charges.items():
        if left := amount - refunded:
            await gateway.refund(
                f"{call.key}/{charge_id}",
                call.job.correlation_id,
                charge=charge_id,
                reference=call.job.instance_id,
                amount=left,
            )


async def _booked(call: Call) -> tuple[str | None, dict[str, int], int]:
    """What the gateway knows of this job: its authorization unless void, its charges, and the sum of its refunds."""
    authorized: str | None = None
    charges: dict[str, int] = {}
    refunded = 0
    for entry in await gateway.ledger(call.job.instance_id, call.job.correlation_id):
        match entry["kind"]:
            case "authorization":
                authorized = entry["id"]
            case "void":
                authorized = None
            case "charge":
                charges[entry["id"]] = entry["amount"]
            case "refund":
                refunded += entry["amount"]
    return authorized, charges, refunded


async def _void(call: Call, authorization: str) -> bool:
    """Release the authorization, so that no straggling request can charge it. False when it has been charged."""
    try:
        await gateway.void(f"{call.key}/void", call.job.correlation_id, authorization)
    except gateway.PaymentRefusedError as error:
        if error.status == 409:
            return False
        raise
    return True
