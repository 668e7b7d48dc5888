"""Listeners: each watches one source for one function, invokes it, and settles what it took."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from devhost.errors import UnsupportedBindingError

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host


class Listener(Protocol):
    """Takes work from one source for one function. May be started again after a stop."""

    async def start(self) -> None:
        """Begin to take work; returns once listening."""

    async def stop(self) -> None:
        """Take no more work; return when the running invocations have ended and are settled."""

    def is_idle(self) -> bool:
        """Nothing running and nothing known to be waiting. May also be a coroutine function."""


LISTENERS = {
    "queueTrigger": ("devhost.listeners.queue", "QueueListener"),
    "blobTrigger": ("devhost.listeners.blob", "BlobListener"),
    "timerTrigger": ("devhost.listeners.timer", "TimerListener"),
    "serviceBusTrigger": ("devhost.listeners.service_bus", "ServiceBusListener"),
}
"""Trigger type → module and class; imported only when a function needs it. Built as `Class(host, function)`."""

SERVED_ELSEWHERE = frozenset(
    {"httpTrigger", "orchestrationTrigger", "activityTrigger", "entityTrigger", "warmupTrigger"}
)
"""Triggers without a listener of their own: the HTTP server and the Durable extension take care of them."""


def check_trigger(trigger_type: str) -> None:
    """Raise UnsupportedBindingError for a trigger type that devhost cannot load."""
    if trigger_type not in LISTENERS and trigger_type not in SERVED_ELSEWHERE:
        raise UnsupportedBindingError(
            f"the trigger type '{trigger_type}' is not covered by devhost.",
            "devhost/COVERAGE.md lists what is; run this function with `func start` or exclude it with --functions.",
        )


def create_listener(host: Host, function: Function) -> Listener:
    """The listener for a function whose trigger type is in LISTENERS."""
    module, name = LISTENERS[function.trigger.type]
    return getattr(import_module(module), name)(host, function)
