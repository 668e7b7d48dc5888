"""The messages of the internal queue, and the names that expressions may use."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from devhost.listeners.blob_message import BlobMessage, binding_data
from devhost.storage.blob_service import Blob

MOMENT = datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_a_message_says_the_same_after_its_way_through_the_queue():
    message = BlobMessage("Host.Functions.work", "inbox", "ä b/{c}.txt", '"0x1"', "AppendBlob")
    assert BlobMessage.parse(message.to_text()) == message


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"1", b'{"FunctionId": 1, "ContainerName": "c", "BlobName": "b", "ETag": "e"}', b"\xff"]
)
def test_what_is_no_message_is_none(body):
    assert BlobMessage.parse(base64.b64encode(body).decode()) is None
    assert BlobMessage.parse("no base64!") is None


def test_a_captured_token_stands_before_a_name_of_the_host():
    blob = Blob(b"abc", '"1"', MOMENT, None, {"k": "v"}, {"Content-Type": "text/plain"}, MOMENT)
    data = binding_data("inbox/a", "http://x/inbox/a", blob, {"uri": "mine", "name": "a"})
    assert {key: data[key] for key in ("BlobTrigger", "Metadata", "uri", "name")} == {
        "BlobTrigger": "inbox/a", "Metadata": {"k": "v"}, "uri": "mine", "name": "a",
    }  # fmt: skip
    assert "Uri" not in data
    assert (data["Properties"]["Length"], data["Properties"]["ContentType"]) == (3, "text/plain")
