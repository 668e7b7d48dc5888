"""A message as its producer sent it: its AMQP sections as bytes, looked into on demand, re-encoded only if changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from devhost.servicebus.amqp import encoder
from devhost.servicebus.amqp.decoder import decode
from devhost.servicebus.amqp.errors import DecodeError
from devhost.servicebus.amqp.spans import list_spans, map_spans
from devhost.servicebus.amqp.types import Int
from devhost.servicebus.errors import MessageFormatError
from devhost.servicebus.lazy import lazy
from devhost.servicebus.message_head import (
    BUS_ONLY,
    SCHEDULED_ENQUEUE_TIME,
    encode_annotations,
    encode_delivery_annotations,
    encode_header,
)
from devhost.servicebus.sections import Section, are_in_form, bring_into_form, check_sections, find_sections

BATCH_FORMAT = 0x80013700
"""The message-format of a transfer whose data sections are whole messages."""

PARTITION_KEY = "x-opt-partition-key"

_ID, _TEXT, _ANY = (str, int, UUID, bytes), str, object
_PROPERTIES = (
    *(("message_id", _ID), ("user_id", _ANY), ("to", _TEXT), ("subject", _TEXT), ("reply_to", _TEXT)),
    *(("correlation_id", _ID), ("content_type", _TEXT), ("content_encoding", _ANY), ("absolute_expiry_time", _ANY)),
    *(("creation_time", _ANY), ("session_id", _TEXT), ("group_sequence", _ANY), ("reply_to_session_id", _TEXT)),
)
"""Names and types in the order in which they are encoded."""
_PROPERTY_NAMES = [name for name, _ in _PROPERTIES]
_SYMBOL_PROPERTIES = ("content_type", "content_encoding")
_NUMBER = (int, type(None))
_UBYTE_LIMIT, _UINT_LIMIT, _MOMENT_LIMIT = 1 << 8, 1 << 32, 1 << 63
_NOTHING: Mapping[str, Any] = {}


class Message:
    """One message. Immutable; equal when its bytes are equal. Mappings that it returns must not be changed."""

    def __init__(self, payload: bytes) -> None:
        """`payload`: the bytes of a message that was parsed before (from the store); nothing is checked again."""
        self.payload = payload
        """The producer's sections, as sent."""

    @classmethod
    def parse(cls, payload: bytes) -> Message:
        """The message in these bytes, whole and sound. Raises MessageFormatError."""
        try:
            sections = find_sections(payload)
            if not are_in_form(sections):
                payload = bring_into_form(payload, sections)
                sections = find_sections(payload)
            message = cls(payload)
            message._sections = sections
            message._check()
        except DecodeError as error:
            raise MessageFormatError(
                f"The bytes are not an AMQP message: {error.description} Send the encoding of a bare message."
            ) from error
        return message

    @classmethod
    def parse_batch(cls, payload: bytes) -> list[Message]:
        """The messages in a transfer of message-format 0x80013700: each data section of the envelope is one.

        Raises MessageFormatError if one of them, or the envelope, is broken or there is none.
        """
        envelope = cls.parse(payload)
        bodies = [body for code, _, body, _ in envelope._sections if code == Section.DATA]
        messages = [cls.parse(decode(envelope.payload, body)[0]) for body in bodies]
        if not messages:
            raise MessageFormatError("A batch holds no message: its body must be data sections, one a message.")
        return messages

    @property
    def size(self) -> int:
        """Bytes of the message as sent."""
        return len(self.payload)

    @property
    def head_size(self) -> int:
        """Bytes before the body: header, annotations, properties and application properties."""
        return next((start for code, start, _, _ in self._sections if code >= Section.DATA), len(self.payload))

    @property
    def value(self) -> Any:
        """The body of a request: an AMQP value. None when it is of another kind."""
        body = self._section(Section.VALUE)[2]
        return decode(self.payload, body)[0] if body else None

    @property
    def durable(self) -> bool:
        """Header."""
        return bool(self._header_field(0))

    @property
    def priority(self) -> int:
        """Header; 4 unless the producer says otherwise."""
        priority = self._header_field(1)
        return 4 if priority is None else priority

    @property
    def ttl(self) -> int | None:
        """Header: how long the message may live, in ms. None: as long as the entity lets it."""
        return self._header_field(2)

    @property
    def message_id(self) -> str | int | UUID | bytes | None:
        """As sent, with its type."""
        return self._property(0)

    @property
    def to(self) -> str | None:
        """Where it is bound for, as the producer says; the bus does not act on it."""
        return self._property(2)

    @property
    def subject(self) -> str | None:
        """Also called label."""
        return self._property(3)

    @property
    def reply_to(self) -> str | None:
        """Where the producer wants an answer."""
        return self._property(4)

    @property
    def correlation_id(self) -> str | int | UUID | bytes | None:
        """As sent, with its type."""
        return self._property(5)

    @property
    def content_type(self) -> str | None:
        """The body's media type."""
        return self._property(6)

    @property
    def session_id(self) -> str | None:
        """The group-id. Empty is a session of its own."""
        return self._property(10)

    @property
    def reply_to_session_id(self) -> str | None:
        """The reply-to-group-id."""
        return self._property(12)

    @lazy
    def application_properties(self) -> Mapping[str, Any]:
        """The producer's own properties. Timestamps are types.Timestamp (int, ms), symbols types.Symbol (str)."""
        return self._map(Section.APPLICATION_PROPERTIES)

    @lazy
    def annotations(self) -> Mapping[str, Any]:
        """Message annotations as the producer sent them."""
        return self._map(Section.ANNOTATIONS)

    @property
    def scheduled_at(self) -> int | None:
        """When the message is to be enqueued, ms since the epoch; None: now."""
        moment = self.annotations.get(SCHEDULED_ENQUEUE_TIME)
        return moment if isinstance(moment, int) else None

    @property
    def partition_key(self) -> str | None:
        """The partition key annotation."""
        key = self.annotations.get(PARTITION_KEY)
        return key if isinstance(key, str) else None

    def with_application_properties(self, changes: Mapping[str, Any]) -> Message:
        """The message with these application properties set (None: removed); everything else keeps its bytes."""
        _, start, body, end = self._section(Section.APPLICATION_PROPERTIES)
        parts = []
        for key, key_start, value_start, value_end in map_spans(self.payload, body) if body else ():
            if key not in changes:
                parts += (self.payload[key_start:value_start], self.payload[value_start:value_end])
        for name, value in changes.items():
            if value is not None:
                # As the SDK writes them: 32 bits where they suffice.
                narrow = type(value) is int and -(2**31) <= value < 2**31
                parts += (encoder.string(name), encoder.encode(Int(value) if narrow else value))
        section = encoder.described(Section.APPLICATION_PROPERTIES, encoder.map_of_encoded(parts)) if parts else b""
        return Message(self.payload[:start] + section + self.payload[end:])

    def with_properties(self, **changes: Any) -> Message:
        """The message with these properties set (None: removed), by their names here, e.g. subject="late"."""
        _, start, body, end = self._section(Section.PROPERTIES)
        fields = [self.payload[left:right] for left, right in list_spans(self.payload, body)] if body else []
        fields += [encoder.NULL] * (len(_PROPERTY_NAMES) - len(fields))
        for name, value in changes.items():
            index = _PROPERTY_NAMES.index(name)
            if value is None:
                fields[index] = encoder.NULL
            elif name in _SYMBOL_PROPERTIES:
                fields[index] = encoder.symbol(value)
            elif type(value) is int:  # a message id; the other numbers and times come with their type
                fields[index] = encoder.ulong(value)
            else:
                fields[index] = encoder.encode(value)
        section = encoder.composite(Section.PROPERTIES, fields)
        return Message(self.payload[:start] + section + self.payload[end:])

    def encode(self, *, delivery_count: int, annotations: Mapping[str, Any], lock_token: UUID | None) -> bytes:
        """The message as it goes to a client (servicebus-amqp.md §6): what the bus says about it, then its own bytes.

        `annotations` are the bus's (sequence number, times…); None values are left out. Where the producer sent one
        of the same name, the bus's counts; what only the bus can say is never repeated from the producer.
        """
        return b"".join(
            (
                encode_header(self.durable, self.priority, self.ttl, delivery_count),
                encode_delivery_annotations(self._entries(Section.DELIVERY_ANNOTATIONS, {}), lock_token),
                encode_annotations(annotations, self._entries(Section.ANNOTATIONS, annotations)),
                self.payload[self._bare_start :],
            )
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.payload == other.payload

    def __hash__(self) -> int:
        return hash(self.payload)

    def __repr__(self) -> str:
        return f"Message(message_id={self.message_id!r}, {self.size} bytes)"

    @lazy
    def _sections(self) -> list[tuple[int, int, int, int]]:
        return find_sections(self.payload)

    @lazy
    def _bare_start(self) -> int:
        """Where the sections begin that no intermediary may change."""
        return next((start for code, start, _, _ in self._sections if code > Section.ANNOTATIONS), len(self.payload))

    @lazy
    def _header(self) -> list[Any]:
        return self._list(Section.HEADER)

    @lazy
    def _properties(self) -> list[Any]:
        return self._list(Section.PROPERTIES)

    def _header_field(self, index: int) -> Any:
        return self._header[index] if index < len(self._header) else None

    def _property(self, index: int) -> Any:
        return self._properties[index] if index < len(self._properties) else None

    def _section(self, wanted: int) -> tuple[int, int, int, int]:
        """The section of that code, or the place where it belongs, with a body at 0."""
        place = 0
        for section in self._sections:
            if section[0] == wanted:
                return section
            if section[0] < wanted:
                place = section[3]
        return wanted, place, 0, place

    def _list(self, wanted: int) -> list[Any]:
        body = self._section(wanted)[2]
        value = decode(self.payload, body)[0] if body else []
        if type(value) is not list:
            raise DecodeError(f"Section 0x{wanted:02x} is no list.")
        return value

    def _map(self, wanted: int) -> Mapping[str, Any]:
        body = self._section(wanted)[2]
        value = decode(self.payload, body)[0] if body else _NOTHING
        if not isinstance(value, dict) and value is not _NOTHING:
            raise DecodeError(f"Section 0x{wanted:02x} is no map.")
        return value

    def _entries(self, wanted: int, ours: Mapping[str, Any]) -> list[bytes]:
        """The encoded keys and values of a producer's map, but those that are ours to say."""
        body = self._section(wanted)[2]
        parts: list[bytes] = []
        for key, key_start, value_start, value_end in map_spans(self.payload, body) if body else ():
            if ours.get(key) is None and key not in BUS_ONLY:
                parts += (self.payload[key_start:value_start], self.payload[value_start:value_end])
        return parts

    def _check(self) -> None:
        """Raises DecodeError unless everything that is ever looked into, here or by a client, can be decoded."""
        check_sections(self.payload, self._sections)
        if self._header:
            for index, limit in ((1, _UBYTE_LIMIT), (2, _UINT_LIMIT)):
                number = self._header_field(index)
                if not isinstance(number, _NUMBER) or not 0 <= (number or 0) < limit:
                    raise DecodeError("The header's time to live or priority is no number, or out of range.")
        if (self.scheduled_at or 0) >= _MOMENT_LIMIT:
            raise DecodeError("The time at which the message is to be enqueued is out of range.")
        for (name, kind), value in zip(_PROPERTIES, self._properties, strict=False):
            if value is not None and not isinstance(value, kind):
                raise DecodeError(f"The property {name} has a type that it cannot have.")
        for keys in (self.annotations, self.application_properties):
            for key in keys:
                if not isinstance(key, str):
                    raise DecodeError("The keys of application properties and annotations are texts.")
