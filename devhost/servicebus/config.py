"""The official emulator's configuration format, read into descriptions of entities (servicebus-amqp.md §11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devhost.servicebus.config_reader import ConfigError, Section, read_json
from devhost.servicebus.description_checks import check_description
from devhost.servicebus.descriptions import (
    Description,
    QueueDescription,
    RuleDescription,
    SubscriptionDescription,
    TopicDescription,
)
from devhost.servicebus.errors import ServiceBusError
from devhost.servicebus.filters import CorrelationFilter, Filter, SqlAction, SqlFilter, TrueFilter

_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
_NAMESPACE = "sbemulatorns"
_LEAST = 'The least is {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": [{"Name": "jobs"}]}]}}.'


@dataclass(slots=True)
class SubscriptionConfig:
    """A subscription as declared; without rules it takes every message."""

    description: SubscriptionDescription
    rules: list[RuleDescription] = field(default_factory=list)


@dataclass(slots=True)
class TopicConfig:
    """A topic as declared, with its subscriptions."""

    description: TopicDescription
    subscriptions: list[SubscriptionConfig] = field(default_factory=list)


@dataclass(slots=True)
class Config:
    """All entities of a configuration, and what is odd about them but no error."""

    queues: list[QueueDescription] = field(default_factory=list)
    topics: list[TopicConfig] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def load_config(source: Path | Mapping[str, Any]) -> Config:
    """The entities of a file, or of such a document. Raises ConfigError."""
    document = read_json(source) if isinstance(source, Path) else source
    try:
        return _read(document)
    except ConfigError as error:
        where = f"{source}: " if isinstance(source, Path) else ""
        raise ConfigError(f"{where}{error.message}", error.remedy) from None


def _read(document: Any) -> Config:
    config = Config()
    root = Section(document, "", config.warnings.append)
    if not root.has("UserConfig"):
        raise ConfigError("There is no UserConfig at the top of the document.", _LEAST)
    user = root.section("UserConfig")
    namespaces = list(user.sections("Namespaces"))
    if len(namespaces) != 1:
        raise ConfigError(f"{user.at('Namespaces')} must hold one namespace; there are {len(namespaces)}.", _LEAST)
    user.section("Logging")
    namespace = namespaces[0]
    name = namespace.text("Name", _NAMESPACE)
    if name != _NAMESPACE:
        namespace.warn(f"{namespace.at('Name')} is {name}; the official emulator takes only {_NAMESPACE}.")
    config.queues = [_queue(section) for section in namespace.sections("Queues")]
    config.topics = [_topic(section) for section in namespace.sections("Topics")]
    for section in (root, user, namespace):
        section.warn_of_unknown()
    _check_names(namespace, config)
    _check_forwarding(namespace, config)
    return config


def _queue(section: Section) -> QueueDescription:
    properties = section.section("Properties")
    shared = {**_receiving(properties), **_duplicates(properties)}
    return _finish(section, properties, QueueDescription, shared)


def _topic(section: Section) -> TopicConfig:
    properties = section.section("Properties")
    shared = {"default_ttl": _ttl(properties), **_duplicates(properties)}
    subscriptions = [_subscription(found) for found in section.sections("Subscriptions")]
    _check_unique(section.at("Subscriptions"), [found.description.name for found in subscriptions])
    return TopicConfig(_finish(section, properties, TopicDescription, shared), subscriptions)


def _subscription(section: Section) -> SubscriptionConfig:
    rules = [_rule(found) for found in section.sections("Rules")]
    _check_unique(section.at("Rules"), [rule.name for rule in rules])
    properties = section.section("Properties")
    return SubscriptionConfig(_finish(section, properties, SubscriptionDescription, _receiving(properties)), rules)


def _rule(section: Section) -> RuleDescription:
    properties = section.section("Properties")
    values: dict[str, Any] = {"filter": _filter(properties)}
    if properties.has("Action"):
        action = properties.section("Action")
        values["action"] = SqlAction(action.text("SqlExpression"))
        action.warn_of_unknown()
    return _finish(section, properties, RuleDescription, values)


def _filter(properties: Section) -> Filter:
    kind = properties.text("FilterType") or ("Sql" if properties.has("SqlFilter") else "Correlation")
    correlation, sql = properties.section("CorrelationFilter"), properties.section("SqlFilter")
    match kind.lower():
        case "sql" | "sqlfilter":
            expression = sql.text("SqlExpression")
            if not expression:
                raise sql.error("SqlExpression", "is missing.", "Write \"SqlExpression\": \"sys.Label = 'red'\".")
            sql.warn_of_unknown()
            return SqlFilter(expression)
        case "correlation" | "correlationfilter":
            return _correlation_filter(properties, correlation)
        case "true" | "truefilter":
            return TrueFilter()
    raise properties.error("FilterType", f"is {kind!r}.", "Write Correlation or Sql.")


def _correlation_filter(properties: Section, section: Section) -> CorrelationFilter:
    wanted = {
        "content_type": section.text("ContentType") or None,
        "correlation_id": section.text("CorrelationId") or None,
        "message_id": section.text("MessageId") or None,
        "reply_to": section.text("ReplyTo") or None,
        "reply_to_session_id": section.text("ReplyToSessionId") or None,
        "session_id": section.text("SessionId") or None,
        "subject": section.text("Label") or section.text("Subject") or None,
        "to": section.text("To") or None,
    }
    values = section.mapping("Properties")
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            place = f"{section.at('Properties')}.{name}"
            raise ConfigError(f"{place} must be a text, a number, true or false.", "Compare with a plain value.")
    section.warn_of_unknown()
    if not values and not any(wanted.values()):
        raise properties.error(
            "CorrelationFilter",
            "names no property, so that it is not known what it should take.",
            "Name one, Label for example; a subscription without Rules takes every message.",
        )
    return CorrelationFilter(**wanted, properties=values)


def _receiving(properties: Section) -> dict[str, Any]:
    """What queues and subscriptions have in common."""
    return {
        "default_ttl": _ttl(properties),
        "dead_letter_on_expiration": properties.flag("DeadLetteringOnMessageExpiration"),
        "forward_dead_letters_to": properties.text("ForwardDeadLetteredMessagesTo") or None,
        "forward_to": properties.text("ForwardTo") or None,
        "lock_duration": properties.duration("LockDuration", _MINUTE, 5 * _SECOND, 5 * _MINUTE),
        "max_delivery_count": properties.number("MaxDeliveryCount", 3, 1, 10),
        "requires_session": properties.flag("RequiresSession"),
    }


def _duplicates(properties: Section) -> dict[str, Any]:
    """What queues and topics have in common."""
    window = properties.duration("DuplicateDetectionHistoryTimeWindow", 20 * _SECOND, 5 * _SECOND, 5 * _MINUTE)
    return {
        "duplicate_detection_window": window,
        "requires_duplicate_detection": properties.flag("RequiresDuplicateDetection"),
    }


def _ttl(properties: Section) -> int | None:
    return properties.span("DefaultMessageTimeToLive", _HOUR, 5 * _MINUTE, _HOUR)


def _finish(section: Section, properties: Section, kind: Callable[..., Description], values: Mapping[str, Any]) -> Any:
    name = section.text("Name")
    if not name:
        raise section.error("Name", "is missing.", 'Write "Name": "orders", for example.')
    section.warn_of_unknown()
    properties.warn_of_unknown()
    description = kind(name=name, **values)
    try:
        check_description(description)
    except ServiceBusError as error:
        raise ConfigError(f"{section.place} ({name}): {error}") from None
    return description


def _check_unique(place: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise ConfigError(f"{place}: {name!r} stands there twice; case makes no difference.", "Rename one.")
        seen.add(name.lower())


def _check_names(namespace: Section, config: Config) -> None:
    _check_unique(f"{namespace.place}, Queues and Topics", _names(config))


def _names(config: Config) -> list[str]:
    return [queue.name for queue in config.queues] + [topic.description.name for topic in config.topics]


def _check_forwarding(namespace: Section, config: Config) -> None:
    known = {name.lower() for name in _names(config)}
    sources: list[QueueDescription | SubscriptionDescription] = list(config.queues)
    sources += [found.description for topic in config.topics for found in topic.subscriptions]
    for source in sources:
        for option, target in (
            ("ForwardTo", source.forward_to),
            ("ForwardDeadLetteredMessagesTo", source.forward_dead_letters_to),
        ):
            if target is None:
                continue
            if target.lower() == source.name.lower():
                raise ConfigError(f"{source.name}: {option} names the entity itself.", "Name another queue or topic.")
            if target.lower() not in known:
                raise ConfigError(
                    f"{source.name}: {option} names {target!r}, but no queue or topic of that name is declared.",
                    f"Declare it in {namespace.place}.",
                )
