"""Request and response over a pair of links, as `$cbs` and `$management` work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from devhost.servicebus.addresses import to_path
from devhost.servicebus.amqp.encoder import NULL, composite, described, encode
from devhost.servicebus.amqp.incoming import IncomingDelivery, IncomingLink
from devhost.servicebus.amqp.outgoing import OutgoingDelivery, OutgoingLink
from devhost.servicebus.amqp.types import Int, Symbol, ULong
from devhost.servicebus.errors import MessageFormatError, ServiceBusError
from devhost.servicebus.message import Message
from devhost.servicebus.sections import Section

MAX_REQUEST_SIZE = 16 * 1024 * 1024
"""Bytes; a list of scheduled messages is one request."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a node answers."""

    status: int
    description: str
    body: dict[str, Any] | None = None
    condition: str | None = None
    """The AMQP error condition of a failure."""

    @classmethod
    def of(cls, error: ServiceBusError) -> Response:
        """The answer to a request that failed."""
        return cls(error.status, str(error), None, error.condition)


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What a node calls the parts of its status."""

    status: str
    description: str
    condition: str


MANAGEMENT_FIELDS = FieldNames("statusCode", "statusDescription", "errorCondition")
CBS_FIELDS = FieldNames("status-code", "status-description", "error-condition")

Handler = Callable[[Message], Response]


class ResponseLinks:
    """The links of one connection on which responses go out."""

    def __init__(self) -> None:
        self._links: list[ResponseLink] = []

    def add(self, link: OutgoingLink) -> None:
        """Accept one."""
        response_link = ResponseLink(link, self._links.remove)
        self._links.append(response_link)
        link.accept(response_link)

    def find(self, link: IncomingLink, reply_to: str | None) -> ResponseLink | None:
        """The one for a request on `link`: by reply-to, else of the same node; the same session's before others'."""
        node = to_path(link.address()).lower()
        found = [
            (each.link.session is link.session, each.reply_address == reply_to, position, each)
            for position, each in enumerate(self._links)
            if each.reply_address == reply_to or each.node == node
        ]
        return max(found, key=lambda rank: rank[:3])[3] if found else None


class ResponseLink:
    """Sends responses when the client takes them. They are settled from the start: the SDK never does it (§3)."""

    def __init__(self, link: OutgoingLink, forget: Callable[[ResponseLink], None]) -> None:
        self.link = link
        self.node = to_path(link.address()).lower()
        target = link.target
        self.reply_address = target[0] if isinstance(target, list) and target else None
        self._forget = forget
        self._waiting: deque[bytes] = deque()
        self._sent = 0

    def send(self, payload: bytes) -> None:
        """Send now, or as soon as there is credit."""
        self._waiting.append(payload)
        self.credited()

    def credited(self) -> None:
        """The client takes more."""
        while self._waiting and self.link.room:
            self._sent += 1
            self.link.take_credit()
            self.link.transfer(self._waiting.popleft(), self._sent.to_bytes(16, "big"), True)
        if not self._waiting:
            self.link.finish_drain()

    def settled(self, delivery: OutgoingDelivery, outcome: int, fields: list[Any]) -> None:
        """Cannot come: nothing was sent unsettled."""

    def detached(self) -> None:
        """The client takes no more."""
        self._forget(self)


class RequestLink:
    """Takes requests, has them handled, and answers on the response link."""

    def __init__(
        self,
        link: IncomingLink,
        responses: ResponseLinks,
        handle: Handler,
        names: FieldNames,
        when_committed: Callable[[Callable[[], None]], None],
    ) -> None:
        self._link = link
        self._responses = responses
        self._handle = handle
        self._names = names
        self._when_committed = when_committed
        link.accept(self, max_message_size=MAX_REQUEST_SIZE)

    def received(self, delivery: IncomingDelivery) -> None:
        """One request."""
        try:
            message = Message.parse(delivery.payload)
        except MessageFormatError as error:
            delivery.reject(error.condition, str(error))
            return
        response_link = self._responses.find(self._link, message.reply_to)
        if response_link is None:
            delivery.reject("amqp:precondition-failed", "There is no link to answer on: attach a receiver first.")
            return
        delivery.accept()
        payload = self._encode(message.message_id, self._handle(message))
        self._when_committed(lambda: response_link.send(payload))

    def detached(self) -> None:
        """Nothing is kept for it."""

    def _encode(self, message_id: str | int | UUID | bytes | None, response: Response) -> bytes:
        # The correlation id has the type of the request's id, or the client waits for ever.
        correlation_id = encode(ULong(message_id) if type(message_id) is int else message_id)
        status = {self._names.status: Int(response.status), self._names.description: response.description}
        if response.condition is not None:
            status[self._names.condition] = Symbol(response.condition)
        return (
            composite(Section.PROPERTIES, [*[NULL] * 5, correlation_id, *[NULL] * 7])
            + described(Section.APPLICATION_PROPERTIES, encode(status))
            + described(Section.VALUE, encode({} if response.body is None else response.body))
        )
