"""What an entity is declared to be: queues, topics, subscriptions and rules, by Microsoft's names and defaults."""

from __future__ import annotations

from dataclasses import dataclass, field

from devhost.servicebus.filters import Filter, SqlAction, TrueFilter

MINUTE = 60_000
DEFAULT_RULE = "$Default"
"""The rule of a subscription that was created without one: it takes every message."""


@dataclass(frozen=True, slots=True)
class QueueDescription:
    """A queue. Durations in ms, None: never or unlimited. Defaults are the cloud's (servicebus-amqp.md §11)."""

    name: str
    lock_duration: int = MINUTE
    max_delivery_count: int = 10
    requires_session: bool = False
    requires_duplicate_detection: bool = False
    duplicate_detection_window: int = 10 * MINUTE
    default_ttl: int | None = None
    dead_letter_on_expiration: bool = False
    forward_to: str | None = None
    forward_dead_letters_to: str | None = None
    max_message_size: int = 262_144
    status: str = "Active"
    """Active, Disabled, SendDisabled or ReceiveDisabled."""
    user_metadata: str = ""
    auto_delete_on_idle: int | None = None
    max_size_in_megabytes: int = 1024
    enable_batched_operations: bool = True
    enable_express: bool = False
    enable_partitioning: bool = False


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic. Durations in ms, None: never or unlimited."""

    name: str
    requires_duplicate_detection: bool = False
    duplicate_detection_window: int = 10 * MINUTE
    default_ttl: int | None = None
    max_message_size: int = 262_144
    status: str = "Active"
    user_metadata: str = ""
    auto_delete_on_idle: int | None = None
    max_size_in_megabytes: int = 1024
    support_ordering: bool = True
    enable_batched_operations: bool = True
    enable_express: bool = False
    enable_partitioning: bool = False


@dataclass(frozen=True, slots=True)
class SubscriptionDescription:
    """A subscription, by its own name without the topic's. Durations in ms, None: never or unlimited."""

    name: str
    lock_duration: int = MINUTE
    max_delivery_count: int = 10
    requires_session: bool = False
    default_ttl: int | None = None
    dead_letter_on_expiration: bool = False
    dead_letter_on_filter_errors: bool = True
    forward_to: str | None = None
    forward_dead_letters_to: str | None = None
    status: str = "Active"
    user_metadata: str = ""
    auto_delete_on_idle: int | None = None
    enable_batched_operations: bool = True


@dataclass(frozen=True, slots=True)
class RuleDescription:
    """A rule of a subscription: which messages it takes, and what it changes in its copy of them."""

    name: str = DEFAULT_RULE
    filter: Filter = field(default_factory=TrueFilter)
    action: SqlAction | None = None


Description = QueueDescription | TopicDescription | SubscriptionDescription | RuleDescription
