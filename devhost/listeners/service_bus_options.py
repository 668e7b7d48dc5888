"""host.json's `extensions.serviceBus`, checked, with the real host's defaults (functions-host.md §7)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devhost.errors import DevhostError
from devhost.timespan import parse_timespan

if TYPE_CHECKING:
    from devhost.host import Host

LONGEST_BATCH_WAIT = 150.0


class ServiceBusOptionsError(DevhostError):
    """A value under host.json's extensions.serviceBus is out of its range."""


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """How queues and subscriptions are listened to; times in seconds."""

    prefetch_count: int = 0
    auto_complete: bool = True
    max_lock_renewal: float = 300.0
    """For how long a message's or session's lock is renewed; infinity for an infinite time span (any negative one)."""
    max_concurrent_calls: int = 16
    max_concurrent_sessions: int = 8
    max_concurrent_calls_per_session: int = 1
    max_batch_size: int = 1000
    min_batch_size: int = 1
    max_batch_wait: float = 30.0
    session_idle_timeout: float = 60.0
    retry: Mapping[str, Any] = field(default_factory=dict)
    """The SDK client's retry keywords, from clientRetryOptions."""

    @classmethod
    def from_host(cls, host: Host) -> ServiceBusOptions:
        """The options of a host. Raises ServiceBusOptionsError."""
        return cls.read(host.json.extension("serviceBus"))

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> ServiceBusOptions:
        """The options from host.json's section, older spellings included. Raises ServiceBusOptionsError."""
        given = _Section(section)
        if given.text("transportType", "amqpTcp").lower() != "amqptcp":
            raise _out_of_range("transportType", given.value("transportType"), "amqpTcp (devhost covers no other)")
        retry = given.child("clientRetryOptions")
        try_timeout = retry.seconds("tryTimeout", "00:01:00", least=0.001)
        maximum = given.integer("maxMessageBatchSize", 1000, 1)
        minimum = given.integer("minMessageBatchSize", 1, 1)
        if minimum > maximum:
            raise _out_of_range("minMessageBatchSize", minimum, f"at most maxMessageBatchSize, which is {maximum}")
        messages, sessions = given.child("messageHandlerOptions"), given.child("sessionHandlerOptions")
        batches = given.child("batchOptions")
        complete = next((old for old in (messages, sessions, batches) if old.has("autoComplete")), given)
        renewal = messages if messages.has("maxAutoRenewDuration") else sessions
        return cls(
            prefetch_count=given.integer("prefetchCount", 0, 0, 50000),
            auto_complete=given.boolean("autoCompleteMessages", complete.boolean("autoComplete", True)),
            max_lock_renewal=given.span("maxAutoLockRenewalDuration", renewal.span("maxAutoRenewDuration", 300.0)),
            max_concurrent_calls=given.integer(
                "maxConcurrentCalls", messages.integer("maxConcurrentCalls", 16 * (os.cpu_count() or 1), 1), 1
            ),
            max_concurrent_sessions=given.integer(
                "maxConcurrentSessions", sessions.integer("maxConcurrentSessions", 8, 1), 1
            ),
            max_concurrent_calls_per_session=given.integer("maxConcurrentCallsPerSession", 1, 1),
            max_batch_size=maximum,
            min_batch_size=minimum,
            max_batch_wait=given.seconds("maxBatchWaitTime", "00:00:30", most=LONGEST_BATCH_WAIT),
            session_idle_timeout=given.seconds(
                "sessionIdleTimeout", sessions.value("messageWaitTime"), least=0.001, otherwise=try_timeout
            ),
            retry=_retry(retry, try_timeout),
        )


def _retry(given: _Section, try_timeout: float) -> dict[str, Any]:
    mode = given.text("mode", "exponential").lower()
    if mode not in ("exponential", "fixed"):
        raise _out_of_range(given.path("mode"), given.value("mode"), "exponential or fixed")
    return {
        "retry_total": given.integer("maxRetries", 3, 0, 100),
        "retry_mode": mode,
        "retry_backoff_factor": given.seconds("delay", "00:00:00.8", least=0.001),
        "retry_backoff_max": given.seconds("maxDelay", "00:01:00", least=0.001),
        "try_timeout": try_timeout,
    }


class _Section:
    """A section of host.json whose names ignore case."""

    def __init__(self, values: Any, name: str = "") -> None:
        if not isinstance(values, Mapping):
            raise _out_of_range(name, values, "an object")
        self._name = name
        self._values = {key.lower(): value for key, value in values.items() if value is not None}

    def path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def has(self, name: str) -> bool:
        return name.lower() in self._values

    def value(self, name: str, otherwise: Any = None) -> Any:
        return self._values.get(name.lower(), otherwise)

    def child(self, name: str) -> _Section:
        return _Section(self.value(name, {}), self.path(name))

    def text(self, name: str, otherwise: str) -> str:
        return str(self.value(name, otherwise))

    def integer(self, name: str, otherwise: int, least: int, most: int | None = None) -> int:
        limits = f"a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")
        value = self.value(name, otherwise)
        try:
            number = int(str(value))
        except ValueError:
            raise _out_of_range(self.path(name), value, limits) from None
        if number < least or (most is not None and number > most):
            raise _out_of_range(self.path(name), value, limits)
        return number

    def boolean(self, name: str, otherwise: bool) -> bool:
        text = self.text(name, str(otherwise)).lower()
        if text not in ("true", "false"):
            raise _out_of_range(self.path(name), self.value(name), "true or false")
        return text == "true"

    def span(self, name: str, otherwise: float) -> float:
        """A duration; any negative one is infinite, as .NET's Timeout.InfiniteTimeSpan is."""
        if not self.has(name):
            return otherwise
        seconds = self._parsed(name, self.value(name))
        return math.inf if seconds < 0 else seconds

    def seconds(
        self, name: str, written: Any, *, least: float = 0.0, most: float = math.inf, otherwise: float = 0.0
    ) -> float:
        """A duration within limits; `written` counts when there is none, and `otherwise` when that is None too."""
        value = self.value(name, written)
        if value is None:
            return otherwise
        seconds = self._parsed(name, value)
        if not least <= seconds <= most:
            limits = "longer than 00:00:00" if most == math.inf else f"at most {most:g} seconds"
            raise _out_of_range(self.path(name), value, limits)
        return seconds

    def _parsed(self, name: str, value: Any) -> float:
        try:
            return parse_timespan(str(value)).total_seconds()
        except ValueError:
            raise _out_of_range(self.path(name), value, "a time span such as 00:05:00") from None


def _out_of_range(name: str, value: Any, limits: str) -> ServiceBusOptionsError:
    return ServiceBusOptionsError(
        f"host.json: extensions.serviceBus.{name} is '{value}', but must be {limits}.", "Correct it and start again."
    )
