"""Parcels: booked for an order, looked up while they are on their way, and their customers told of each change."""

from dataclasses import asdict
from typing import Any

import azure.durable_functions as df

from activities import mail
from jobs import carrier, clock, intake, ledger, parcels, telemetry
from jobs.call import Call, outcome
from jobs.carrier import CarrierUnavailableError
from jobs.catalog import kind_named
from jobs.errors import PermanentError
from jobs.inputs import OrderInput, ShipmentInput
from jobs.job import Envelope, parse
from jobs.parcels import Change
from jobs.settings import settings

blueprint = df.Blueprint()

SHIPMENT = "shipment"
WAITS_FOR = "carrier"
"""What the ledger and the status say of a shipment that is watched."""
IN_WORDS = {
    "announced": "has been announced to the carrier",
    "collected": "has been collected by the carrier",
    "in-transit": "is on its way",
    "out-for-delivery": "is out for delivery and should reach you today",
    "delivered": "has been delivered",
    "returned": "could not be delivered and is on its way back to us",
}


@blueprint.activity_trigger(input_name="call")
async def start_shipment(call: dict) -> dict:
    return await outcome(start, call)


@blueprint.activity_trigger(input_name="call")
async def look_up_parcel(call: dict) -> dict:
    return await outcome(look_up, call)


@blueprint.activity_trigger(input_name="call")
async def mail_parcel_news(call: dict) -> dict:
    return await outcome(tell_customer, call)


async def start(call: Call) -> dict[str, str]:
    """Book the order's parcel, and have a shipment job watch it. Returns the parcel's number.

    Repeated, it finds the parcel that it has booked, and the job. Raises CarrierRefusedError, CarrierUnavailableError.
    """
    order = await call.job_input(OrderInput)
    number = await carrier.book(call.job.instance_id, key=call.key, correlation_id=call.job.correlation_id)
    watched = {"parcel": number, "order": call.job.id, "email": order.customer.email}
    envelope = Envelope(kind=SHIPMENT, id=number, input=watched, correlation_id=call.job.correlation_id)
    await intake.enqueue(parse(envelope, source=f"job:{call.job.kind}/{call.job.id}"))
    return {"parcel": number}


async def look_up(call: Call) -> dict[str, Any]:
    """Ask the carrier for news, and put them to those that webhooks told. Input: `parcel`, `look` (counted from 1).

    Without the carrier's answer there are no news by this way. Returns where the parcel is (`newest`, None when nobody
    knows), whether that `isOver`, what is `untold`; whether there was an `outage`; the event `wake` that calls for the
    next look; and of the intervals between looks the `first` and the `longest`, in seconds.
    Raises SettingMissingError.
    """
    number, look = call.input["parcel"], call.input["look"]
    known = await parcels.read(number)
    if known.instance != call.job.instance_id:
        # The first look that has come so far: storage may have been away at those before.
        overdue_at = clock.now() + kind_named(SHIPMENT).deadline
        await ledger.wait_for(call.job, WAITS_FOR, overdue_at)
    news: list[Change] = []
    outage = False
    # An end is known for good.
    if not known.is_over:
        try:
            news = await carrier.track(number, correlation_id=call.job.correlation_id)
        except CarrierUnavailableError as error:
            telemetry.step_failed(error, attempt=call.attempt)
            outage = True
    found = await parcels.look(known, news, instance=call.job.instance_id, wake=f"news.{look}")
    return {
        "newest": asdict(found.newest) if found.newest else None,
        "isOver": found.is_over,
        "untold": [asdict(change) for change in found.untold],
        "outage": outage,
        "wake": found.wake,
        "first": settings().shipment_first_interval,
        "longest": settings().shipment_longest_interval,
    }


async def tell_customer(call: Call) -> None:
    """Mail one change of the parcel: `sequence`, `state`, `at`. Raises MailRefusedError, MailServerUnavailableError.

    What was mailed, or never can be, is not tried again by a later look, nor when the job is run once more.
    """
    shipment = await call.job_input(ShipmentInput)
    change = Change(**call.input)
    text = (
        f"Your parcel {shipment.parcel} with order {shipment.order} {IN_WORDS[change.state]}.\n\n"
        f"State: {change.state}\nSince: {change.at}\n"
    )
    # Not by the job's run: a run that follows one which failed has nothing new to tell.
    key = f"{SHIPMENT}-{shipment.parcel}/{call.step}/{change.sequence}"
    subject = f"Your order {shipment.order}: parcel {change.state.replace('-', ' ')}"
    try:
        await mail.deliver(shipment.email, subject, text, key=key, correlation_id=call.job.correlation_id)
    except PermanentError:
        await parcels.tell(shipment.parcel, change.sequence)
        raise
    await parcels.tell(shipment.parcel, change.sequence)
