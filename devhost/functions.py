"""What devhost knows of one function once it is indexed: its bindings, its trigger and how to call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devhost.retry import RetryPolicy
    from devhost.signature import Signature

DURABLE_TRIGGERS = frozenset({"orchestrationTrigger", "activityTrigger", "entityTrigger"})


@dataclass(frozen=True, slots=True)
class Binding:
    """One trigger, input or output of a function."""

    type: str
    """The binding dictionary's type: "queueTrigger", "queue", "blob", "table", "http", "durableClient", …"""
    name: str
    """The parameter it is bound to, or "$return"."""
    direction: str
    """ "in" or "out"."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """The raw binding dictionary, camelCase keys, every `%SETTING%` already replaced."""

    @property
    def is_trigger(self) -> bool:
        """Whether this binding starts the function."""
        return self.type.endswith("Trigger")


@dataclass(slots=True)
class Function:
    """One indexed function of the app."""

    name: str
    callable: Callable[..., Any]
    bindings: tuple[Binding, ...]
    trigger: Binding
    is_async: bool
    directory: str
    """Folder of the file that defines the function (the `function_directory` of its context)."""
    retry_policy: RetryPolicy | None = None
    disabled: bool = False
    signature: Signature | None = None
    """How its parameters are decoded and its results encoded, worked out once at load."""

    @property
    def inputs(self) -> list[Binding]:
        """Input bindings other than the trigger."""
        return [b for b in self.bindings if b.direction == "in" and not b.is_trigger]

    @property
    def outputs(self) -> list[Binding]:
        """Output bindings, `$return` included."""
        return [b for b in self.bindings if b.direction == "out"]

    @property
    def is_durable(self) -> bool:
        """Whether the Durable extension runs it."""
        return self.trigger.type in DURABLE_TRIGGERS
