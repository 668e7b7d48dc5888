"""Messages for tests of rules."""

from __future__ import annotations

from typing import Any

from devhost.servicebus.message import Message

EMPTY_BODY = bytes.fromhex("005375a000")


def message(application_properties: dict[str, Any] | None = None, **properties: Any) -> Message:
    """A message with an empty body, properties by their names in Message."""
    bare = Message.parse(EMPTY_BODY).with_properties(**properties)
    return bare.with_application_properties(application_properties or {})
