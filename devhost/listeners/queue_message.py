"""What a function is given of a queue message: its body, its metadata, and the lines about it in the log."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC
from typing import TYPE_CHECKING

from azure.functions.meta import Datum

from devhost.datum import promote, to_metadata
from devhost.invocation import TriggerData

if TYPE_CHECKING:
    from devhost.storage.queue import ReceivedMessage


class UndecodableError(Exception):
    """A message text that should be base64, but is not."""


class BadTextError(Exception):
    """A message body that is not UTF-8, for a function that takes text."""


def decode(text: str, is_base64: bool) -> bytes:
    """The body behind a message text. Raises UndecodableError."""
    if not is_base64:
        return text.encode()
    try:
        # .NET ignores white space in base64 and refuses any other foreign character.
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UndecodableError(str(error)) from error


def trigger_data(queue_name: str, message: ReceivedMessage, body: bytes, is_binary: bool) -> TriggerData:
    """The invocation's trigger data: text, unless the trigger was declared with data_type BINARY.

    Raises BadTextError for a body that is not UTF-8: the real host cannot bind it to text either, so the attempt fails.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        if not is_binary:
            raise BadTextError(
                f"its body is not UTF-8 ({error}). Declare the trigger with data_type=DataType.BINARY to get bytes."
            ) from error
        text = None
    data = {
        "QueueTrigger": text,
        "DequeueCount": message.dequeue_count,
        "ExpirationTime": message.expires_on,
        "Id": message.id,
        "InsertionTime": message.inserted_on,
        "NextVisibleTime": message.next_visible_on,
        "PopReceipt": message.pop_receipt,
    }
    if not is_binary:
        data = promote(data, text)
    inserted = message.inserted_on.astimezone(UTC).isoformat(timespec="milliseconds")
    return TriggerData(
        value=Datum(body, "bytes") if is_binary else Datum(text, "string"),
        metadata=to_metadata(data),
        reason=f"New queue message detected on '{queue_name}'.",
        details=f"MessageId: {message.id}, DequeueCount: {message.dequeue_count}, InsertedOn: {inserted}",
        binding_data=data,
    )
