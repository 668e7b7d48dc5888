"""How many instances a backlog calls for, as Azure's target-based scaling works it out: by its length, not by CPU.

The platform starts them, within the plan's limits and a few at a time; here it is only told.
"""

from __future__ import annotations

import json
from functools import lru_cache

from jobs.backlogs import SESSIONS
from jobs.settings import HOST_JSON

BUS = "servicebus:"


def instances_wanted(queue: str, depth: int) -> int:
    """The backlog divided by what one instance does at once, by whole ones; `queue` as `jobs.backlogs` calls it."""
    return -(-depth // _at_once(queue))


def _at_once(queue: str) -> int:
    """What host.json says, or the scale controller's defaults, which know nothing of an instance's cores."""
    bus, storage = _options()
    if queue == f"{BUS}{SESSIONS}":
        return bus.get("maxConcurrentSessions", 8)
    if queue.startswith(BUS):
        return bus.get("maxConcurrentCalls", 16)
    return storage.get("batchSize", 16)


@lru_cache(maxsize=1)
def _options() -> tuple[dict[str, int], dict[str, int]]:
    extensions = json.loads(HOST_JSON.read_text())["extensions"]
    return extensions.get("serviceBus", {}), extensions.get("queues", {})
