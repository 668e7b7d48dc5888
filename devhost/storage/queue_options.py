"""host.json's `extensions.queues`, checked, with the real host's defaults (functions-host.md §4)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devhost.errors import DevhostError
from devhost.timespan import parse_timespan

if TYPE_CHECKING:
    from devhost.host import Host

LEASE_SETTING = "DEVHOST_QUEUE_LEASE"
"""Seconds for which a taken message stays hidden, renewed at half. The real host's 10 minutes are the default.

They also mean that a killed host hides what it was working on for up to 10 minutes, there and here. Tests that kill
the host and want to see the work taken up again set a few seconds.
"""
DEFAULT_LEASE = 600
DEVELOPMENT_MAX_POLLING = "00:00:02"


class QueueOptionsError(DevhostError):
    """A value under host.json's extensions.queues, or DEVHOST_QUEUE_LEASE, is out of its range."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How storage queues are listened to; times in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval: float = 2.0
    max_dequeue_count: int = 5
    visibility_timeout: int = 0
    message_encoding: str = "base64"
    lease: int = DEFAULT_LEASE

    @classmethod
    def from_host(cls, host: Host) -> QueueOptions:
        """The options of a host. Raises QueueOptionsError."""
        return cls.read(host.json.extension("queues"), host.settings.get(LEASE_SETTING))

    @classmethod
    def read(cls, section: Mapping[str, Any], lease: str | None = None) -> QueueOptions:
        """The options from host.json's section and the lease setting. Raises QueueOptionsError."""
        values = {name.lower(): value for name, value in section.items()}
        batch_size = _integer("batchSize", values.get("batchsize", 16), 1, 32)
        # devhost is always the Development environment, where an untouched maxPollingInterval is 2 s, not 1 min.
        polling = _seconds("maxPollingInterval", values.get("maxpollinginterval", DEVELOPMENT_MAX_POLLING))
        if polling < 0.1:
            raise _out_of_range("maxPollingInterval", values["maxpollinginterval"], "at least 00:00:00.1")
        encoding = str(values.get("messageencoding", "base64")).lower()
        if encoding not in ("base64", "none"):
            raise _out_of_range("messageEncoding", encoding, "base64 or none")
        threshold = values.get("newbatchthreshold", batch_size // 2 * (os.cpu_count() or 1))
        return cls(
            batch_size=batch_size,
            new_batch_threshold=_integer("newBatchThreshold", threshold, 0),
            max_polling_interval=polling,
            max_dequeue_count=_integer("maxDequeueCount", values.get("maxdequeuecount", 5), 1),
            visibility_timeout=round(_seconds("visibilityTimeout", values.get("visibilitytimeout", "00:00:00"))),
            message_encoding=encoding,
            lease=_integer(LEASE_SETTING, lease or DEFAULT_LEASE, 1, 7 * 24 * 3600),
        )


def _integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    limits = f"a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")
    try:
        number = int(str(value))
    except ValueError:
        raise _out_of_range(name, value, limits) from None
    if number < least or (most is not None and number > most):
        raise _out_of_range(name, value, limits)
    return number


def _seconds(name: str, value: Any) -> float:
    try:
        return max(parse_timespan(str(value)).total_seconds(), 0.0)
    except ValueError:
        raise _out_of_range(name, value, "a time span such as 00:00:02") from None


def _out_of_range(name: str, value: Any, limits: str) -> QueueOptionsError:
    place = "The setting" if name == LEASE_SETTING else "host.json: extensions.queues."
    name = f" {name}" if name == LEASE_SETTING else name
    return QueueOptionsError(f"{place}{name} is '{value}', but must be {limits}.", "Correct it and start again.")
