"""What a function learns of its queue message."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from devhost.listeners.queue_message import BadTextError, UndecodableError, decode, trigger_data
from devhost.storage.queue import ReceivedMessage

MOMENT = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)


def message(text: str = "") -> ReceivedMessage:
    return ReceivedMessage("m1", text, "r1", 2, MOMENT, MOMENT, MOMENT)


@pytest.mark.parametrize("text", ["aGk=", "aG\nk=", " aGk= "])
def test_base64_with_white_space_is_read(text):
    assert decode(text, True) == b"hi"


@pytest.mark.parametrize("text", ["hi", "aGk", "{}", "aGk=!", "ä"])
def test_anything_else_is_undecodable(text):
    with pytest.raises(UndecodableError):
        decode(text, True)


def test_without_encoding_the_text_is_the_body():
    assert decode("aGk=ä", False) == "aGk=ä".encode()


def test_metadata_reason_and_details():
    trigger = trigger_data("work", message(), b"hello", False)
    assert (trigger.value.type, trigger.value.value) == ("string", "hello")
    assert {name: (datum.type, datum.value) for name, datum in trigger.metadata.items()} == {
        "QueueTrigger": ("string", "hello"),
        "DequeueCount": ("json", "2"),
        "Id": ("string", "m1"),
        "PopReceipt": ("string", "r1"),
        "ExpirationTime": ("json", '"2026-11-22T09:05:07+00:00"'),
        "InsertionTime": ("json", '"2026-11-22T09:05:07+00:00"'),
        "NextVisibleTime": ("json", '"2026-11-22T09:05:07+00:00"'),
    }
    assert trigger.reason == "New queue message detected on 'work'."
    assert trigger.details == "MessageId: m1, DequeueCount: 2, InsertedOn: 2026-11-22T09:05:07.000+00:00"


def test_a_json_body_overrides_the_metadata():
    body = json.dumps({"id": "7", "dequeuecount": 99, "tags": ["a"], "where": {"city": "Bonn"}}).encode()
    trigger = trigger_data("work", message(), body, False)
    assert trigger.binding_data["Id"] == "7"
    assert trigger.metadata["DequeueCount"].value == "99"
    assert trigger.binding_data["where"] == {"city": "Bonn"}
    assert "tags" not in trigger.binding_data


def test_binary_triggers_get_bytes_and_no_promotion():
    trigger = trigger_data("work", message(), b'{"id": "7"}', True)
    assert (trigger.value.type, trigger.value.value) == ("bytes", b'{"id": "7"}')
    assert trigger.metadata["Id"].value == "m1"
    assert trigger.metadata["QueueTrigger"].value == '{"id": "7"}'
    assert "QueueTrigger" not in trigger_data("work", message(), b"\xff", True).metadata


def test_a_body_that_is_not_utf8_cannot_be_text():
    with pytest.raises(BadTextError, match="not UTF-8"):
        trigger_data("work", message(base64.b64encode(b"\xff").decode()), b"\xff", False)
