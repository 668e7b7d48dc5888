"""What a function is given of Service Bus messages: bodies, metadata, and the line about them in the log."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from azure.functions.meta import Datum
from azure.servicebus.amqp import AmqpMessageHeader, AmqpMessageProperties

from devhost.datum import promote, to_metadata
from devhost.invocation import TriggerData

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

_EPOCH = datetime(1970, 1, 1)
_END_OF_TIME = 253_402_300_800_000
"""Milliseconds since the epoch: the year 10000."""
_NO_HEADER, _NO_PROPERTIES = AmqpMessageHeader(), AmqpMessageProperties()
_BYTES_REMEDY = "Declare the trigger with data_type=DataType.BINARY to get bytes."
_STRINGS = frozenset(
    {
        "MessageId", "CorrelationId", "ContentType", "Subject", "Label", "To", "ReplyTo", "ReplyToSessionId",
        "SessionId", "PartitionKey", "TransactionPartitionKey", "LockToken", "DeadLetterSource",
    }
)  # fmt: skip
_LONGS = frozenset({"SequenceNumber"})
_TIMES = ("EnqueuedTimeUtc", "EnqueuedTime", "ExpiresAtUtc", "ExpiresAt")


class BadBodyError(Exception):
    """A message body that the function's trigger cannot take."""


def trigger_data(message: ServiceBusReceivedMessage, data_type: str) -> TriggerData:
    """One message for a function with cardinality ONE; `data_type` is the trigger's dataType, upper case or "".

    Raises BadBodyError: the real host cannot bind such a body either, so the attempt fails.
    """
    body = _body(message)
    data = properties = _properties(message)
    if data_type == "BINARY":
        value = Datum(body, "bytes")
    else:
        text = _text(body)
        value = Datum(text, "string")
        data = promote(properties, text)
    metadata = to_metadata(data)
    for name in _TIMES:
        if data[name] is properties[name] is not None:  # not a property of the body by the same name
            metadata[name] = Datum(f'"{properties[name]}"', "json")
    return TriggerData(value, metadata, details=_details([message], [properties], ""), binding_data=data)


def batch_trigger_data(messages: Sequence[ServiceBusReceivedMessage], data_type: str) -> TriggerData:
    """Several messages for a function with cardinality MANY: one value for all bodies, one array for each property.

    Arrays of texts lose their empty entries on the way to Python, as in the real host (functions-host.md §2.1).
    Raises BadBodyError.
    """
    rows = [_properties(message) for message in messages]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    # The real host puts the partition keys here (§7).
    columns["TransactionPartitionKey"] = columns["PartitionKey"]
    metadata = {f"{name}Array": _array(name, values) for name, values in columns.items()}
    value = _bodies([_body(message) for message in messages], data_type)
    return TriggerData(
        value,
        metadata,
        details=_details(messages, rows, "Array"),
        binding_data={f"{name}Array": values for name, values in columns.items()},
    )


def _bodies(bodies: list[bytes], data_type: str) -> Datum:
    if data_type == "BINARY":
        return Datum(SimpleNamespace(bytes=bodies), "collection_bytes")
    texts = [_text(body) for body in bodies]
    if data_type == "STRING":
        return Datum(SimpleNamespace(string=[text for text in texts if text]), "collection_string")
    try:
        return Datum(json.dumps([json.loads(text) for text in texts], separators=(",", ":")), "json")
    except ValueError as error:
        raise BadBodyError(
            f"a body of the batch is not JSON ({error}), as it has to be without a data type. "
            "Declare the trigger with data_type=DataType.STRING or BINARY."
        ) from None


def _array(name: str, values: list[Any]) -> Datum:
    if name in _STRINGS:
        return Datum(SimpleNamespace(string=[value for value in values if value]), "collection_string")
    if name in _LONGS:
        return Datum(SimpleNamespace(sint64=values), "collection_sint64")
    return Datum(json.dumps(values, separators=(",", ":")), "json")


