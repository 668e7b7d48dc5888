"""A broker for tests: a clock that stands still, messages, and receivers that keep what they get."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from devhost.servicebus.amqp import encoder
from devhost.servicebus.amqp.types import Symbol, Timestamp, UInt
from devhost.servicebus.broker import Broker
from devhost.servicebus.delivery import Delivery
from devhost.servicebus.descriptions import QueueDescription
from devhost.servicebus.errors import ServiceBusError
from devhost.servicebus.message import Message
from devhost.servicebus.queue import MessageQueue
from devhost.servicebus.sections import Section
from devhost.servicebus.sessions import SessionLock
from devhost.servicebus.store import CallSoon, MemoryStore, Store

START = 1_800_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND


def make(
    text: str = "",
    *,
    ttl: int | None = None,
    at: int | None = None,
    body: bytes | None = None,
    properties: dict[str, Any] | None = None,
    **named: Any,
) -> Message:
    """A message: ttl in ms, at = when it is to be enqueued; `named` are properties by their names in Message."""
    payload = b""
    if ttl is not None:
        payload += encoder.composite(Section.HEADER, [encoder.NULL, encoder.NULL, encoder.encode(UInt(ttl))])
    if at is not None:
        annotations = encoder.encode({Symbol("x-opt-scheduled-enqueue-time"): Timestamp(at)})
        payload += encoder.described(Section.ANNOTATIONS, annotations)
    payload += encoder.described(Section.DATA, encoder.encode(text.encode() if body is None else body))
    message = Message.parse(payload)
    if named:
        message = message.with_properties(**named)
    return message.with_application_properties(properties) if properties else message


def text_of(delivery: Delivery) -> str:
    """The body of a message of `make`, shorter than 256 bytes."""
    payload = delivery.message.payload
    return payload[payload.rindex(b"\x00\x53\x75\xa0") + 5 :].decode()


class Receiver:
    """A consumer that keeps its deliveries."""

    def __init__(self, credit: int = 0, settles: bool = False, session: SessionLock | None = None) -> None:
        self.credit = credit
        self.settles = settles
        self.session = session
        self.deliveries: list[Delivery] = []
        self.error: ServiceBusError | None = None

    def deliver(self, delivery: Delivery) -> None:
        self.credit -= 1
        self.deliveries.append(delivery)

    def lost(self, error: ServiceBusError) -> None:
        self.error = error

    @property
    def texts(self) -> list[str]:
        return [text_of(delivery) for delivery in self.deliveries]


class Bench:
    """A broker with a queue `q`, and what tests do with it."""

    def __init__(self, store: Store | None = None, call_soon: CallSoon | None = None) -> None:
        """Without `call_soon` a commit is made whenever somebody waits for it."""
        self.time = START
        self.broker = Broker(store or MemoryStore(), lambda: self.time, call_soon)

    def reopen(self, store: Store) -> None:
        """A new broker on what the store has."""
        self.broker = Broker(store, lambda: self.time)

    def create(self, name: str = "q", **fields: Any) -> MessageQueue:
        self.broker.create_queue(QueueDescription(name, **fields))
        return self.broker.queue(name)

    def advance(self, milliseconds: int) -> None:
        """Let time pass. What becomes due is left to the next operation."""
        self.time += milliseconds

    def send(self, *messages: Message | str, to: str = "q") -> None:
        self.broker.target(to).send([make(each) if isinstance(each, str) else each for each in messages])

    def receive(self, count: int = 1, path: str = "q", **options: Any) -> list[Delivery]:
        """What can be had at once, by a receiver that is gone afterwards."""
        return self.listen(count, path, leave=True, **options).deliveries

    def listen(self, credit: int = 1, path: str = "q", leave: bool = False, **options: Any) -> Receiver:
        queue = self.broker.queue(path)
        receiver = Receiver(credit, **options)
        queue.attach(receiver)
        if leave:
            queue.detach(receiver)
        return receiver

    def take(self, path: str = "q") -> Delivery:
        """The one message that is next."""
        (delivery,) = self.receive(1, path)
        return delivery

    def token(self, path: str = "q") -> UUID:
        """The lock of the next message."""
        token = self.take(path).token
        assert token is not None
        return token

    def accept(self, session_id: str | None = None, path: str = "q", credit: int = 0) -> Receiver | None:
        """A receiver on a session, if one can be had now; one that is not is not waited for."""
        granted: list[SessionLock] = []
        request = self.broker.queue(path).request_session(session_id, granted.append)
        request.cancel()
        return self.listen(credit, path, session=granted[0]) if granted else None

    def texts(self, path: str = "q") -> list[str]:
        """The bodies of all messages there, by peeking."""
        return [text_of(delivery) for delivery in self.broker.queue(path).peek(0, 10_000)]
