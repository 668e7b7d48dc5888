"""A client's sender: what it sends goes to a queue or topic, and it hears of it when it is on disk."""

from __future__ import annotations

from devhost.servicebus.amqp.incoming import IncomingDelivery, IncomingLink
from devhost.servicebus.broker import Broker
from devhost.servicebus.errors import ServiceBusError
from devhost.servicebus.message import BATCH_FORMAT, Message


class Sender:
    """The bus's end of a sender's link."""

    def __init__(self, broker: Broker, path: str, link: IncomingLink) -> None:
        """Accepts the link. Raises ServiceBusError if nothing can be sent there."""
        self._broker = broker
        self._path = path
        target = broker.target(path)
        target.check_open()
        link.accept(self, max_message_size=target.max_message_size)

    def received(self, delivery: IncomingDelivery) -> None:
        """A message, or a batch of which all or none are taken."""
        try:
            if delivery.message_format == BATCH_FORMAT:
                messages = Message.parse_batch(delivery.payload)
            else:
                messages = [Message.parse(delivery.payload)]
            self._broker.target(self._path).send(messages)
        except ServiceBusError as error:
            delivery.reject(error.condition, str(error))
        else:
            self._broker.when_committed(delivery.accept)

    def detached(self) -> None:
        """Nothing is kept for it."""
