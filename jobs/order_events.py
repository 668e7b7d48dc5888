"""Order events: what a customer changes of an order that is under way, applied once and in the order of its numbers.

An event carries a sequence number that rises for each order. Its number is recorded after its effect, and repeating an
effect changes nothing; so after a crash in between the event comes again, does no harm, and is recorded then. What was
recorded before, or is older than that, is ignored. What can never be applied is buried and its number is not recorded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from azure.durable_functions import DurableOrchestrationClient
from pydantic import Field, ValidationError, model_validator

from jobs import cancellation, claim_check, dead_letters, ledger, order_changes, strict_json, telemetry
from jobs.errors import JobCancelledError, JobNotFoundError, NotAJobError, PermanentError, TooLateError
from jobs.inputs import IDENTIFIER, SENSITIVE, Input, Text
from jobs.job import invalid
from jobs.ledger import Entry

SOURCE = "servicebus:order-events"
ORDER = "order"


class OrderEvent(Input):
    """One thing that shall change: `cancel` the order, or `change-address` of its parcel."""

    event: Literal["cancel", "change-address"]
    sequence: Annotated[int, Field(ge=1, le=2**53)]
    address: Annotated[Text | None, SENSITIVE] = None

    @model_validator(mode="after")
    def _address_where_it_belongs(self) -> OrderEvent:
        if (self.event == "change-address") != (self.address is not None):
            raise ValueError('"address" is required for the event "change-address", and belongs to no other')
        return self


@dataclass(frozen=True)
class EventDelivery:
    """One delivery of an event's message; its session is the order's id."""

    order_id: str
    message_id: str
    attempt: int
    is_last: bool
    """Whether the bus dead-letters the message when this delivery fails."""


async def receive(body: bytes, delivery: EventDelivery, durable: DurableOrchestrationClient) -> None:
    """Apply the event, ignore it, or bury it. Raises when it should be delivered again."""
    try:
        await _take(body, delivery.order_id, durable)
    except PermanentError as error:
        await dead_letters.bury_message(
            SOURCE, delivery.message_id, body, error, attempts=delivery.attempt, session_id=delivery.order_id
        )
    except Exception as error:
        if delivery.is_last:
            dead_letters.give_up(
                SOURCE, delivery.message_id, body, error, attempts=delivery.attempt, session_id=delivery.order_id
            )
        raise


def parse(body: bytes) -> OrderEvent:
    """The event in a message. Raises NotAJobError, InvalidInputError."""
    fields = strict_json.loads(body)
    if not isinstance(fields, dict):
        raise NotAJobError('an order event is a JSON object with "event" and "sequence"')
    try:
        return OrderEvent.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, "the order event is not right") from None


async def _take(body: bytes, order_id: str, durable: DurableOrchestrationClient) -> None:
    event = parse(body)
    if not re.fullmatch(IDENTIFIER, order_id):
        raise JobNotFoundError("there is no order of that id: the session id of an order event is the id of its order")
    entry = await ledger.get(ORDER, order_id)
    with telemetry.about(entry.job, change=event.event, sequence=event.sequence):
        newest = (await order_changes.read(order_id)).sequence
        if event.sequence <= newest:
            telemetry.order_event_ignored(newest)
            return
        if event.event == "cancel":
            await _cancel(entry, event, durable)
        else:
            await _change_address(entry, event)
        telemetry.order_event_applied()


async def _cancel(entry: Entry, event: OrderEvent, durable: DurableOrchestrationClient) -> None:
    order_id = entry.job.id
    try:
        await cancellation.request(ORDER, order_id, durable)
    except TooLateError:
        # It may be too late because this very event was delivered before, and the order was cancelled by it.
        if not _was_cancelled(await ledger.get(ORDER, order_id)):
            raise
    while event.sequence > (changes := await order_changes.read(order_id)).sequence:
        await order_changes.enter(changes.applied(event.sequence))


def _was_cancelled(entry: Entry) -> bool:
    """Whether the order ended because it was to be cancelled, also when not all of it could be undone."""
    return entry.state == ledger.CANCELLED or (entry.error or {}).get("type") == JobCancelledError("").type


async def _change_address(entry: Entry, event: OrderEvent) -> None:
    if entry.is_final:
        raise TooLateError(f"the order has ended: it is {entry.state}")
    claim = f"{ORDER}/{entry.job.id}/address-{event.sequence}.json"
    content = strict_json.canonical({"customer": {"address": event.address}})
    is_written = False
    while event.sequence > (changes := await order_changes.read(entry.job.id)).sequence:
        if changes.parcel == entry.job.instance_id:
            raise TooLateError("the parcel has been handed over: its address can no longer be changed")
        if not is_written:
            await claim_check.write(claim, content)
            is_written = True
        if await order_changes.enter(changes.applied(event.sequence, address=claim)):
            return
