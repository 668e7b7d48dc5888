"""Messages that may go out now, in the order of their numbers, and the consumers that take turns for them."""

from __future__ import annotations

from collections import OrderedDict
from heapq import heappop, heappush

from devhost.servicebus.brokered_message import BrokeredMessage
from devhost.servicebus.delivery import Consumer, MessageState

_SLACK = 64


class Lane:
    """A queue without sessions has one lane; in a queue with sessions each session is one."""

    __slots__ = ("consumers", "_hungry", "_numbers", "_messages", "is_dispatching")

    def __init__(self, messages: dict[int, BrokeredMessage]) -> None:
        """`messages` are the queue's by number; a number that is not among them any more is skipped."""
        self.consumers: dict[Consumer, None] = {}
        self.is_dispatching = False
        self._hungry: OrderedDict[Consumer, None] = OrderedDict()
        self._numbers: list[int] = []
        self._messages = messages

    def push(self, message: BrokeredMessage) -> None:
        """It may go out, at its place."""
        heappush(self._numbers, message.sequence_number)
        if len(self._numbers) > 2 * len(self._messages) + _SLACK:
            self._numbers = sorted(filter(self._messages.__contains__, self._numbers))

    def pop(self) -> BrokeredMessage | None:
        """The next message to go out."""
        message = self.first()
        if message is not None:
            heappop(self._numbers)
        return message

    def first(self) -> BrokeredMessage | None:
        """The next message to go out, left where it is."""
        numbers = self._numbers
        while numbers:
            message = self._messages.get(numbers[0])
            if message is not None and message.token is None and message.state is MessageState.ACTIVE:
                return message
            heappop(numbers)
        return None

    def attach(self, consumer: Consumer) -> None:
        """One more takes turns."""
        self.consumers[consumer] = None
        self.wake(consumer)

    def wake(self, consumer: Consumer) -> None:
        """It has credit, perhaps. The latest to ask is the last to be served."""
        if consumer.credit > 0 and consumer in self.consumers:
            self._hungry[consumer] = None

    def detach(self, consumer: Consumer) -> None:
        """It takes no more."""
        self.consumers.pop(consumer, None)
        self._hungry.pop(consumer, None)

    def next_consumer(self) -> Consumer | None:
        """Whose turn it is."""
        hungry = self._hungry
        while hungry:
            consumer = next(iter(hungry))
            if consumer.credit > 0:
                hungry.move_to_end(consumer)
                return consumer
            del hungry[consumer]
        return None
