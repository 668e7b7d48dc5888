"""Descriptions of queues, topics and subscriptions in the administration API's XML, read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement

from devhost.servicebus.atom import CONNECT, COUNTS, format_moment
from devhost.servicebus.counts import Counts
from devhost.servicebus.descriptions import QueueDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.durations import DurationError, format_duration, parse_duration
from devhost.servicebus.errors import ArgumentError

Entity = TypeVar("Entity", QueueDescription, TopicDescription, SubscriptionDescription)


class _Kind(NamedTuple):
    """How one sort of value is written."""

    read: Callable[[str], Any]
    write: Callable[[Any], str | None]


class _Field(NamedTuple):
    """An XML element and the attribute of the description that it stands for."""

    element: str
    attribute: str
    kind: _Kind


def _read_flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "1")


def _read_target(text: str) -> str | None:
    """`sb://HOST:PORT/name` as name: the client always sends an address."""
    return (urlsplit(text).path if "://" in text else text).strip("/") or None


def _read_limited(text: str) -> int:
    duration = parse_duration(text)
    if duration is None:
        raise DurationError("it cannot be unlimited")
    return duration


def _optional(text: str | None) -> str | None:
    return text or None


_TEXT = _Kind(str, str)
_FLAG = _Kind(_read_flag, lambda value: "true" if value else "false")
_NUMBER = _Kind(int, str)
_DURATION = _Kind(parse_duration, format_duration)
_LIMITED = _Kind(_read_limited, format_duration)
_TARGET = _Kind(_read_target, _optional)
_METADATA = _Kind(str, _optional)
_KILOBYTES = _Kind(lambda text: int(text) * 1024, lambda value: str(value // 1024))

_LOCK_DURATION = _Field("LockDuration", "lock_duration", _LIMITED)
_MAX_SIZE = _Field("MaxSizeInMegabytes", "max_size_in_megabytes", _NUMBER)
_DUPLICATES = _Field("RequiresDuplicateDetection", "requires_duplicate_detection", _FLAG)
_WINDOW = _Field("DuplicateDetectionHistoryTimeWindow", "duplicate_detection_window", _LIMITED)
_SESSION = _Field("RequiresSession", "requires_session", _FLAG)
_TTL = _Field("DefaultMessageTimeToLive", "default_ttl", _DURATION)
_EXPIRATION = _Field("DeadLetteringOnMessageExpiration", "dead_letter_on_expiration", _FLAG)
_FILTER_ERRORS = _Field("DeadLetteringOnFilterEvaluationExceptions", "dead_letter_on_filter_errors", _FLAG)
_DELIVERIES = _Field("MaxDeliveryCount", "max_delivery_count", _NUMBER)
_BATCHED = _Field("EnableBatchedOperations", "enable_batched_operations", _FLAG)
_STATUS = _Field("Status", "status", _TEXT)
_FORWARD = _Field("ForwardTo", "forward_to", _TARGET)
_FORWARD_DEAD_LETTERS = _Field("ForwardDeadLetteredMessagesTo", "forward_dead_letters_to", _TARGET)
_USER_METADATA = _Field("UserMetadata", "user_metadata", _METADATA)
_ORDERING = _Field("SupportOrdering", "support_ordering", _FLAG)
_IDLE = _Field("AutoDeleteOnIdle", "auto_delete_on_idle", _DURATION)
_PARTITIONING = _Field("EnablePartitioning", "enable_partitioning", _FLAG)
_EXPRESS = _Field("EnableExpress", "enable_express", _FLAG)
_MESSAGE_SIZE = _Field("MaxMessageSizeInKilobytes", "max_message_size", _KILOBYTES)

# In the service's order, which the data contract behind the API insists on.
_FIELDS: dict[type, tuple[_Field, ...]] = {
    QueueDescription: (
        *(_LOCK_DURATION, _MAX_SIZE, _DUPLICATES, _SESSION, _TTL, _EXPIRATION, _WINDOW, _DELIVERIES, _BATCHED, _STATUS),
        *(_FORWARD, _USER_METADATA, _IDLE, _PARTITIONING, _FORWARD_DEAD_LETTERS, _EXPRESS, _MESSAGE_SIZE),
    ),
    TopicDescription: (
        *(_TTL, _MAX_SIZE, _DUPLICATES, _WINDOW, _BATCHED, _STATUS, _USER_METADATA, _ORDERING, _IDLE, _PARTITIONING),
        *(_EXPRESS, _MESSAGE_SIZE),
    ),
    SubscriptionDescription: (
        *(_LOCK_DURATION, _SESSION, _TTL, _EXPIRATION, _FILTER_ERRORS, _DELIVERIES, _BATCHED, _STATUS, _FORWARD),
        *(_USER_METADATA, _FORWARD_DEAD_LETTERS, _IDLE),
    ),
}


def read_description(kind: type[Entity], name: str, element: Element) -> Entity:
    """The description in an XML element; what is absent has its default. Raises ArgumentError."""
    if element.tag != f"{{{CONNECT}}}{kind.__name__}":
        found = element.tag.rpartition("}")[2]
        raise ArgumentError(f"The body describes a {found}, but {name!r} needs a {kind.__name__}.")
    values: dict[str, Any] = {"name": name}
    for field in _FIELDS[kind]:
        text = element.findtext(f"{{{CONNECT}}}{field.element}")
        if text:
            try:
                values[field.attribute] = field.kind.read(text.strip())
            except (ValueError, DurationError) as error:
                raise ArgumentError(f"{field.element} cannot be used: {error}.") from None
    return kind(**values)


def write_description(description: Entity, counts: Counts, address: str, subscription_count: int = 0) -> Element:
    """A description with its run-time figures. `address`: the bus's, before the names of entities forwarded to."""
    element = Element(f"{{{CONNECT}}}{type(description).__name__}")
    for field in _FIELDS[type(description)]:
        text = field.kind.write(getattr(description, field.attribute))
        if text is not None:
            _add(element, field.element, f"{address}/{text}" if field.kind is _TARGET else text)
    if isinstance(description, TopicDescription):
        _add(element, "SubscriptionCount", str(subscription_count))
    _add_all(element, _figures(counts))
    details = SubElement(element, f"{{{CONNECT}}}CountDetails")
    for name, number in (
        ("ActiveMessageCount", counts.active),
        ("DeadLetterMessageCount", counts.dead_letter),
        ("ScheduledMessageCount", counts.scheduled),
        ("TransferMessageCount", counts.transfer),
        ("TransferDeadLetterMessageCount", counts.transfer_dead_letter),
    ):
        SubElement(details, f"{{{COUNTS}}}{name}").text = str(number)
    return element


def _figures(counts: Counts) -> Iterable[tuple[str, str]]:
    yield "SizeInBytes", str(counts.size_in_bytes)
    yield "MessageCount", str(counts.active + counts.dead_letter + counts.scheduled + counts.transfer)
    yield "CreatedAt", format_moment(counts.created_at)
    yield "UpdatedAt", format_moment(counts.updated_at)
    yield "AccessedAt", format_moment(counts.accessed_at)
    yield "EntityAvailabilityStatus", "Available"
    yield "IsAnonymousAccessible", "false"


def _add_all(parent: Element, texts: Iterable[tuple[str, str]]) -> None:
    for name, text in texts:
        _add(parent, name, text)


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, f"{{{CONNECT}}}{name}").text = text
