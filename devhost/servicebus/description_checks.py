"""What makes a description impossible, whoever made it: a configuration file or the administration API."""

from __future__ import annotations

import re

from devhost.servicebus.descriptions import (
    DEFAULT_RULE,
    MINUTE,
    Description,
    QueueDescription,
    RuleDescription,
    SubscriptionDescription,
    TopicDescription,
)
from devhost.servicebus.errors import ArgumentError
from devhost.servicebus.filters import SqlFilter

STATUSES = ("Active", "Disabled", "SendDisabled", "ReceiveDisabled")

_NAME = re.compile(r"[A-Za-z0-9]([\w./-]*[A-Za-z0-9])?", re.ASCII)
_NOUNS = {
    QueueDescription: "queue",
    TopicDescription: "topic",
    SubscriptionDescription: "subscription",
    RuleDescription: "rule",
}
_LONGEST_NAME = {QueueDescription: 260, TopicDescription: 260, SubscriptionDescription: 50, RuleDescription: 50}


def check_description(description: Description) -> None:
    """Raises ArgumentError, which names the property, the cause and the remedy."""
    _check_name(description)
    if isinstance(description, RuleDescription):
        if isinstance(description.filter, SqlFilter):
            description.filter.check()
        if description.action is not None:
            description.action.check()
        return
    if description.status not in STATUSES:
        raise ArgumentError(f"Status {description.status!r} is not known; it is one of {', '.join(STATUSES)}.")
    if description.default_ttl == 0:
        raise ArgumentError("DefaultMessageTimeToLive is 0, so that no message could ever be received. Write PT1H.")
    if isinstance(description, TopicDescription):
        return
    if not 0 < description.lock_duration <= 5 * MINUTE:
        raise ArgumentError("LockDuration must be longer than 0 and at most PT5M; renew the lock of what takes longer.")
    if not 1 <= description.max_delivery_count <= 2000:
        raise ArgumentError(f"MaxDeliveryCount is {description.max_delivery_count}; it must be from 1 to 2000.")
    if description.forward_to and description.requires_session:
        raise ArgumentError(
            "An entity with sessions cannot forward its messages (ForwardTo with RequiresSession). "
            "Forward to an entity with sessions from one without."
        )


def _check_name(description: Description) -> None:
    kind = type(description)
    name, noun, longest = description.name, _NOUNS[kind], _LONGEST_NAME[kind]
    if kind is RuleDescription and name == DEFAULT_RULE:
        return
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            f"{name!r} cannot be the name of a {noun}: "
            "it begins and ends with a letter or digit, and between them may stand - _ . / too."
        )
    if "/" in name and longest == 50:
        raise ArgumentError(f"{name!r} cannot be the name of a {noun}: only queues and topics may have a / in theirs.")
    if len(name) > longest:
        raise ArgumentError(f"The name of a {noun} may have {longest} characters; this one has {len(name)}: {name!r}.")
