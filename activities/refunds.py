"""Refunds: set aside in the order book, paid once through the gateway, and told to the customer."""

import azure.durable_functions as df

from activities import gateway
from activities.mail import deliver
from jobs import claim_check, ledger, money, refunds
from jobs.call import Call, outcome
from jobs.claim_check import ClaimLostError
from jobs.errors import JobNotFoundError, PermanentError
from jobs.inputs import OrderInput
from jobs.refunds import PAID, Refund, RefundEndedError

blueprint = df.Blueprint()


class CustomerForgottenError(PermanentError):
    """Who has ordered is not known any more."""


@blueprint.activity_trigger(input_name="call")
async def reserve_refund(call: dict) -> dict:
    return await outcome(reserve, call)


@blueprint.activity_trigger(input_name="call")
async def release_refund(call: dict) -> dict:
    return await outcome(release, call)


@blueprint.activity_trigger(input_name="call")
async def pay_refund(call: dict) -> dict:
    return await outcome(pay, call)


@blueprint.activity_trigger(input_name="call")
async def mail_refund(call: dict) -> dict:
    return await outcome(tell, call)


async def reserve(call: Call) -> dict[str, int | str]:
    """Set aside what is to be refunded. Input: `order`, `amount` in minor units or None for all that is left.

    Returns `amount`, `currency`, and both `written` for people. Raises what `refunds.reserve` raises.
    """
    refund = await refunds.reserve(call.input["order"], call.job, call.input["amount"])
    return {"amount": refund.amount, "currency": refund.currency, "written": _written(refund)}


async def release(call: Call) -> None:
    """Give back what was set aside, unless the gateway has paid it. Input: `order`.

    It asks the gateway's ledger, as the payment's answer may have been lost. What was paid after all is entered as
    paid, and stays an open compensation: the job could not know of it, so a person should. What another job of the
    same id has made stays as it is.
    """
    refund = await refunds.find(call.input["order"], call.job.instance_id)
    if refund and not refund.is_of(call.job):
        return
    if refund and (payment := await _paid(call, refund)):
        await refunds.settle(refund.order_id, call.job, payment)
        raise RefundEndedError(f"the gateway has paid this refund, as {payment}: it cannot be taken back")
    await refunds.release(call.input["order"], call.job)


async def pay(call: Call) -> str:
    """Pay what was set aside, and return the gateway's id of the refund. Input: `order`.

    The request carries a key of this job; when its answer is lost, the gateway's ledger tells whether it was booked.
    """
    refund = await refunds.find(call.input["order"], call.job.instance_id)
    if refund is None or refund.state not in (refunds.RESERVED, PAID):
        raise RefundEndedError("nothing is set aside for this refund: it was taken back")
    payment = refund.payment or await _pay(call, refund)
    await refunds.settle(refund.order_id, call.job, payment)
    return payment


async def tell(call: Call) -> None:
    """Tell the customer of the order. Input: `order`, `written`.

    Raises CustomerForgottenError when the order is so old that retention has deleted whose it was.
    """
    order_id, amount = call.input["order"], call.input["written"]
    customer = (await _ordered(order_id)).customer
    text = f"Dear {customer.name},\n\nof your order {order_id} we have given {amount} back to your card.\n"
    subject = f"Refund for your order {order_id}"
    await deliver(customer.email, subject, text, key=call.key, correlation_id=call.job.correlation_id)


async def _pay(call: Call, refund: Refund) -> str:
    try:
        return await gateway.refund(
            _key(call),
            call.job.correlation_id,
            charge=refund.charge,
            reference=refund.reference,
            amount=refund.amount,
        )
    except gateway.GatewayUnavailableError:
        if payment := await _paid(call, refund):
            return payment
        raise


async def _paid(call: Call, refund: Refund) -> str | None:
    """The gateway's id of this refund, if it was booked."""
    entries = await gateway.ledger(refund.reference, call.job.correlation_id)
    return next((entry["id"] for entry in entries if entry["kind"] == "refund" and entry["key"] == _key(call)), None)


async def _ordered(order_id: str) -> OrderInput:
    try:
        entry = await ledger.get("order", order_id)
        return OrderInput.model_validate(await claim_check.read(entry.job.claim))
    except (JobNotFoundError, ClaimLostError):
        raise CustomerForgottenError(
            f"no mail was sent: what was entered with order {order_id} is past its age and deleted"
        ) from None


def _key(call: Call) -> str:
    # Not the step's key: whoever releases asks for what whoever pays has booked.
    return f"{call.job.instance_id}/refund"


def _written(refund: Refund) -> str:
    return f"{money.written(refund.amount, refund.currency)} {refund.currency}"
