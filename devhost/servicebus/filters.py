"""Filters and actions of subscription rules: which messages pass, and what is changed in those that do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from devhost.servicebus.amqp.types import Timestamp

if TYPE_CHECKING:
    from devhost.servicebus.message import Message
    from devhost.servicebus.sql_filter import SqlActions, SqlCondition

Value = str | int | float | bool | datetime | timedelta
"""What a property that a filter names may be compared with."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FilterError(Exception):
    """An expression cannot be worked out for one message, for example because it divides by zero."""


class Filter(Protocol):
    """Decides whether a subscription takes a message."""

    def matches(self, message: Message) -> bool:
        """Whether the message passes. Raises FilterError."""


@dataclass(frozen=True, slots=True)
class TrueFilter:
    """Takes every message."""

    def matches(self, message: Message) -> bool:
        """True."""
        return True


@dataclass(frozen=True, slots=True)
class FalseFilter:
    """Takes no message."""

    def matches(self, message: Message) -> bool:
        """False."""
        return False


@dataclass(frozen=True, slots=True)
class CorrelationFilter:
    """Takes messages that have all of these values. None: whatever it is. Texts are compared with their case."""

    content_type: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    session_id: str | None = None
    subject: str | None = None
    to: str | None = None
    properties: Mapping[str, Value] = field(default_factory=dict)

    def matches(self, message: Message) -> bool:
        """Whether everything that is asked for is there."""
        for name in SYSTEM_PROPERTIES:
            wanted = getattr(self, name)
            if wanted is not None:
                found = getattr(message, name)
                if found is None or str(found) != wanted:  # a message id may also be a number or a UUID
                    return False
        if not self.properties:
            return True
        sent = message.application_properties
        return all(name in sent and _is_same(sent[name], wanted) for name, wanted in self.properties.items())


SYSTEM_PROPERTIES = tuple(name for name in CorrelationFilter.__slots__ if name != "properties")
"""The properties of a message that a correlation filter knows, by their names here and in Message."""


@dataclass(frozen=True)
class SqlFilter:
    """Takes messages for which an SQL expression is true; neither false nor unknown will do."""

    expression: str
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def matches(self, message: Message) -> bool:
        """Whether the expression is true. Raises FilterError, and ArgumentError when it is no expression."""
        return self._program.holds(message)

    def check(self) -> None:
        """Raises ArgumentError with position and remedy when the text is no expression."""
        _ = self._program

    @cached_property
    def _program(self) -> SqlCondition:
        from devhost.servicebus.sql_filter import SqlCondition

        return SqlCondition(self.expression, self.parameters)


@dataclass(frozen=True)
class SqlAction:
    """Changes a subscription's copy of a message: `SET name = expression; REMOVE name`."""

    expression: str
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def apply(self, message: Message) -> Message:
        """The message as changed. Raises FilterError, and ArgumentError when the text is no action."""
        return self._program.apply(message)

    def check(self) -> None:
        """Raises ArgumentError with position and remedy when the text is no action."""
        _ = self._program

    @cached_property
    def _program(self) -> SqlActions:
        from devhost.servicebus.sql_filter import SqlActions

        return SqlActions(self.expression, self.parameters)


def comparable(value: Any) -> Any:
    """A property's value as filters compare it: times as times, and those without a zone in UTC."""
    if isinstance(value, Timestamp):
        try:
            return EPOCH + timedelta(milliseconds=value)
        except OverflowError:
            return None  # beyond the year 9999: no time that anything could be compared with
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _is_same(found: Any, wanted: Value) -> bool:
    # True is no 1 here; whole and broken numbers compare by value, as .NET's converters do.
    found, wanted = comparable(found), comparable(wanted)
    return isinstance(found, bool) == isinstance(wanted, bool) and found == wanted
