"""How integration tests drop messages into the Service Bus, and see what rests there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

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
    """A Service Bus, looked at with a client that lives for one call."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """Send messages, in this order and one by one, since a batch is for one session."""

        async def work(client: ServiceBusClient) -> None:
            async with client.get_queue_sender(queue) as sender:
                for message in messages:
                    await sender.send_messages(message)

        self._with_client(work)

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue, at most 100."""
        return len(self._peek(queue, None))

    def dead(self, queue: str = "poison-jobs") -> list[Dead]:
        """The dead letters of a queue, at most 100."""
        return [
            Dead(
                message.dead_letter_reason,
                message.dead_letter_error_description,
                b"".join(message.body),
                {_text(name): _text(value) for name, value in (message.application_properties or {}).items()},
            )
            for message in self._peek(queue, ServiceBusSubQueue.DEAD_LETTER)
        ]

    def _peek(self, queue: str, sub_queue: ServiceBusSubQueue | None) -> list[ServiceBusReceivedMessage]:
        async def work(client: ServiceBusClient) -> list[ServiceBusReceivedMessage]:
            async with client.get_queue_receiver(queue, sub_queue=sub_queue) as receiver:
                return await receiver.peek_messages(100)

        return self._with_client(work)

    def _with_client(self, work: Callable[[ServiceBusClient], Awaitable[Answer]]) -> Answer:
        async def run() -> Answer:
            async with ServiceBusClient.from_connection_string(self._connection_string) as client:
                return await work(client)

        return asyncio.run(run())


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