def _body(message: ServiceBusReceivedMessage) -> bytes:
    raw = message.raw_amqp_message
    if raw.body_type.value != "data":
        raise BadBodyError(
            f"its body is an AMQP {raw.body_type.value}, and the real host takes data only. Send it as bytes or text."
        )
    return b"".join(raw.body)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadBodyError(f"its body is not UTF-8 ({error}). {_BYTES_REMEDY}") from None


def _properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """The binding data of one message, by the names that the real host gives them (functions-host.md §7).

    Read from the AMQP message itself: the SDK's own properties cost three times as much.
    """
    raw = message.raw_amqp_message
    annotations = raw.annotations or {}
    application_properties = {
        _plain(name): _plain(value) for name, value in (raw.application_properties or {}).items()
    }
    head = _NO_HEADER if raw.header is None else raw.header
    body = _NO_PROPERTIES if raw.properties is None else raw.properties
    subject = _string(body.subject)
    enqueued = annotations.get(b"x-opt-enqueued-time")
    enqueued_text, expires_text = _net_time(enqueued), _net_time(_expires(enqueued, head.time_to_live))
    return {
        "MessageId": _string(body.message_id),
        "CorrelationId": _string(body.correlation_id),
        "ContentType": _string(body.content_type),
        "Subject": subject,
        "Label": subject,
        "To": _string(body.to),
        "ReplyTo": _string(body.reply_to),
        "ReplyToSessionId": _string(body.reply_to_group_id),
        "SessionId": _string(body.group_id),
        "PartitionKey": _string(annotations.get(b"x-opt-partition-key")),
        "TransactionPartitionKey": _string(annotations.get(b"x-opt-via-partition-key")),
        # .NET counts the delivery under way, AMQP only those before it.
        "DeliveryCount": (head.delivery_count or 0) + 1,
        "SequenceNumber": annotations.get(b"x-opt-sequence-number"),
        "LockToken": _string(message.lock_token),
        "EnqueuedTimeUtc": enqueued_text,
        "EnqueuedTime": enqueued_text and f"{enqueued_text}+00:00",
        "ExpiresAtUtc": expires_text,
        "ExpiresAt": expires_text and f"{expires_text}+00:00",
        "DeadLetterSource": _string(annotations.get(b"x-opt-deadletter-source")),
        "ApplicationProperties": application_properties,
        "UserProperties": application_properties,
    }


def _expires(enqueued: int | None, life: int | None) -> int | None:
    """When a message ends, in ms since the epoch; the end of time if it never does."""
    if enqueued is None:
        return None
    return min(enqueued + life, _END_OF_TIME) if life else _END_OF_TIME


def _string(value: Any) -> str | None:
    return None if value is None else str(_plain(value))


def _plain(value: Any) -> Any:
    """An AMQP value as JSON holds it; the SDK hands out texts as bytes."""
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, UUID):
        return str(value)
    return value


def _net_time(milliseconds: int | None) -> str | None:
    """A UTC moment as Newtonsoft writes it: no offset, no zeros at the end of its fraction."""
    if milliseconds is None:
        return None
    if milliseconds >= _END_OF_TIME:
        return "9999-12-31T23:59:59.9999999"
    seconds, fraction = divmod(milliseconds, 1000)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    return f"{text}.{fraction:03}".rstrip("0") if fraction else text


def _details(
    messages: Sequence[ServiceBusReceivedMessage], rows: Sequence[Mapping[str, Any]], suffix: str
) -> str:
    fields = {name: [row[name] for row in rows] for name in ("MessageId", "SequenceNumber", "DeliveryCount")}
    fields["EnqueuedTimeUtc"] = [row["EnqueuedTime"] for row in rows]
    fields["LockedUntilUtc"] = [_locked_until(message) for message in messages]
    fields["SessionId"] = [row["SessionId"] for row in rows]
    return ", ".join(
        f"{name}{suffix}: {','.join('' if value is None else str(value) for value in values)}"
        for name, values in fields.items()
    )


def _locked_until(message: ServiceBusReceivedMessage) -> str | None:
    text = _net_time((message.raw_amqp_message.annotations or {}).get(b"x-opt-locked-until"))
    return text and f"{text}+00:00"
