"""What a description must fulfil beside what holds for it alone: for a change, and for forwarding."""

from __future__ import annotations

from devhost.servicebus.description_checks import check_description
from devhost.servicebus.descriptions import QueueDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.errors import ArgumentError

_FIXED = ("requires_session", "requires_duplicate_detection", "enable_partitioning")

EntityDescription = QueueDescription | TopicDescription | SubscriptionDescription


def check_change(old: EntityDescription, new: EntityDescription) -> None:
    """Raises ArgumentError when an entity cannot be changed that way."""
    check_description(new)
    for name in _FIXED:
        if getattr(old, name, None) != getattr(new, name, None):
            raise ArgumentError(
                f"'{old.name}': {name} of an existing entity cannot be changed. Delete the entity and create it anew."
            )


def check_not_itself(path: str, target_path: str) -> None:
    """Raises ArgumentError when an entity would forward to itself."""
    if path.lower() == target_path.lower():
        raise ArgumentError(f"'{path}' cannot forward to itself. Name another queue or topic, or none.")
