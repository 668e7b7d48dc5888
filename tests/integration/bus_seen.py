"""How integration tests drop messages into the Service Bus, and see what rests there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSender,
    ServiceBusSubQueue,
)

if TYPE_CHECKING:
    from devhost.servicebus.in_process import InProcessServiceBus


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
    """The Service Bus that the shop works with. Its links stay open: to open and close one takes more than a second."""

    def __init__(self, running: InProcessServiceBus) -> None:
        self._running = running
        self._senders: dict[str, ServiceBusSender] = {}
        self._receivers: dict[str, ServiceBusReceiver] = {}
        self._peekers: dict[str, ServiceBusReceiver] = {}
        self._listeners: dict[str, ServiceBusReceiver] = {}

    def __enter__(self) -> Bus:
        self._client = ServiceBusClient.from_connection_string(self._running.connection_string)
        return self

    def __exit__(self, *_: object) -> None:
        # Each takes a second.
        with ThreadPoolExecutor() as pool:
            list(
                pool.map(
                    lambda end: end.close(),
                    [
                        *self._senders.values(),
                        *self._receivers.values(),
                        *self._peekers.values(),
                        *self._listeners.values(),
                    ],
                )
            )
        self._client.close()

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """Send messages, in this order and one by one, since a batch is for one session."""
        if queue not in self._senders:
            self._senders[queue] = self._client.get_queue_sender(queue)
        for message in messages:
            self._senders[queue].send_messages(message)

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue. A client cannot look into one that has sessions."""
        return self._running.call(lambda broker: broker.counts(queue)).active

    def scheduled(self, queue: str) -> int:
        """How many messages are held back until their time comes."""
        return self._running.call(lambda broker: broker.counts(queue)).scheduled

    def peek(self, queue: str) -> list[bytes]:
        """The bodies of all messages in a queue, also of those that are held back, at most 100."""
        if queue not in self._peekers:
            self._peekers[queue] = self._client.get_queue_receiver(queue)
        return [b"".join(message.body) for message in self._peekers[queue].peek_messages(100, sequence_number=1)]

    def told(self, subscription: str) -> list[ServiceBusReceivedMessage]:
        """The messages that a subscription of the topic `job-events` has got, at most 100; they are there no longer."""
        if subscription not in self._listeners:
            self._listeners[subscription] = self._client.get_subscription_receiver("job-events", subscription)
        found: list[ServiceBusReceivedMessage] = []
        while waiting := self.waiting(f"job-events/subscriptions/{subscription}"):
            messages = self._listeners[subscription].receive_messages(waiting, max_wait_time=5)
            for message in messages:
                self._listeners[subscription].complete_message(message)
            found += messages
        return found

    def dead(self, queue: str = "poison-jobs") -> list[Dead]:
        """The dead letters of a queue, at most 100."""
        if queue not in self._receivers:
            dead_letters = ServiceBusSubQueue.DEAD_LETTER
            self._receivers[queue] = self._client.get_queue_receiver(queue, sub_queue=dead_letters)
        return [
            Dead(
                message.dead_letter_reason,
                message.dead_letter_error_description,
                b"".join(message.body),
                {_text(name): _text(value) for name, value in (message.application_properties or {}).items()},
            )
            for message in self._receivers[queue].peek_messages(100, sequence_number=1)
        ]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
