"""How integration tests drop messages into the Service Bus, and see what rests there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

if TYPE_CHECKING:
    from devhost.servicebus.in_process import InProcessServiceBus

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Dead:
    """One message of a dead-letter queue."""

    reason: str
    description: str
    body: bytes
    properties: dict[str, Any]

    @property
    def source(self) -> str | None:
        return self.properties.get("source")


class Bus:
    """The Service Bus that the shop works with, reached with a client that lives for one call."""

    def __init__(self, running: InProcessServiceBus) -> None:
        self._running = running

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """Send messages, in this order and one by one, since a batch is for one session."""

        async def work(client: ServiceBusClient) -> None:
            async with client.get_queue_sender(queue) as sender:
                for message in messages:
                    await sender.send_messages(message)

        self._with_client(work)

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue. A client cannot look into one that has sessions."""
        return self._running.call(lambda broker: broker.counts(queue)).active

    def dead(self, queue: str = "poison-jobs") -> list[Dead]:
        """The dead letters of a queue, at most 100."""
        return [
            Dead(
                message.dead_letter_reason,
                message.dead_letter_error_description,
                b"".join(message.body),
                {_text(name): _text(value) for name, value in (message.application_properties or {}).items()},
            )
            for message in self._peek_dead(queue)
        ]

    def _peek_dead(self, queue: str) -> list[ServiceBusReceivedMessage]:
        async def work(client: ServiceBusClient) -> list[ServiceBusReceivedMessage]:
            async with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
                return await receiver.peek_messages(100)

        return self._with_client(work)

    def _with_client(self, work: Callable[[ServiceBusClient], Awaitable[Answer]]) -> Answer:
        async def run() -> Answer:
            async with ServiceBusClient.from_connection_string(self._running.connection_string) as client:
                return await work(client)

        return asyncio.run(run())


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
