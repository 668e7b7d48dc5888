"""The management node of an entity: what clients ask of it beside sending and receiving (servicebus-amqp.md §8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devhost.servicebus.amqp.types import Array, Timestamp
from devhost.servicebus.arguments import Arguments
from devhost.servicebus.broker import Broker
from devhost.servicebus.delivery import Delivery
from devhost.servicebus.errors import ArgumentError, NotImplementedByBusError, ServiceBusError
from devhost.servicebus.message import Message
from devhost.servicebus.queue import MessageQueue
from devhost.servicebus.requests import Response

_PREFIX = "com.microsoft:"
_ALL_SESSIONS = 253_402_300_800_000
"""As last-updated-time: every session with messages or a state."""
_NO_CONTENT = Response(204, "There is nothing.")

Body = dict[str, Any]


class ManagementNode:
    """Handles requests for one entity."""

    def __init__(self, broker: Broker, path: str) -> None:
        self._broker = broker
        self._path = path
        self._operations: Mapping[str, Callable[[Arguments], Body | Response]] = {
            "peek-message": self._peek,
            "receive-by-sequence-number": self._receive_deferred,
            "renew-lock": self._renew,
            "update-disposition": self._settle,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel,
            "renew-session-lock": self._renew_session,
            "get-session-state": self._get_session_state,
            "set-session-state": self._set_session_state,
            "get-message-sessions": self._sessions,
        }

    def handle(self, request: Message) -> Response:
        """One operation."""
        name = str(request.application_properties.get("operation"))
        try:
            operation = self._operations.get(name.removeprefix(_PREFIX))
            if operation is None or not name.startswith(_PREFIX):
                raise NotImplementedByBusError(f"The local Service Bus has no operation '{name}'.")
            answer = operation(Arguments(request.value))
        except ServiceBusError as error:
            return Response.of(error)
        return answer if isinstance(answer, Response) else Response(200, "OK", answer)

    def _queue(self) -> MessageQueue:
        return self._broker.queue(self._path)

    def _peek(self, arguments: Arguments) -> Body | Response:
        first, count = arguments.number("from-sequence-number"), arguments.number("message-count")
        found = self._queue().peek(first, count, arguments.optional_text("session-id"))
        return {"messages": [{"message": _encode(delivery)} for delivery in found]} if found else _NO_CONTENT

    def _receive_deferred(self, arguments: Arguments) -> Body:
        settles = arguments.number("receiver-settle-mode") == 0
        session_id = arguments.optional_text("session-id")
        found = self._queue().receive_deferred(arguments.numbers("sequence-numbers"), settles, session_id)
        return {"messages": [_with_token(delivery) for delivery in found]}

    def _renew(self, arguments: Arguments) -> Body:
        queue = self._queue()
        return {"expirations": Array(Timestamp, [queue.renew(token) for token in arguments.uuids("lock-tokens")])}

    def _settle(self, arguments: Arguments) -> Body:
        queue, tokens = self._queue(), arguments.uuids("lock-tokens")
        status = arguments.text("disposition-status")
        properties = arguments.optional_map("properties-to-modify")
        for token in tokens:
            if status == "completed":
                queue.complete(token)
            elif status == "abandoned":
                queue.abandon(token, properties)
            elif status == "defered":
                queue.defer(token, properties)
            elif status == "suspended":
                reason = arguments.optional_text("deadletter-reason") or None
                description = arguments.optional_text("deadletter-description") or None
                queue.dead_letter(token, reason, description, properties)
            else:
                raise ArgumentError(f"'{status}' is no disposition-status: completed, abandoned, defered, suspended.")
        return {}

    def _schedule(self, arguments: Arguments) -> Body:
        messages = [Message.parse(Arguments(entry).binary("message")) for entry in arguments.items("messages")]
        return {"sequence-numbers": Array(int, self._broker.target(self._path).schedule(messages))}

    def _cancel(self, arguments: Arguments) -> Body:
        self._broker.target(self._path).cancel(arguments.numbers("sequence-numbers"))
        return {}

    def _renew_session(self, arguments: Arguments) -> Body:
        return {"expiration": Timestamp(self._queue().renew_session(arguments.text("session-id")))}

    def _get_session_state(self, arguments: Arguments) -> Body:
        return {"session-state": self._queue().get_session_state(arguments.text("session-id"))}

    def _set_session_state(self, arguments: Arguments) -> Body:
        self._queue().set_session_state(arguments.text("session-id"), arguments.optional_binary("session-state"))
        return {}

    def _sessions(self, arguments: Arguments) -> Body | Response:
        since, skip = arguments.number("last-updated-time"), arguments.count("skip")
        top = arguments.count("top")
        found = self._queue().session_ids(None if since == _ALL_SESSIONS else since, skip, top)
        return {"skip": skip + len(found), "sessions-ids": found} if found else _NO_CONTENT


def _encode(delivery: Delivery) -> bytes:
    return delivery.message.encode(
        delivery_count=delivery.delivery_count, annotations=delivery.annotations(), lock_token=delivery.token
    )


def _with_token(delivery: Delivery) -> Body:
    body: Body = {"message": _encode(delivery)}
    if delivery.token is not None:
        body["lock-token"] = delivery.token
    return body
