"""The properties of one message as an SQL expression reads, sets and removes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from devhost.servicebus.amqp.types import Timestamp
from devhost.servicebus.filters import EPOCH, FilterError, comparable

if TYPE_CHECKING:
    from devhost.servicebus.message import Message

_MILLISECOND = timedelta(milliseconds=1)
_WRITABLE = {
    "contenttype": "content_type",
    "correlationid": "correlation_id",
    "label": "subject",
    "messageid": "message_id",
    "replyto": "reply_to",
    "replytosessionid": "reply_to_session_id",
    "sessionid": "session_id",
    "subject": "subject",
    "to": "to",
}
_READABLE = {
    "partitionkey",
    "scheduledenqueuetimeutc",
    "size",
    "timetolive",
    "transactionpartitionkey",
    "viapartitionkey",
}
# Rules look at a message before the subscription has given it these.
_NOT_YET = {
    "deadlettersource",
    "deliverycount",
    "enqueuedsequencenumber",
    "enqueuedtimeutc",
    "expiresatutc",
    "lockeduntilutc",
    "locktoken",
    "sequencenumber",
    "state",
}
SYSTEM_NAMES = frozenset(_WRITABLE) | _READABLE | _NOT_YET
"""What may stand behind `sys.`, in lower case."""
WRITABLE_NAMES = frozenset(_WRITABLE)
"""What of it an action may change."""


class Scope:
    """What names mean while one expression is worked out for one message. Names ignore case."""

    __slots__ = ("parameters", "_message", "_system", "_user", "_spelled")

    def __init__(self, message: Message, parameters: Mapping[str, Any]) -> None:
        self.parameters = parameters
        self._message = message
        self._system: dict[str, str | None] = {}
        self._user: dict[str, Any] = {}
        self._spelled: dict[str, str] | None = None

    def user(self, name: str) -> Any:
        """An application property; None when there is none."""
        name = self._spelling(name)
        return comparable(self._user[name] if name in self._user else self._message.application_properties.get(name))

    def system(self, name: str) -> Any:
        """A property of the message itself, by a name out of SYSTEM_NAMES; None when it is not set."""
        if name in _WRITABLE:
            attribute = _WRITABLE[name]
            value = self._system[attribute] if attribute in self._system else getattr(self._message, attribute)
            return value if value is None or isinstance(value, str) else str(value)
        message = self._message
        match name:
            case "partitionkey":
                return message.partition_key
            case "size":
                return message.size
            case "timetolive":
                return None if message.ttl is None else timedelta(milliseconds=message.ttl)
            case "scheduledenqueuetimeutc":
                return None if message.scheduled_at is None else comparable(Timestamp(message.scheduled_at))
            case "transactionpartitionkey" | "viapartitionkey":
                return message.annotations.get("x-opt-via-partition-key")
        return None

    def set_user(self, name: str, value: Any) -> None:
        """Set an application property; a whole number becomes a broken one where there was one. None removes it."""
        name = self._spelling(name)
        if isinstance(self.user(name), float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(value, timedelta):
            raise FilterError(f"{name} cannot be set to {value}: a property cannot hold a span of time.")
        self._user[name] = Timestamp((value - EPOCH) // _MILLISECOND) if isinstance(value, datetime) else value
        self._spelled[name.lower()] = name

    def set_system(self, name: str, value: Any) -> None:
        """Set a property out of WRITABLE_NAMES. None removes it. Raises FilterError."""
        if isinstance(value, int | float | UUID) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise FilterError(f"sys.{name} takes a text, not {value!r}.")
        self._system[_WRITABLE[name]] = value

    def changed_message(self) -> Message:
        """The message with all changes."""
        message = self._message
        if self._user:
            message = message.with_application_properties(self._user)
        return message.with_properties(**self._system) if self._system else message

    def _spelling(self, name: str) -> str:
        """The name as the message spells it."""
        if self._spelled is None:
            self._spelled = {spelled.lower(): spelled for spelled in self._message.application_properties}
        return self._spelled.get(name.lower(), name)
