"""What both kinds of links have in common: they are asked for, accepted or refused, and end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from devhost.servicebus.amqp import frames
from devhost.servicebus.amqp.encoder import composite, map_of_encoded, string
from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.spans import list_spans, map_spans, skip
from devhost.servicebus.amqp.types import Symbol

if TYPE_CHECKING:
    from devhost.servicebus.amqp.session import Session

SETTLED, UNSETTLED = 1, 0
"""Sender settle modes: receive-and-delete and peek-lock, for a receiver's link."""
FIRST, SECOND = 0, 1
_MIXED = 2
_DESCRIPTOR_AT = 1
_SOURCE, _COORDINATOR = 0x28, 0x30
_SOURCE_FIELDS, _FILTER_FIELD = 11, 7
_log = logging.getLogger("devhost.servicebus")


class Endpoint(Protocol):
    """What is behind a link in the server."""

    def detached(self) -> None:
        """The link is gone, by the client's DETACH or with its connection. Not called when the server detaches it."""


class LinkState(Enum):
    """Where a link is in its life."""

    PENDING, ATTACHED, DETACHED = range(3)


class Link:
    """A link that a client asked for. It is pending until `accept` or `refuse`."""

    is_receiver: bool
    """The server's role."""
    endpoint: Any

    def __init__(self, session: Session, handle: int, name: str, fields: list[Any], body: bytes) -> None:
        """`fields` of the ATTACH in `body`. Raises DecodeError if they cannot be used."""
        self.session = session
        self.handle = handle
        self.name = name
        self.send_settle_mode = _MIXED if fields[3] is None else fields[3]
        self.receive_settle_mode = FIRST if fields[4] is None else fields[4]
        if self.send_settle_mode not in (UNSETTLED, SETTLED, _MIXED) or self.receive_settle_mode not in (FIRST, SECOND):
            raise DecodeError("ATTACH has settle modes that do not exist.")
        self.source, self.target = (getattr(fields[index], "value", None) for index in (5, 6))
        """The fields of source and target, None where there is none."""
        self.is_for_transactions = getattr(fields[6], "descriptor", None) == _COORDINATOR
        self.properties: Mapping[str, Any] = fields[13] if isinstance(fields[13], dict) else {}
        self.delivery_count = 0
        self.credit = 0
        self.endpoint = None
        """While the link is pending, what is told when the client gives up waiting."""
        self.state = LinkState.PENDING
        spans = list_spans(body, skip(body, _DESCRIPTOR_AT))
        # Echoed as they came: clients compare addresses as text.
        self._source, self._target = (body[slice(*spans[i])] if i < len(spans) else frames.NULL for i in (5, 6))

    def address(self) -> str:
        """The node that the client names: the target of what it sends, the source of what it receives; "" if none."""
        terminus = self.target if self.is_receiver else self.source
        address = terminus[0] if isinstance(terminus, list) and terminus else None
        return address if isinstance(address, str) else ""

    def filters(self) -> dict[Any, Any]:
        """The filter set of the source."""
        filters = self.source[_FILTER_FIELD] if isinstance(self.source, list) and len(self.source) > 7 else None
        return filters if isinstance(filters, dict) else {}

    def source_with_filter(self, name: Symbol, text: str) -> bytes:
        """The encoded source as the client sent it, with `text` as the value of the filter of that name.

        What is not touched is copied unread, so that this cannot fail later than when the filters were read.
        """
        source = self._source
        fields = [source[start:end] for start, end in list_spans(source, skip(source, _DESCRIPTOR_AT))]
        filters, parts = fields[_FILTER_FIELD], []
        for key, key_start, value_start, value_end in map_spans(filters, 0):
            value = filters[value_start:value_end]
            if key == name:
                described = filters[value_start : skip(filters, value_start + 1)] if value[0] == 0 else b""
                value = described + string(text)
            parts += (filters[key_start:value_start], value)
        fields[_FILTER_FIELD] = map_of_encoded(parts)
        fields += [frames.NULL] * (_SOURCE_FIELDS - len(fields))
        return composite(_SOURCE, fields)

    def accept(
        self,
        endpoint: Any,
        *,
        source: bytes | None = None,
        properties: Mapping[Symbol, Any] | None = None,
        max_message_size: int = 0,
    ) -> None:
        """Answer the ATTACH, if the link is still wanted.

        `source`: an encoded one instead of the client's. `max_message_size` 0: no limit.
        """
        if self.state is LinkState.PENDING:
            self.endpoint = endpoint
            self.state = LinkState.ATTACHED
            self._write_attach(source or self._source, self._target, max_message_size, properties or {})

    def refuse(self, condition: str, description: str) -> None:
        """Answer the ATTACH with one that has neither source nor target, and a DETACH that says why."""
        if self.state is LinkState.PENDING:
            _log.info("Link of %s to '%s' refused: %s", self.session.connection.peer, self.address(), description)
            self._write_attach(frames.NULL, frames.NULL, 0, {})
            self.state = LinkState.ATTACHED
            self.detach(condition, description)

    def detach(self, condition: str, description: str) -> None:
        """End the link with an error. The endpoint is not told. Harmless when it has ended."""
        if self.state is LinkState.ATTACHED:
            self.state = LinkState.DETACHED
            self.endpoint = None
            self._forget()
            problem = frames.error(condition, description)
            self.session.write(frames.detach(self.session.channel, self.handle, True, problem))

    def receive_detach(self, is_closed: bool) -> None:
        """The client ends the link, or answers the server's DETACH."""
        state = self.state
        self.lose()
        if state is LinkState.PENDING:
            self._write_attach(frames.NULL, frames.NULL, 0, {})
        if state is not LinkState.DETACHED:
            self.session.write(frames.detach(self.session.channel, self.handle, is_closed))

    def lose(self) -> None:
        """The link is gone."""
        endpoint, self.endpoint = self.endpoint, None
        self.state = LinkState.DETACHED
        self._forget()
        if endpoint is not None:
            endpoint.detached()

    def receive_flow(self, delivery_count: Any, credit: Any, is_drain: bool, is_echo: bool) -> None:
        """The client's FLOW for this link."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Nothing is to be expected on this link any more."""

    def _write_attach(self, source: bytes, target: bytes, max_size: int, properties: Mapping[Symbol, Any]) -> None:
        self.session.write(
            frames.attach(
                self.session.channel,
                name=self.name,
                handle=self.handle,
                is_receiver=self.is_receiver,
                send_settle_mode=self.send_settle_mode,
                receive_settle_mode=self.receive_settle_mode,
                source=source,
                target=target,
                max_message_size=max_size,
                properties=properties,
            )
        )
