"""Messages: views of what the producer sent, and bytes that nobody touched stay what they were."""

from __future__ import annotations

from uuid import UUID

import pytest
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._pyamqp.message import Header, Properties
from azure.servicebus._pyamqp.message import Message as SdkMessage
from hypothesis import given
from hypothesis import strategies as st

from devhost.servicebus.amqp import encoder
from devhost.servicebus.amqp.decoder import decode_composite
from devhost.servicebus.amqp.encoder import composite, described, encode
from devhost.servicebus.amqp.types import Symbol, Timestamp, UInt, ULong
from devhost.servicebus.errors import MessageFormatError
from devhost.servicebus.message import BATCH_FORMAT, Message
from devhost.servicebus.sections import Section, find_sections

TOKEN = UUID("00112233-4455-6677-8899-aabbccddeeff")
BODY = described(Section.DATA, encode(b"body"))


def of_sdk(**parts):
    return bytes(encode_payload(bytearray(), SdkMessage(**parts)))


def section(code, value):
    return described(code, encode(value))


def sections(payload):
    return {code: payload[body:end] for code, _, body, end in find_sections(payload)}


def test_views_of_a_message_of_the_sdk():
    message = Message.parse(
        of_sdk(
            header=Header(durable=True, priority=7, ttl=5000),
            properties=Properties(
                message_id="m", to="t", subject="s", reply_to="r", correlation_id="c", content_type="text/plain",
                group_id="g", reply_to_group_id="rg",
            ),  # fmt: skip
            application_properties={"colour": "red", b"size": 3},
            message_annotations={b"x-opt-partition-key": "p", b"x-opt-scheduled-enqueue-time": Timestamp(1)},
            data=[b"body"],
        )
    )
    assert (message.durable, message.priority, message.ttl) == (True, 7, 5000)
    assert (message.message_id, message.to, message.subject, message.reply_to) == ("m", "t", "s", "r")
    assert (message.correlation_id, message.content_type) == ("c", "text/plain")
    assert (message.session_id, message.reply_to_session_id, message.partition_key) == ("g", "rg", "p")
    assert message.application_properties["colour"] == "red"
    assert message.size == len(message.payload)


def test_what_is_not_said_is_none_or_the_default():
    message = Message.parse(BODY)
    assert (message.durable, message.priority, message.ttl) == (False, 4, None)
    assert (message.message_id, message.session_id, message.scheduled_at, message.partition_key) == (None,) * 4
    assert message.application_properties == message.annotations == {}


@pytest.mark.parametrize("message_id", ["x", ULong(7), TOKEN, b"\x01"])
def test_ids_keep_their_type(message_id):
    message = Message.parse(composite(Section.PROPERTIES, [encode(message_id)]) + BODY)
    assert message.message_id == message_id
    changed = message.with_properties(subject="s")
    assert changed.message_id == message_id and changed.subject == "s"
    assert decode_composite(changed.payload)[1][0] == message_id


def test_the_empty_session_is_a_session():
    assert Message.parse(composite(Section.PROPERTIES, [b"\x40"] * 10 + [encode("")]) + BODY).session_id == ""


def test_a_scheduled_time():
    annotations = section(Section.ANNOTATIONS, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(1234)})
    assert Message.parse(annotations + BODY).scheduled_at == 1234


def test_a_client_gets_the_bare_message_and_the_footer_as_they_were_sent():
    bare = (
        composite(Section.PROPERTIES, [encode(UInt(5)), b"\xb1\x00\x00\x00\x01x"])
        + section(Section.APPLICATION_PROPERTIES, {"n": UInt(9), "t": Timestamp(1), "d": 0.5})
        + section(Section.VALUE, {"any": [1, None]})
        + section(Section.FOOTER, {Symbol("f"): True})
    )
    sent = (
        composite(Section.HEADER, [b"\x41", b"\x50\x09", encode(UInt(70_000))])
        + section(Section.DELIVERY_ANNOTATIONS, {Symbol("mine"): 1})
        + section(Section.ANNOTATIONS, {Symbol("x-opt-sequence-number"): 99, Symbol("yours"): UInt(2)})
        + bare
    )
    annotations = {"x-opt-sequence-number": 5, "x-opt-enqueued-time": 1000, "x-opt-locked-until": None, "own": "v"}
    delivered = Message.parse(sent).encode(delivery_count=3, annotations=annotations, lock_token=TOKEN)
    assert delivered.endswith(bare)
    assert decode_composite(delivered)[1] == [True, 9, 70_000, False, 3]
    parts = sections(delivered)
    assert parts[Section.DELIVERY_ANNOTATIONS] == encode({Symbol("mine"): 1, Symbol("x-opt-lock-token"): TOKEN})
    assert parts[Section.ANNOTATIONS] == encode(
        {
            Symbol("x-opt-sequence-number"): 5,
            Symbol("x-opt-enqueued-time"): Timestamp(1000),
            Symbol("own"): "v",
            Symbol("yours"): UInt(2),
        }
    )


