"""What host.json's durableTask section says (durable.md §6.10)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from devhost.durable.hub import LIVE, RuntimeStatus
from devhost.errors import HostJsonError

SHORT_TIMER_MAXIMUM = timedelta(days=6)
LONG_TIMER_INTERVAL = timedelta(days=3)
_PER_CORE = 10


def _default_concurrency() -> int:
    return _PER_CORE * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class DurableOptions:
    """The settings that have a meaning on one machine."""

    max_concurrent_activities: int
    max_concurrent_orchestrators: int
    max_concurrent_entities: int
    max_orchestration_actions: int = 100_000
    max_entity_batch: int = 5000
    blocking_statuses: frozenset[RuntimeStatus] = LIVE
    """States of an instance in which its id cannot be started again."""
    store_inputs: bool = False
    default_version: str = ""
    version_match: str = "none"
    """ "none", "strict" or "currentorolder"."""
    version_failure: str = "reject"
    """What happens to an instance of another version: "reject" leaves it to another host, "fail" fails it."""

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> DurableOptions:
        """The options in host.json's extensions.durableTask (keys without regard to case). Raises HostJsonError."""
        values = {key.lower(): value for key, value in section.items()}
        default = _default_concurrency()

        def number(name: str, fallback: int) -> int:
            value = values.get(name.lower())
            if value is None:
                return fallback
            try:
                return int(str(value))
            except ValueError:
                raise HostJsonError(
                    f"host.json: extensions.durableTask.{name} is {json.dumps(value)}, but must be a whole number.",
                    "Correct it and start again.",
                ) from None

        any_state = str(values.get("overridableexistinginstancestates", "")).lower() == "anystate"
        return cls(
            max_concurrent_activities=number("maxConcurrentActivityFunctions", default),
            max_concurrent_orchestrators=number("maxConcurrentOrchestratorFunctions", default),
            max_concurrent_entities=number("maxConcurrentEntityFunctions", default),
            max_orchestration_actions=number("maxOrchestrationActions", 100_000),
            max_entity_batch=number("maxEntityOperationBatchSize", 5000),
            blocking_statuses=frozenset() if any_state else LIVE,
            store_inputs=bool(values.get("storeinputsinorchestrationhistory", False)),
            default_version=str(values.get("defaultversion") or ""),
            version_match=str(values.get("versionmatchstrategy") or "none").lower(),
            version_failure=str(values.get("versionfailurestrategy") or "reject").lower(),
        )
