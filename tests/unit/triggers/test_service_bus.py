"""The Service Bus doors: what the host says of a message becomes a delivery."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest
from azure.functions.servicebus import ServiceBusMessageInConverter

from jobs import delivery, intake, order_events
from jobs.delivery import Message
from jobs.intake import BusDelivery
from jobs.order_events import EventDelivery
from jobs.settings import SERVICE_BUS_JSON
from tests.unit.triggers.doors import functions

pytestmark = pytest.mark.anyio

TOLD = {
    "MessageId": "m-1",
    "SequenceNumber": 7,
    "DeliveryCount": 1,
    "EnqueuedTimeUtc": "2026-11-22T10:00:00.123",
    "UserProperties": {},
    "ApplicationProperties": {},
}


def message(body: bytes, **told: Any) -> func.ServiceBusMessage:
    """A message as the worker makes it from what the host sends (functions-host.md §7); None is not sent."""
    said = {name: value for name, value in (TOLD | told).items() if value is not None}
    metadata = {name: func.meta.Datum(json.dumps(value), "json") for name, value in said.items()}
    return ServiceBusMessageInConverter.decode(func.meta.Datum(body, "bytes"), trigger_metadata=metadata)


@pytest.fixture
def handed_over(monkeypatch) -> list[tuple]:
    """What the doors handed over."""
    found = []

    async def receive(body, delivery, durable):
        found.append((body, delivery, durable))

    monkeypatch.setattr(intake, "receive_from_bus", receive)
    monkeypatch.setattr(order_events, "receive", receive)
    return found


async def deliver(door: str, received: func.ServiceBusMessage, durable: Any = None) -> None:
    await functions()[door].get_user_function().client_function(message=received, client=durable)


SENT_AT = "2026-11-22T10:00:00.123000Z"


async def test_a_job_comes_with_all_that_the_bus_says(handed_over):
    client = object()
    about_reply = {"ReplyTo": "replies", "ReplyToSessionId": "s-1"}
    received = message(b'{"id": "x"}', CorrelationId="c-1", DeliveryCount=3, **about_reply)
    await deliver("take_bus_job", received, client)
    said = BusDelivery("jobs", "m-1", 3, False, SENT_AT, "c-1", "replies", "m-1", "s-1")
    assert handed_over == [(b'{"id": "x"}', said, client)]


async def test_a_delivery_comes_with_what_the_bus_says_of_its_message(monkeypatch):
    found = []

    async def receive(body, said):
        found.append((body, said))

    monkeypatch.setattr(delivery, "receive", receive)
    take = functions()["take_delivery"].get_user_function()
    for count in (4, 5):
        await take(message=message(b"{}", DeliveryCount=count))
    assert found == [
        (b"{}", Message("m-1", 4, is_last=False, enqueued_at=SENT_AT)),
        (b"{}", Message("m-1", 5, is_last=True, enqueued_at=SENT_AT)),
    ]


async def test_a_message_may_say_little(handed_over):
    await deliver("take_bus_job", message(b"", MessageId=None, ReplyTo=""))
    said = BusDelivery("jobs", f"7@{SENT_AT}", 1, False, SENT_AT)
    assert handed_over == [(b"", said, None)]


async def test_an_order_event_comes_with_its_session(handed_over):
    await deliver("take_order_event", message(b"{}", SessionId="A-1", DeliveryCount=3))
    await deliver("take_order_event", message(b"{}", SessionId="A-1", MessageId=None))
    deliveries = [came for _, came, _ in handed_over]
    assert deliveries == [EventDelivery("A-1", "m-1", 3, False), EventDelivery("A-1", f"7@{SENT_AT}", 1, False)]


@pytest.mark.parametrize("door", ["take_bus_job", "take_order_event"])
@pytest.mark.parametrize(("count", "is_last"), [(4, False), (5, True), (6, True)])
async def test_the_last_delivery_is_known(handed_over, door, count, is_last):
    await deliver(door, message(b"", SessionId="A-1", DeliveryCount=count))
    ((_, came, _),) = handed_over
    assert (came.attempt, came.is_last) == (count, is_last)


@pytest.mark.parametrize(
    ("door", "queue"),
    [("take_bus_job", "jobs"), ("take_order_event", "order-events"), ("take_delivery", "deliveries")],
)
def test_each_door_fits_its_queue(door, queue):
    (trigger,) = (b for b in functions()[door].get_bindings_dict()["bindings"] if b["type"] == "serviceBusTrigger")
    assert (trigger["queueName"], trigger["connection"]) == (queue, "AzureWebJobsServiceBus")
    # As text, a JSON object's fields would replace what the host says of the message.
    assert str(trigger["dataType"]).upper() == "BINARY"
    (namespace,) = json.loads(SERVICE_BUS_JSON.read_text())["UserConfig"]["Namespaces"]
    (entity,) = (each for each in namespace["Queues"] if each["Name"] == queue)
    assert entity["Properties"]["RequiresSession"] is bool(trigger.get("isSessionsEnabled"))