def test_a_received_message_that_is_sent_on_carries_nothing_of_its_first_bus():
    received = Message.parse(BODY).encode(
        delivery_count=4, annotations={"x-opt-locked-until": 9, "x-opt-message-state": 1}, lock_token=TOKEN
    )
    again = Message.parse(received).encode(delivery_count=0, annotations={}, lock_token=None)
    assert sections(again).keys() == {Section.HEADER, Section.ANNOTATIONS, Section.DATA}
    assert sections(again)[Section.ANNOTATIONS] == encode({})


def test_changed_application_properties_leave_the_rest_alone():
    head = composite(Section.PROPERTIES, [encode("id")])
    sent = head + section(Section.APPLICATION_PROPERTIES, {"a": UInt(1), "b": "x", "c": 0.5}) + BODY
    changes = {"b": None, "c": 7, "DeadLetterReason": "why", "big": 2**40}
    changed = Message.parse(sent).with_application_properties(changes)
    expected = encoder.map_of_encoded(
        [encode("a"), encode(UInt(1)), encode("c"), b"\x54\x07", encode("DeadLetterReason"), encode("why")]
        + [encode("big"), encode(2**40)]
    )
    assert changed.payload == head + described(Section.APPLICATION_PROPERTIES, expected) + BODY
    assert Message.parse(changed.payload) == changed


def test_properties_are_added_where_they_belong():
    footer = section(Section.FOOTER, {})
    message = Message.parse(BODY + footer)
    changed = message.with_application_properties({"a": "b"}).with_properties(subject="s", content_type="text/plain")
    assert [code for code, *_ in find_sections(changed.payload)] == [
        Section.PROPERTIES, Section.APPLICATION_PROPERTIES, Section.DATA, Section.FOOTER,
    ]  # fmt: skip
    assert (changed.subject, changed.content_type, changed.application_properties) == ("s", "text/plain", {"a": "b"})
    assert changed.with_application_properties({"a": None}).application_properties == {}
    assert changed.with_properties(subject=None).subject is None
    assert message.payload == BODY + footer


def test_a_batch_is_its_data_sections():
    one, two = BODY, composite(Section.PROPERTIES, [encode("2")]) + BODY
    batch = b"".join(section(Section.DATA, payload) for payload in (one, two))
    assert Message.parse_batch(batch) == [Message(one), Message(two)]
    assert BATCH_FORMAT == 0x80013700


@pytest.mark.parametrize(
    "batch", [section(Section.VALUE, "no"), section(Section.DATA, BODY) + section(Section.DATA, b"broken"), b""]
)
def test_a_broken_batch_is_refused_as_a_whole(batch):
    with pytest.raises(MessageFormatError):
        Message.parse_batch(batch)


def test_the_size_of_what_is_before_the_body():
    head = composite(Section.PROPERTIES, [encode("id")])
    footer = section(Section.FOOTER, {})
    message = Message.parse(head + BODY + BODY + footer)
    assert (message.head_size, message.size) == (len(head), len(head + footer + BODY + BODY))


def test_the_value_of_a_request():
    assert Message.parse(section(Section.VALUE, {"a": [1]})).value == {"a": [1]}
    assert Message.parse(BODY).value is None


def test_long_descriptors_are_brought_to_the_form_that_clients_read():
    unusual = b"\x00\x80" + (0x75).to_bytes(8, "big") + encode(b"body")
    assert Message.parse(unusual).payload == BODY


def test_sections_are_brought_into_their_order():
    late = section(Section.DELIVERY_ANNOTATIONS, {Symbol("late"): 1})
    footer, head = section(Section.FOOTER, {}), composite(Section.PROPERTIES, [encode("id")])
    assert Message.parse(BODY + head + BODY + footer + late).payload == late + head + BODY + BODY + footer


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        BODY[:-1],
        BODY + b"\x00",
        composite(Section.HEADER, []) + composite(Section.HEADER, []) + BODY,
        section(Section.DATA, "text"),
        section(Section.PROPERTIES, {}) + BODY,
        section(Section.APPLICATION_PROPERTIES, []) + BODY,
        section(Section.APPLICATION_PROPERTIES, {1: 2}) + BODY,
        composite(Section.PROPERTIES, [encode([])]) + BODY,
        composite(Section.PROPERTIES, [encode(None)] * 10 + [encode(5)]) + BODY,
        composite(Section.HEADER, [encode(None), encode(None), encode("soon")]) + BODY,
        described(Section.VALUE, b"\xc0\x03\x02\x40"),
        section(0x79, b"") + BODY,
        b"\x00\xa3\x01a\x40" + BODY,
    ],
)
def test_what_is_no_message_is_refused(payload):
    with pytest.raises(MessageFormatError):
        Message.parse(payload)


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(data):
    for read in (Message.parse, Message.parse_batch):
        for prefix in (b"", b"\x00\x53\x73\xd0", b"\x00\x53\x74\xc1"):
            try:
                read(prefix + data)
            except MessageFormatError:
                continue
