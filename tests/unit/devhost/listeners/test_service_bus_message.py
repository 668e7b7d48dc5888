"""Service Bus messages as a function gets them: metadata, bodies, and the library's own converter at the end."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from azure.functions.servicebus import ServiceBusMessageInConverter
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.amqp import AmqpAnnotatedMessage

from devhost.listeners.service_bus_message import BadBodyError, batch_trigger_data, trigger_data
from devhost.listeners.service_bus_times import quicken_times
from devhost.servicebus.message import Message

ENQUEUED = 1_795_000_000_120
TOKEN = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


def received(
    body: object = b"x", *, delivery_count: int = 0, added: dict | None = None, **properties: object
) -> ServiceBusReceivedMessage:
    """A message as the real client gets it from the local bus."""
    if isinstance(body, AmqpAnnotatedMessage):
        made = body
    else:
        made = ServiceBusMessage(body, **{"message_id": "m-1", **properties}).raw_amqp_message
    payload = bytearray()
    encode_payload(payload, PyamqpTransport.to_outgoing_amqp_message(made))
    annotations = {"x-opt-sequence-number": 5, "x-opt-enqueued-time": ENQUEUED}
    encoded = Message.parse(bytes(payload)).with_application_properties(added or {}).encode(
        delivery_count=delivery_count, annotations=annotations, lock_token=TOKEN
    )
    return ServiceBusReceivedMessage.from_bytes(bytes(encoded))


def test_metadata_has_the_real_hosts_names_and_kinds():
    data = trigger_data(received(subject="s", correlation_id="c", time_to_live=timedelta(seconds=60)), "")
    kinds = {name: (datum.type, datum.value) for name, datum in data.metadata.items()}
    assert kinds == {
        "MessageId": ("string", "m-1"),
        "CorrelationId": ("string", "c"),
        "Subject": ("string", "s"),
        "Label": ("string", "s"),
        "DeliveryCount": ("json", "1"),
        "SequenceNumber": ("json", "5"),
        "LockToken": ("string", str(TOKEN)),
        "EnqueuedTimeUtc": ("json", '"2026-11-18T11:06:40.12"'),
        "EnqueuedTime": ("json", '"2026-11-18T11:06:40.12+00:00"'),
        "ExpiresAtUtc": ("json", '"2026-11-18T11:07:40.12"'),
        "ExpiresAt": ("json", '"2026-11-18T11:07:40.12+00:00"'),
        "ApplicationProperties": ("json", "{}"),
        "UserProperties": ("json", "{}"),
    }
    assert (data.value.type, data.value.value) == ("string", "x")
    assert data.reason == "(null)"
    assert data.details == (
        "MessageId: m-1, SequenceNumber: 5, DeliveryCount: 1, EnqueuedTimeUtc: 2026-11-18T11:06:40.12+00:00, "
        "LockedUntilUtc: , SessionId: "
    )


def test_a_message_without_a_time_to_live_expires_at_the_end_of_time():
    metadata = trigger_data(received(), "").metadata
    assert metadata["ExpiresAtUtc"].value == '"9999-12-31T23:59:59.9999999"'
    never = received(time_to_live=timedelta(milliseconds=0xFFFFFFFF))
    assert ServiceBusMessageInConverter.decode(
        trigger_data(never, "").value, trigger_metadata=trigger_data(never, "").metadata
    ).expires_at_utc


def test_application_properties_travel_as_json():
    message = received(added={"text": "ü", "bytes": b"\xff", "number": 2**40, "id": TOKEN, "flag": False})
    assert json.loads(trigger_data(message, "").metadata["UserProperties"].value) == {
        "text": "ü",
        "bytes": base64.b64encode(b"\xff").decode(),
        "number": 2**40,
        "id": str(TOKEN),
        "flag": False,
    }


def test_a_promoted_property_hides_a_time():
    data = trigger_data(received('{"EnqueuedTimeUtc": "2020-01-01T00:00:00Z", "list": [1], "deep": {"a": 1}}'), "")
    assert data.metadata["EnqueuedTimeUtc"].type == "string"
    assert data.binding_data["deep"] == {"a": 1} and "list" not in data.binding_data


@pytest.mark.parametrize(
    "body",
    [AmqpAnnotatedMessage(value_body="text"), AmqpAnnotatedMessage(sequence_body=[1, 2])],
)
def test_bodies_that_are_not_data_are_refused(body):
    with pytest.raises(BadBodyError, match="the real host takes data only"):
        trigger_data(received(body), "BINARY")


def test_several_data_sections_are_one_body():
    data = trigger_data(received(AmqpAnnotatedMessage(data_body=[b"one", b"two"])), "")
    assert data.value.value == "onetwo"


def test_batch_metadata_are_arrays():
    data = batch_trigger_data([received("1", subject="s"), received("2", delivery_count=2)], "")
    assert all(name.endswith("Array") for name in data.metadata)
    assert data.metadata["SequenceNumberArray"].type == "collection_sint64"
    assert data.metadata["DeliveryCountArray"].value == "[1,3]"
    assert data.metadata["MessageIdArray"].python_value == ["m-1", "m-1"]
    assert data.metadata["SubjectArray"].python_value == ["s"], "empty ones are lost on the way"
    assert data.details.startswith("MessageIdArray: m-1,m-1, SequenceNumberArray: 5,5, DeliveryCountArray: 1,3, ")


def test_partition_keys_of_a_batch_come_twice_by_mistake():
    metadata = batch_trigger_data([received("1", partition_key="p")], "").metadata
    assert metadata["TransactionPartitionKeyArray"].python_value == ["p"]


def test_texts_of_a_batch_without_content_are_lost_on_the_way():
    data = batch_trigger_data([received("a"), received(b"")], "STRING")
    assert (data.value.type, data.value.python_value) == ("collection_string", ["a"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-18T11:06:40.12", datetime(2026, 11, 18, 11, 6, 40, 120000)),
        ("2026-11-18T11:06:40", datetime(2026, 11, 18, 11, 6, 40)),
        ("9999-12-31T23:59:59.9999999", datetime.max),
        ("2026-11-18T11:06:40.1234567+00:00", None),
        ("2026-11-18T11:06:40Z", None),
        ("11/18/2026 11:06:40Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_as_the_library_reads_them(text, expected):
    quicken_times()
    ours = ServiceBusMessageInConverter._parse_datetime(text)
    theirs = ServiceBusMessageInConverter._parse_datetime.__wrapped__(text)
    assert (ours, repr(ours)) == (theirs, repr(theirs))
    assert expected is None or ours == expected


@pytest.mark.parametrize("text", ["2026-13-18T11:06:40", "soon"])
def test_what_is_no_time_fails_as_in_the_library(text):
    quicken_times()
    with pytest.raises(ValueError, match="does not match format"):
        ServiceBusMessageInConverter._parse_datetime(text)
