"""The Service Bus output: one message to a queue or topic, or one for each element of an array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from devhost.bindings.dotnet import text_of
from devhost.bindings.expressions import BindingExpression
from devhost.bindings.results import read_items
from devhost.errors import DevhostError
from devhost.listeners.service_bus_options import ServiceBusOptions

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.aio import ServiceBusSender

    from devhost.functions import Binding
    from devhost.host import Host

_BYTES = "System.Byte[]"
"""What becomes of bytes: the real host asks .NET for their text (functions-host.md §2.4)."""


class ServiceBusOutputError(DevhostError):
    """Messages could not be sent."""


class ServiceBusOutput:
    """Sends what an invocation gives as one batch, when it ends. The entity must exist (functions-host.md §7)."""

    def __init__(self, host: Host, binding: Binding) -> None:
        """Raises what ServiceBusConnections.namespace raises, BindingExpressionError, ServiceBusOptionsError."""
        properties = binding.properties
        name = properties.get("queueName") or properties.get("topicName")
        if not name:
            raise ServiceBusOutputError(
                f"the output '{binding.name}' names neither a queue nor a topic.",
                "Use @app.service_bus_queue_output(queue_name=...) or service_bus_topic_output(topic_name=...).",
            )
        self._host = host
        self._namespace = host.service_bus.namespace(properties.get("connection"))
        self._name = BindingExpression(name)
        self._retry = dict(ServiceBusOptions.from_host(host).retry)
        if self._name.is_constant:
            self._namespace.check_entity(self._name.resolve({}))

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise BindingExpressionError if `data` lacks a name that the entity's name uses."""
        self._name.resolve(data)

    async def write(self, value: Datum, data: Mapping[str, Any]) -> None:
        """Send the messages, in order: all of them or, unless they are too many for one batch, none.

        Raises OutputValueError, ServiceBusOutputError.
        """
        from azure.servicebus import ServiceBusMessage
        from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusError

        properties = {"$AzureWebJobsParentId": data["$invocationId"]}
        messages = [
            ServiceBusMessage(_text(item), content_type="text/plain", application_properties=dict(properties))
            for item in read_items(value)
        ]
        entity = self._name.resolve(data)
        shared = self._namespace.sender(entity, self._retry)
        try:
            async with shared.lock:
                await _send(shared.sender, messages)
        except MessagingEntityNotFoundError:
            raise ServiceBusOutputError(
                f"There is no queue or topic '{entity}' in {self._namespace.name}; outputs do not create it.",
                "Declare it in servicebus.json and start the bus again, or create it in the portal.",
            ) from None
        except ServiceBusError as error:
            raise ServiceBusOutputError(
                f"Nothing could be sent to '{entity}' of {self._namespace.name}: {error}",
                "If it does not answer: `python -m devhost.servicebus --config servicebus.json`, or `make run`.",
            ) from error


def _text(item: Any) -> str:
    return _BYTES if isinstance(item, bytes) else text_of(item)


async def _send(sender: ServiceBusSender, messages: list[ServiceBusMessage]) -> None:
    """Send as few batches as the service's size limit allows; one message goes by itself, as it may be larger."""
    from azure.servicebus.exceptions import MessageSizeExceededError

    while messages:
        if len(messages) == 1:
            await sender.send_messages(messages[0])
            return
        batch = await sender.create_message_batch()
        taken = 0
        try:
            for message in messages:
                batch.add_message(message)
                taken += 1
        except MessageSizeExceededError:
            if not taken:
                raise
        await sender.send_messages(batch)
        messages = messages[taken:]
