"""Runs functions written inside a test on devhost's real parts and a local bus, without an app folder."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import Any

import azure.functions as func
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport

from devhost.service_bus_connections import ServiceBusConnections
from devhost.servicebus.counts import Counts
from devhost.servicebus.descriptions import QueueDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.in_process import InProcessServiceBus
from devhost.servicebus.message import Message
from tests.conformance.bare_host import BareHost, listening

CONNECTION = "AzureWebJobsServiceBus"
_numbers = itertools.count(1)


def new_queue(bus: InProcessServiceBus, **properties: Any) -> str:
    """A queue that no other test uses; `properties` as in QueueDescription (times in ms)."""
    name = f"q-{next(_numbers)}"
    bus.call(lambda broker: broker.create_queue(QueueDescription(name, **properties)))
    return name


def new_topic(bus: InProcessServiceBus, *subscriptions: str, **properties: Any) -> str:
    """A topic with these subscriptions; `properties` as in SubscriptionDescription."""
    name = f"t-{next(_numbers)}"
    bus.call(lambda broker: broker.create_topic(TopicDescription(name)))
    for subscription in subscriptions:
        description = SubscriptionDescription(subscription, **properties)
        bus.call(lambda broker, description=description: broker.create_subscription(name, description))
    return name


def send(bus: InProcessServiceBus, entity: str, *messages: Any, **properties: Any) -> None:
    """Bodies or ServiceBusMessages, encoded by the real client; `properties` are those of all bodies.

    Put into the bus past its wire: the client takes half a second to open a sender.
    """
    made = [m if isinstance(m, ServiceBusMessage) else ServiceBusMessage(m, **properties) for m in messages]
    parsed = [Message.parse(_encoded(message)) for message in made]
    bus.call(lambda broker: broker.target(entity).send(parsed))


def _encoded(message: ServiceBusMessage) -> bytes:
    payload = bytearray()
    encode_payload(payload, PyamqpTransport.to_outgoing_amqp_message(message.raw_amqp_message))
    return bytes(payload)


def bodies(bus: InProcessServiceBus, path: str) -> list[bytes]:
    """What an entity's messages say."""
    return [b"".join(message.body) for message in peek(bus, path)]


def peek(bus: InProcessServiceBus, path: str) -> list[ServiceBusReceivedMessage]:
    """An entity's messages as the real client shows them."""
    found = bus.call(lambda broker: broker.queue(path).peek(0, 100))
    return [ServiceBusReceivedMessage.from_bytes(delivery.message.payload) for delivery in found]


def counts(bus: InProcessServiceBus, path: str) -> Counts:
    """How many messages an entity holds."""
    return bus.call(lambda broker: broker.counts(path))


class ServiceBusHost(BareHost):
    """With the local bus."""

    def __init__(self, connection_string: str, options: dict[str, Any], settings: dict[str, str]) -> None:
        super().__init__({CONNECTION: connection_string, **settings}, {"serviceBus": options})
        self.service_bus = ServiceBusConnections(self.settings)

    async def close(self) -> None:
        await self.service_bus.close()

    async def send(self, entity: str, body: bytes) -> None:
        """Send by the real client, which takes half a second the first time."""
        shared = self.service_bus.namespace(None).sender(entity, {})
        async with shared.lock:
            await shared.sender.send_messages(ServiceBusMessage(body))


@asynccontextmanager
async def running(
    bus: InProcessServiceBus | str, app: func.FunctionApp, *, settings: dict[str, str] | None = None, **options: Any
):
    """The app's functions, listening; ends with every listener stopped and no fault. `options` as in host.json."""
    connection_string = bus if isinstance(bus, str) else bus.connection_string
    host = ServiceBusHost(connection_string, {"sessionIdleTimeout": "00:00:00.2", **options}, settings or {})
    async with listening(host, app):
        yield host


def queue_app(queue: str, work: Any, **options: Any) -> func.FunctionApp:
    """An app with one function, `work(msg)`, on a queue."""
    app = func.FunctionApp()
    app.function_name("work")(app.service_bus_queue_trigger("msg", CONNECTION, queue, **options)(work))
    return app
